"""What usearch's file of an index must be before it is opened: native code follows every number in it unchecked.

The layout of format 2, little-endian: vectors (n, bytes) after their two sizes, a header of 64 bytes, five sizes of the
graph, the level of each node, then the nodes: key, level, and on each level a counted list of neighbours. It was read
from the files that usearch 2.26 writes; a build checks its own file, so another layout is noticed there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MAGIC, FORMAT = b"usearch", 2
COSINE, KEYS_OF_64_BITS, SLOTS_OF_32_BITS = 99, 14, 15  # as the header numbers them
SCALARS = {"f16": (12, 2), "i8": (23, 1)}  # kind: its number in the header, bytes
CONNECTIVITY, BASE_CONNECTIVITY = 16, 32  # neighbours of a node on an upper level, and on the lowest
HEADER_BYTES, SIZES_BYTES = 64, 40
NODE_BYTES, LIST_BYTES = 10 + 4 + 4 * BASE_CONNECTIVITY, 4 + 4 * CONNECTIVITY
HIGHEST_LEVEL = 64
NODES_AT_A_TIME = 65536

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class GraphShape:
    """What a file claims to hold, as its description beside it says."""

    kind: str  # "f16" or "i8"
    width: int  # D
    first: int  # row of the first video; keys are rows
    count: int  # videos


def check_graph_file(file: Path, shape: GraphShape) -> None:
    """Refuse a file that native code could not follow safely: every size, key and neighbour is looked at.

    Args:
        file: that usearch wrote, perhaps
        shape: what it should hold

    Raises:
        ValueError: the message says what is wrong
    """
    stored: Bytes = np.memmap(file, np.uint8, mode="r") if file.stat().st_size else np.empty(0, np.uint8)
    number, scalar_bytes = SCALARS[shape.kind]
    row_bytes = shape.width * scalar_bytes
    header = 8 + shape.count * row_bytes
    levels_at = header + HEADER_BYTES + SIZES_BYTES
    nodes_at = levels_at + 2 * shape.count
    _demand(len(stored) >= nodes_at, "shorter than its vectors")
    _demand(_numbers(stored, 0, "<u4", 2) == [shape.count, row_bytes], "vectors of another number or width")
    _check_header(stored[header:levels_at], shape, number)
    levels = stored[levels_at:nodes_at].view("<i2").astype(np.int64)
    _check_levels(levels, _numbers(stored, header + HEADER_BYTES, "<u8", 5))
    starts = np.concatenate(([0], np.cumsum(NODE_BYTES + LIST_BYTES * levels)))
    _demand(len(stored) == nodes_at + starts[-1], "of another length than its nodes")
    keys = _check_nodes(stored[nodes_at:], starts, levels)
    expected = np.arange(shape.first, shape.first + shape.count, dtype=np.uint64)
    _demand(bool(np.array_equal(np.sort(keys), expected)), "keys that are no rows")


def _check_header(header: Bytes, shape: GraphShape, scalar: int) -> None:
    _demand(header[:7].tobytes() == MAGIC, "no index of usearch")
    _demand(_numbers(header, 7, "<u2", 1) == [FORMAT], "another format")
    kinds = [COSINE, scalar, KEYS_OF_64_BITS, SLOTS_OF_32_BITS]
    _demand(header[13:17].tolist() == kinds, "another metric or kind of numbers")
    sizes = [shape.count, 0, shape.width]
    _demand(_numbers(header, 17, "<u8", 3) == sizes and header[41] == 0, "another number of videos")


def _check_levels(levels: NDArray[np.int64], sizes: list[int]) -> None:
    count, connectivity, base, highest, entry = sizes
    _demand(count == len(levels) and count > 0, "a graph of another size")
    _demand([connectivity, base] == [CONNECTIVITY, BASE_CONNECTIVITY], "another number of neighbours")
    _demand(bool((levels >= 0).all()) and levels.max() == highest <= HIGHEST_LEVEL, "levels out of range")
    _demand(entry < count and levels[entry] == highest, "an entry that is no node")


def _check_nodes(nodes: Bytes, starts: NDArray[np.int64], levels: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Check the lists of all nodes and give their keys (n,)."""
    keys = []
    for first in range(0, len(levels), NODES_AT_A_TIME):
        some = slice(first, first + NODES_AT_A_TIME)
        fixed = _gathered(nodes, starts[:-1][some], NODE_BYTES)
        keys.append(fixed[:, :8].copy().view("<u8")[:, 0])
        of_node = fixed[:, 8:10].copy().view("<i2")[:, 0]
        _demand(bool(np.array_equal(of_node, levels[some])), "a node of another level")
        _check_lists(fixed[:, 10:], levels, level=0)
    for level in range(1, int(levels.max()) + 1):
        above = np.flatnonzero(levels >= level)
        at = starts[above] + NODE_BYTES + (level - 1) * LIST_BYTES
        _check_lists(_gathered(nodes, at, LIST_BYTES), levels, level=level)
    return np.concatenate(keys)


def _check_lists(lists: Bytes, levels: NDArray[np.int64], *, level: int) -> None:
    """Check counted lists (n, 4 + 4 k) of neighbours, which must be nodes of that level."""
    numbers = np.ascontiguousarray(lists).view("<u4").astype(np.int64)
    counts, neighbours = numbers[:, 0], numbers[:, 1:]
    _demand(bool((counts <= neighbours.shape[1]).all()), "a list that is too long")
    named = neighbours[np.arange(neighbours.shape[1]) < counts[:, None]]
    _demand(bool((named < len(levels)).all()) and bool((levels[named] >= level).all()), "a neighbour that is no node")


def _gathered(nodes: Bytes, starts: NDArray[np.int64], length: int) -> Bytes:
    """(n, length) bytes from each start."""
    return np.asarray(nodes[starts[:, None] + np.arange(length)])


def _numbers(stored: Bytes, at: int, kind: str, count: int) -> list[int]:
    size = np.dtype(kind).itemsize * count
    numbers: list[int] = np.frombuffer(stored[at : at + size].tobytes(), kind).tolist()
    return numbers


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
