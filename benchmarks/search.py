"""Try settings of the training on validation classes alone, and log what each reaches.

    python benchmarks/search.py cache.zarr settings.json --out search/ --novel 5 --val 3 --way 3 --rotations 3

settings.json names the settings to try: {"name": {"dropout": 0.3, ...}, ...}. Each is cross-validated on the val fold
(its novel classes are not looked at), finished runs are kept, and the table is printed anew after each.
"""

import argparse
import json
from pathlib import Path

from tabulate import tabulate

from hcl.match.config import EpisodeConfig, EvaluationConfig
from hcl.match.rotations import Rotations
from hcl.train.crossval import cross_validate
from hcl.train.crossval_config import CrossvalConfig

SCORES = ("global", "temporal", "spatial", "global+temporal+spatial")


def main() -> None:
    """Cross-validate all settings."""
    given = parse()
    config = CrossvalConfig(novel=given.novel, val=given.val, rotations=given.rotations, seeds=tuple(given.seeds))
    episodes = EpisodeConfig(n_way=given.way, episodes=given.episodes)
    rows = []
    for name, settings in json.loads(given.settings.read_text()).items():
        shared = {"val_way": given.way, **json.loads(given.shared), **settings}
        found = cross_validate(
            *(given.cache, given.out / name.replace(" ", "-"), config, episodes),
            EvaluationConfig(fold="val"),
            shared,
            preset="quick",
            say=lambda _: None,
        )
        rows.append((name, *(f"{found.accuracy(0, score).mean:.1f}" for score in SCORES), *best_epochs(found)))
        print(tabulate(rows, headers=("setting", *SCORES, "best epochs"), tablefmt="github"), flush=True)
        with (given.out / "log.jsonl").open("a", encoding="utf-8") as log:
            reached = {score: found.accuracy(0, score).as_dict() for score in SCORES}
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
    parser.add_argument("--rotations", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--episodes", type=int, default=2000)
    return parser.parse_args()


def best_epochs(found: Rotations) -> tuple[str]:
    """The epochs whose weights were kept, of each run."""
    kept = []
    for of_seeds in found.evaluations:
        for of in of_seeds:
            lines = (of.store.path.parent / "metrics.jsonl").read_text().splitlines()
            kept.append(max(record["epoch"] for record in map(json.loads, lines) if record["best"]))
    return (",".join(map(str, kept)),)


if __name__ == "__main__":
    main()
