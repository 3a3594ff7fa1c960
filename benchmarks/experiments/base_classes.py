r"""How accuracy on novel classes grows with the number of base classes, a line a method.

    python benchmarks/experiments/base_classes.py cache.zarr --out curve/ --counts 3 6 9 12 16 --methods hcl protonet

All classes that are not novel may be base classes: the first ones of a seeded order are, the others are not looked at.
There are no val classes, so the last weights are kept. Finished runs are not trained again. A table for each number of
shots is printed, with 95 % bootstrap intervals over classes, groups and videos, and base_classes.svg drawn.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tabulate import tabulate

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.cache.formats import open_cache
from hcl.extract.catalog.csv_files import read_splits
from hcl.extract.system.device import choose_device
from hcl.match.config import ALL_LEVELS, HCL, WEIGHTED
from hcl.match.evaluation.evaluate import evaluate
from hcl.match.evaluation.results import Evaluation
from hcl.match.evaluation.statistics import Accuracy
from hcl.match.store.locate import STORE
from hcl.train.config import preset_config
from hcl.train.data.map_source import MapSource
from hcl.train.runs.fit_run import fit_run
from hcl.train.runs.planning import begin, make_run_config
from hcl.train.runs.run_folder import Run
from hcl.train.runs.running import embed_held_out

SHOTS = (1, 5)
UNUSED = "unused"  # no split: these classes are neither trained on nor drawn
Line = tuple[str, str]  # a method, and its score
Reached = dict[Line, dict[int, tuple[Accuracy, ...]]]  # by number of base classes, one a number of shots


def main() -> None:
    """Train each method on each number of base classes, then print and draw what they reach."""
    given = parse()
    cache = open_cache(given.cache)
    if given.splits:
        cache = cache.with_splits(read_splits(given.splits))
    reached: Reached = {}
    for count in given.counts:
        for method in given.methods:
            folder = given.out / f"{method}-{count}"
            if not (folder / STORE).exists():
                train_on(cache, some_classes(cache, count, given.seed), method, folder, given.seed)
            result = evaluate(folder, shot=SHOTS, episodes=given.episodes, group_disjoint=given.group_disjoint)
            for score in (ALL_LEVELS, WEIGHTED) if method == HCL else (method,):
                reached.setdefault((method, score), {})[count] = accuracies(result, score)
            print(*(table(reached, given.counts, number) for number in range(len(SHOTS))), "", sep="\n\n", flush=True)
    picture(reached, given.out / "base_classes.svg")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--splits", type=Path, help="CSV file with label,split: which classes are novel")
    parser.add_argument("--out", type=Path, default=Path("curve"))
    parser.add_argument("--counts", type=int, nargs="+", default=[3, 6, 9, 12, 16])
    parser.add_argument("--methods", nargs="+", default=[HCL, "protonet"])
    parser.add_argument("--seed", type=int, default=0, help="of the order of classes and of the trainings")
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--group-disjoint", action="store_true")
    return parser.parse_args()


def some_classes(cache: FrameMapCache, count: int, seed: int) -> tuple[str, ...]:
    """The first classes of a seeded order of all that are not novel: those of a smaller number are among them."""
    known = sorted(name for name, split in cache.class_splits.items() if split != "novel")
    if count > len(known):
        raise SystemExit(f"{count} base classes were asked for, {len(known)} are not novel; lower --counts")
    return tuple(np.random.default_rng(seed).permutation(known)[:count].tolist())


def train_on(cache: FrameMapCache, classes: Sequence[str], method: str, folder: Path, seed: int) -> None:
    """Train a method on some classes alone and embed the novel ones."""
    splits = {
        name: "base" if name in classes else split if split == "novel" else UNUSED
        for name, split in cache.class_splits.items()
    }
    limited = cache.with_splits(splits)
    training = preset_config("quick", method=method, seed=seed)
    source, run = (
        MapSource(limited, device=choose_device(training.device)),
        Run(folder, make_run_config(limited, training)),
    )
    source.load()
    begin(run)
    embed_held_out(fit_run(folder, source, run.config), source, run, splits=("novel",))


def accuracies(result: Evaluation, score: str) -> tuple[Accuracy, ...]:
    """The accuracy of a score by number of shots."""
    return tuple(outcome.accuracies[score] for outcome in result.outcomes)


def table(reached: Reached, counts: Sequence[int], number: int) -> str:
    """A row a line, a column a number of base classes, of one number of shots."""
    rows = [
        (f"{method}, {score}", *(cell(of[count][number]) if count in of else "" for count in counts))
        for (method, score), of in reached.items()
    ]
    headers = (f"{SHOTS[number]}-shot, %", *map(str, counts))
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def cell(reached: Accuracy) -> str:
    """An accuracy with its interval."""
    low, high = reached.bootstrap95
    return f"{reached.accuracy:.1f} ({low:.1f} to {high:.1f})"


def picture(reached: Reached, path: Path) -> None:
    """Draw a line a method and score, one picture a number of shots."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    for number, (axes, shot) in enumerate(zip(figure.subplots(1, len(SHOTS), sharey=True), SHOTS, strict=True)):
        for (method, score), of in reached.items():
            values = [of_shots[number].accuracy for of_shots in of.values()]
            axes.plot(list(of), values, marker="o", label=f"{method}, {score}")
        axes.set(title=f"{shot}-shot", xlabel="base classes", ylabel="accuracy on novel classes, %")
        axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path)


if __name__ == "__main__":
    main()
