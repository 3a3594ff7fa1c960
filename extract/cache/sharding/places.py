"""Which videos share a shard: a work unit, which one writer alone writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.layout import ChunkKey, MapArray, MapLayout


@dataclass(frozen=True)
class Sharding:
    """How the maps of a cache lie in shards: S videos each, all views of a video in one file of an array."""

    path: Path  # of the cache
    videos: int  # S
    layout: MapLayout
    orders: dict[str, tuple[int, ...] | None]  # of the axes as they are stored, by array

    @cached_property
    def _arrays(self) -> dict[str, MapArray]:
        return self.layout.arrays

    def file(self, name: str, number: int) -> Path:
        """The file of a shard of an array."""
        array = self._arrays[name]
        return self.path / "/".join([name, "c", str(number), *"0" * (len(array.places) + len(array.shape))])

    def count(self, name: str) -> int:
        """How many chunks a shard of an array has room for."""
        return self.videos * (self._arrays[name].views or 1)

    def place(self, key: ChunkKey) -> tuple[int, int]:
        """The number of the shard that holds a chunk, given its place in the array, and where in it the chunk is."""
        name, (row, *further) = key
        number, within = divmod(row, self.videos)
        return number, within * (self._arrays[name].views or 1) + (further[0] if further else 0)


@dataclass(frozen=True)
class ShardUnit:
    """The videos of a shard that are to be read, and those whose maps stay."""

    number: int  # of the shard
    videos: tuple[tuple[int, Path], ...]  # (row, source) of those to be read
    stored: tuple[int, ...]  # their rows in the arrays
    kept: frozenset[int] = frozenset()  # rows in the arrays of the others whose maps are there

    @property
    def name(self) -> str:
        """What it is called in logs and dashboards."""
        return f"shard {self.number}: {len(self.videos)} videos"


def shard_units(
    pending: Iterable[tuple[int, Path]],
    stored: NDArray[np.int64],
    done: Collection[int],
    videos: int,
) -> list[ShardUnit]:
    """Part what is to be read by shard, in the order of the shards.

    Args:
        pending: row and source of each video that is to be read
        stored: the row in the arrays of every row
        done: rows in the arrays of the videos that have maps
        videos: S, of a shard
    """
    of_shards: dict[int, list[tuple[int, Path]]] = {}
    for row, source in sorted(pending):
        of_shards.setdefault(int(stored[row]) // videos, []).append((row, source))
    kept: dict[int, set[int]] = {}
    for row in done:
        kept.setdefault(int(row) // videos, set()).add(int(row))
    units = []
    for number in sorted(of_shards):
        rows = tuple(int(stored[row]) for row, _ in of_shards[number])
        units.append(ShardUnit(number, tuple(of_shards[number]), rows, frozenset(kept.get(number, ())) - {*rows}))
    return units
