"""What is known of the videos of a cache or an embedding store, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

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
