r"""The study of docs/results: methods and the paper's Tables 1 to 4 over folds of a cache's classes and seeds.

    python benchmarks/experiments/study.py cache.zarr --out study/ --novel 5 --val 0 --folds 3 --seeds 0 1 \
        --group-disjoint

Resumable: runs that are finished are not trained again, and each is evaluated once. Prints Markdown: every method on
the same episodes with its paired difference from HCL, then the tables. --only methods or --only 1 3 runs a part; hcl
ablate does the same for one table and hcl crossval for one method.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from hcl.match.config import METHODS, EpisodeConfig, EvaluationConfig
from hcl.match.evaluation.comparison import verdict
from hcl.match.evaluation.cross_validation import CrossValidation
from hcl.train.studies.ablation import TABLES, ablations
from hcl.train.studies.crossval import cross_validate
from hcl.train.studies.folds import CrossvalConfig
from hcl.train.studies.reports import ablation_text, crossval_text, interval_text

SHOTS = (1, 5)
Run = Callable[[str, Mapping[str, Any]], CrossValidation]  # cross-validates settings in a folder of some name


def main() -> None:
    """Run what was asked for and print it."""
    given = parse()
    tables = [number for number in TABLES if str(number) in given.only]
    for disjoint in (False, True) if given.group_disjoint else (False,):
        title, run = "group-disjoint" if disjoint else "all episodes", evaluated_once(given, disjoint)
        if "methods" in given.only:
            print(f"\n## Methods, {title}\n\n{methods(run, json.loads(given.baselines))}", flush=True)
        for table in ablations(tables, run):
            print(f"\n## {title}\n\n{ablation_text(table)}", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--out", type=Path, default=Path("study"))
    parser.add_argument("--novel", type=int, default=5)
    parser.add_argument("--val", type=int, default=0)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--group-disjoint", action="store_true", help="print these episodes, too")
    parser.add_argument("--settings", default="{}", help="JSON, settings of all trainings")
    parser.add_argument("--baselines", default="{}", help="JSON, settings of single methods: {method: {name: value}}")
    parser.add_argument("--only", nargs="+", default=["methods", *map(str, TABLES)])
    return parser.parse_args()


def evaluated_once(given: argparse.Namespace, disjoint: bool) -> Run:
    """A function that cross-validates settings in a folder, and keeps the result for further tables."""
    config = CrossvalConfig(novel=given.novel, val=given.val, folds=given.folds, seeds=tuple(given.seeds))
    episodes = EpisodeConfig(episodes=given.episodes, group_disjoint=disjoint)
    results: dict[str, CrossValidation] = {}

    def run(folder: str, settings: Mapping[str, Any]) -> CrossValidation:
        if folder not in results:
            shared = {**json.loads(given.settings), **settings}
            plan = EvaluationConfig(shots=SHOTS)
            results[folder] = cross_validate(
                given.cache, given.out / folder, config, episodes, plan, shared, preset="quick"
            )
        return results[folder]

    return run


def methods(run: Run, of_baselines: Mapping[str, Mapping[str, Any]]) -> str:
    """All methods by row; each number of shots with its interval and the paired difference from HCL."""
    results = {
        method: run("full" if method == "hcl" else method, {"method": method, **of_baselines.get(method, {})})
        for method in METHODS
    }
    headers = ("method", *(head for shot in SHOTS for head in (f"{shot}-shot, %", "95 %", "from hcl", "95 %", "")))
    rows = [(method, *cells(results[method], results["hcl"])) for method in METHODS]
    table = tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)
    return f"{table}\n\nLevels of hcl: {crossval_text(results['hcl'])}"


def cells(result: CrossValidation, hcl: CrossValidation) -> Iterator[str]:
    """The accuracy of a method's own score and its difference from HCL, by number of shots."""
    for case, outcome in enumerate(result.evaluations[0][0].outcomes):
        accuracy = result.accuracy(case, outcome.headline)
        difference = result.difference(case, outcome.headline, hcl, hcl.evaluations[0][0].outcomes[case].headline)
        yield from (f"{accuracy.mean:.1f}", interval_text(accuracy))
        yield from (f"{difference.mean:+.1f}", interval_text(difference, "+"))
        yield "" if result is hcl else verdict(*difference.interval)


if __name__ == "__main__":
    main()
