"""Classes into base, val and novel: by a seeded shuffle, and counted."""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from hcl.extract.config import SPLITS
from hcl.extract.system.errors import InputError

SplitCounts = dict[str, dict[str, int]]  # by split: videos by class


def split_classes(names: Iterable[str], seed: int, settled: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give every class a split: about 64 : 12 : 24, at least 5 novel and 2 val, by a seeded shuffle.

    Args:
        names: all classes
        seed: of the shuffle
        settled: splits that some classes have already; each other class joins the split that lacks most

    Raises:
        InputError: if there are fewer than 10 classes
    """
    names, splits = sorted(set(names)), dict(settled or {})
    if len(names) < 10:
        raise InputError(
            f"{len(names)} classes are too few to split (5 novel and 2 val classes need 10 in all);"
            " give splits (base/ val/ novel/ folders or a split column), or use --split-policy all-novel"
        )
    novel, val = max(5, round(0.24 * len(names))), max(2, round(0.12 * len(names)))
    sizes = {"novel": novel, "val": val, "base": len(names) - novel - val}
    new = [name for name in names if name not in splits]
    for place in np.random.default_rng(seed).permutation(len(new)):
        missing = {split: sizes[split] - list(splits.values()).count(split) for split in sizes}
        splits[new[place]] = max(missing, key=lambda split: missing[split])
    return {name: splits[name] for name in names}


def count_splits(labels: Iterable[str], splits: Iterable[str]) -> SplitCounts:
    """Count the videos of each class, split by split.

    Args:
        labels: class of each video
        splits: split of each video

    Returns:
        the number of videos by split and class; every split is there, be it empty
    """
    counts = Counter(zip(splits, labels, strict=True))
    return {split: {label: counts[of, label] for of, label in sorted(counts) if of == split} for split in SPLITS}


def split_lines(counts: SplitCounts) -> list[str]:
    """Describe each split in one line: its classes, and how many videos each of them has."""
    lines = []
    for split, classes in counts.items():
        named = ", ".join(f"{name} ({count})" for name, count in classes.items())
        total = sum(classes.values())
        lines.append(f"{split:>5}: {len(classes)} classes, {total} videos{': ' if classes else ''}{named}")
    return lines
