"""How many videos of which classes each split holds."""

from __future__ import annotations

from collections import Counter

from hcl.extract.cache.video_table import VideoTable
from hcl.extract.config import SPLITS

SplitCounts = dict[str, dict[str, int]]  # by split: videos by class


def count_splits(videos: VideoTable) -> SplitCounts:
    """Count the videos of each class, split by split; every split is there, be it empty."""
    counts = Counter(zip(videos.split, videos.label, strict=True))
    return {split: {label: counts[of, label] for of, label in sorted(counts) if of == split} for split in SPLITS}


def split_lines(counts: SplitCounts) -> list[str]:
    """Tell the counts in one line a split."""
    lines = []
    for split, classes in counts.items():
        named = ", ".join(f"{name} ({count})" for name, count in classes.items())
        total = sum(classes.values())
        lines.append(f"{split:>5}: {len(classes)} classes, {total} videos{': ' if classes else ''}{named}")
    return lines
