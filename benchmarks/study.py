"""The study of docs/results.md: methods and the paper's Tables 1 to 4 over folds of a cache's classes and seeds.

    python benchmarks/study.py cache.zarr --out study/ --novel 5 --val 0 --folds 3 --seeds 0 1 --group-disjoint

Resumable: runs that are finished are not trained again. Prints Markdown: every method on the same episodes with its
paired difference from HCL, then the tables. --only methods or --only 1 3 runs a part; hcl ablate does the same for one
table and hcl crossval for one method.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tabulate import tabulate

from hcl.match.config import METHODS, EpisodeConfig, EvaluationConfig
from hcl.match.evaluation.comparison import verdict
from hcl.match.evaluation.fold_means import CrossValidation
from hcl.train.studies import ablation_report, crossval_report
from hcl.train.studies.ablation import TABLES, ablate
from hcl.train.studies.crossval import cross_validate
from hcl.train.studies.crossval_config import CrossvalConfig
from hcl.train.studies.crossval_report import interval

SHOTS = (1, 5)


def main() -> None:
    """Run what was asked for and print it."""
    given = parse()
    for disjoint in (False, True) if given.group_disjoint else (False,):
        title = "group-disjoint" if disjoint else "all episodes"
        if "methods" in given.only:
            print(f"\n## Methods, {title}\n\n{methods(given, disjoint)}", flush=True)
        for number in TABLES:
            if str(number) in given.only:
                rows = ablate(number, partial(run, given, disjoint=disjoint))
                print(f"\n## {title}\n\n{ablation_report.as_text(number, rows, SHOTS)}", flush=True)


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


def run(given: argparse.Namespace, folder: str, settings: Mapping[str, Any], disjoint: bool) -> CrossValidation:
    """Cross-validate settings in a folder."""
    config = CrossvalConfig(novel=given.novel, val=given.val, folds=given.folds, seeds=tuple(given.seeds))
    episodes = EpisodeConfig(episodes=given.episodes, group_disjoint=disjoint)
    return cross_validate(
        *(given.cache, given.out / folder, config, episodes, EvaluationConfig(shots=SHOTS)),
        {**json.loads(given.settings), **settings},
        preset="quick",
    )


def methods(given: argparse.Namespace, disjoint: bool) -> str:
    """All methods by row; each number of shots with its interval and the paired difference from HCL."""
    of_peers = json.loads(given.baselines)
    found = {}
    for method in METHODS:
        settings = {"method": method, **of_peers.get(method, {})}
        found[method] = run(given, "full" if method == "hcl" else method, settings, disjoint)
    headers = ("method", *(head for shot in SHOTS for head in (f"{shot}-shot, %", "95 %", "from hcl", "95 %", "")))
    rows = [(method, *cells(found[method], found["hcl"])) for method in METHODS]
    by_level = crossval_report.as_text(found["hcl"])
    table = tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)
    return f"{table}\n\nLevels of hcl: {by_level}"


def cells(found: CrossValidation, hcl: CrossValidation) -> Iterator[str]:
    """The accuracy of a method's own score and its difference from HCL, by number of shots."""
    for case, outcome in enumerate(found.evaluations[0][0].outcomes):
        accuracy = found.accuracy(case, outcome.headline)
        difference = found.difference(case, outcome.headline, hcl, hcl.evaluations[0][0].outcomes[case].headline)
        yield from (f"{accuracy.mean:.1f}", interval(accuracy), f"{difference.mean:+.1f}", interval(difference, "+"))
        yield "" if found is hcl else verdict(*difference.interval)


if __name__ == "__main__":
    main()
