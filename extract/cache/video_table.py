"""What is known of the videos of a cache or an embedding store, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hcl.extract.config import SPLITS

SHOWN = 10  # videos that a line names, of many
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class VideoTable:
    """The V videos of a store; every column has V entries."""

    path: tuple[str, ...]  # the name of each video
    label: tuple[str, ...]  # its class
    split: tuple[str, ...]  # of its class: "base", "val" or "novel"
    group: tuple[str, ...]  # such as the person filmed; "" where unknown
    content: tuple[str, ...]  # SHA-256 of the source; "" before it was read

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        lengths = {column.name: len(getattr(self, column.name)) for column in fields(self)}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"columns of different lengths: {lengths}")

    def __len__(self) -> int:
        return len(self.path)

    def take(self, rows: Rows) -> VideoTable:
        """Take some of the videos, in the order of the row numbers (n,)."""
        columns = {column.name: getattr(self, column.name) for column in fields(self)}
        return VideoTable(**{name: tuple(values[row] for row in rows) for name, values in columns.items()})

    def rows(self, split: str | None = None) -> Rows:
        """Row numbers (n,) of one split, or of all."""
        return np.flatnonzero([split in (None, own) for own in self.split]).astype(np.int64)

    def with_splits(self, splits: Mapping[str, str]) -> VideoTable:
        """Replace the split of every video by that of its class; a class that is not named keeps its own."""
        named = zip(self.label, self.split, strict=True)
        return replace(self, split=tuple(splits.get(label, split) for label, split in named))

    def duplicates(self, rows: Rows | None = None) -> tuple[Rows, ...]:
        """Find the byte-identical videos among some rows, or all: each set as row numbers, ascending."""
        sets: dict[str, list[int]] = {}
        for row in range(len(self)) if rows is None else rows:
            if self.content[row]:
                sets.setdefault(self.content[row], []).append(int(row))
        return tuple(np.array(members, dtype=np.int64) for members in sets.values() if len(members) > 1)

    @cached_property
    def in_earlier_split(self) -> dict[int, int]:
        """Rows of val and novel videos that are byte-identical to a video of an earlier split, and the row of that.

        Base comes before val, val before novel. A test of such a video would ask for what was trained on. A video
        without a class is in no split.
        """
        order = [SPLITS.index(split) if split in SPLITS else 0 for split in self.split]
        found: dict[int, int] = {}
        for rows in (rows.tolist() for rows in self.duplicates()):
            rows = [row for row in rows if self.split[row]]
            first = min(rows, key=lambda row: order[row], default=0)
            found |= {row: first for row in rows if order[row] > order[first]}
        return found

    def same_as(self, pairs: Mapping[int, int]) -> tuple[str, ...]:
        """Name byte-identical videos by their splits and paths: "novel b/1.mp4 = base a/1.mp4"."""
        named = [f"{split} {path}" for split, path in zip(self.split, self.path, strict=True)] if pairs else []
        return tuple(f"{named[row]} = {named[other]}" for row, other in sorted(pairs.items()))


def left_out_text(same: tuple[str, ...]) -> str:
    """Say in one line which videos are left out of a later split, as `VideoTable.same_as` names them."""
    more = f" and {len(same) - SHOWN} more" if len(same) > SHOWN else ""
    return (
        f"left out, {len(same)} val or novel videos that are byte-identical to a video of an earlier split:"
        f" {'; '.join(same[:SHOWN])}{more}"
    )
