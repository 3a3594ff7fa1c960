"""Try settings of the training on validation classes alone, and log what each reaches.

    python benchmarks/experiments/search.py cache.zarr settings.json --out search/ --novel 5 --val 3 --way 3 --folds 3

settings.json names the settings to try: {"name": {"dropout": 0.3, ...}, ...}. Each is cross-validated on the val split
(its novel classes are not looked at), finished runs are kept, and the table is printed anew after each.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from tabulate import tabulate

from hcl.match.config import EpisodeConfig, EvaluationConfig
from hcl.match.evaluation.cross_validation import CrossValidation
from hcl.train.studies.crossval import cross_validate
from hcl.train.studies.folds import CrossvalConfig

SCORES = ("global", "temporal", "spatial", "headline")  # the last stands for the method: of HCL, the sum of all levels


def main() -> None:
    """Cross-validate all settings."""
    given = parse()
    config = CrossvalConfig(novel=given.novel, val=given.val, folds=given.folds, seeds=tuple(given.seeds))
    episodes = EpisodeConfig(n_way=given.way, episodes=given.episodes)
    rows = []
    for name, settings in json.loads(given.settings.read_text()).items():
        shared = {"val_way": given.way, **json.loads(given.shared), **settings}
        result = cross_validate(
            *(given.cache, given.out / name.replace(" ", "-"), config, episodes),
            EvaluationConfig(split="val"),
            shared,
            preset="quick",
        )
        reached = accuracies(result)
        rows.append((name, *(f"{reached[score]['mean']:.1f}" if score in reached else "" for score in SCORES)))
        print(tabulate(rows, headers=("setting", *SCORES), tablefmt="github"), flush=True)
        with (given.out / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps({"name": name, "settings": shared, "val": reached}) + "\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("settings", type=Path)
    parser.add_argument("--shared", default="{}", help="JSON, settings that all have")
    parser.add_argument("--out", type=Path, default=Path("search"))
    parser.add_argument("--novel", type=int, default=5)
    parser.add_argument("--val", type=int, default=3)
    parser.add_argument("--way", type=int, default=3)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--episodes", type=int, default=2000)
    return parser.parse_args()


def accuracies(result: CrossValidation) -> dict[str, dict[str, Any]]:
    """The accuracies of a method's scores on the val classes."""
    outcome = result.evaluations[0][0].outcomes[0]
    names = {name: name for name in SCORES if name in outcome.accuracies} | {"headline": outcome.headline}
    return {shown: result.accuracy(0, name).to_dict() for shown, name in names.items()}


if __name__ == "__main__":
    main()
