"""Train on some classes of a cache and evaluate on the others, rotating which: with few classes one split says little.

    python benchmarks/rotations.py cache.zarr --novel 5 --rotations 3 --out rotations/

Runs the commands a user would run (hcl train --folds, hcl evaluate --json), skips what is done, prints a table.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
from tabulate import tabulate

from hcl.extract.open_cache import open_cache

ROWS = ("resnet", "global", "temporal", "spatial", "global+temporal+spatial")


def main() -> None:
    """Run all rotations and print their accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--out", type=Path, default=Path("rotations"))
    parser.add_argument("--novel", type=int, default=5, help="novel classes in each rotation; all others are base")
    parser.add_argument("--rotations", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the order of classes that is rotated")
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--train", default="", help="further options of hcl train")
    given = parser.parse_args()
    names = sorted(open_cache(given.cache).class_names)
    names = [names[place] for place in np.random.default_rng(given.seed).permutation(len(names))]
    results: dict[str, list[dict[str, float]]] = {}
    for rotation in range(given.rotations):
        run = given.out / f"rotation{rotation}"
        train(given.cache, run, folds(names, rotation, given.novel, given.out), given.train.split())
        for shot in (1, 5):
            for options in ([], ["--group-disjoint"]):
                name = f"{shot}-shot{', group-disjoint' if options else ''}"
                found = evaluate(run, shot, given.episodes, options)
                if found:
                    results.setdefault(name, []).append(found)
    for name, found_all in results.items():
        print(f"\n5-way {name}, rotations {len(found_all)}")
        rows = [[row, *(f"{f[row]:.1f}" for f in found_all), f"{mean(row, found_all):.1f}"] for row in ROWS]
        print(tabulate(rows, headers=["score", *map(str, range(len(found_all))), "mean"], tablefmt="github"))


def mean(row: str, found: list[dict[str, float]]) -> float:
    """The mean accuracy of a score over rotations."""
    return statistics.mean(each[row] for each in found)


def folds(names: list[str], rotation: int, novel: int, out: Path) -> Path:
    """Write the folds of a rotation: the next `novel` classes in the drawn order are novel."""
    out.mkdir(parents=True, exist_ok=True)
    chosen = {names[(rotation * novel + place) % len(names)] for place in range(novel)}
    file = out / f"folds{rotation}.csv"
    file.write_text("label,fold\n" + "".join(f"{n},{'novel' if n in chosen else 'base'}\n" for n in names))
    return file


def train(cache: Path, run: Path, folds: Path, options: list[str]) -> None:
    """Train one rotation unless it is done."""
    if not (run / "embeddings.zarr").is_dir():
        hcl("train", cache, "--run", run, "--folds", folds, *options)


def evaluate(run: Path, shot: int, episodes: int, options: list[str]) -> dict[str, float] | None:
    """Evaluate one rotation; None where the episodes cannot be drawn."""
    file = run / f"report{shot}{''.join(options)}.json"
    if not file.is_file() and not hcl(
        *("evaluate", run, "--shot", shot, "--episodes", episodes, "--json", file, *options), needed=False
    ):
        return None
    report = json.loads(file.read_text())
    named = {name: value["accuracy"] for name, value in report["levels"].items()}
    return named | {"resnet": report["baseline"]["accuracy"]}


def hcl(*arguments: object, needed: bool = True) -> bool:
    """Run a command of hcl."""
    command = [sys.executable, "-m", "hcl.cli", *map(str, arguments)]
    print("$ hcl", *arguments, flush=True)
    return subprocess.run(command, check=needed, stdout=sys.stderr).returncode == 0


if __name__ == "__main__":
    main()
