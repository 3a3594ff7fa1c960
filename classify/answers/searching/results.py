"""What a search found, for people and for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tabulate import tabulate

from hcl.extract.cache.video_table import VideoTable
from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.console import csv_cell, csv_text, plain
from hcl.extract.system.errors import write_errors

SCHEMA, VERSION = "hcl-found", 1


@dataclass(frozen=True)
class Hit:
    """A stored video that is like a query."""

    rank: int  # from 1
    path: str
    label: str
    row: int  # in the store
    score: float  # the mean of the levels that count: 1 for a copy
    global_: float
    temporal: float
    spatial: float  # NaN where a level was not trained
    same_content: bool  # byte-identical to the query

    @classmethod
    def of(cls, videos: VideoTable, row: int, score: float, levels: Sequence[float], *, rank: int, content: str) -> Hit:
        """Name a stored video; `content` is that of the query."""
        same = bool(content) and videos.content[row] == content
        global_, temporal, spatial = levels
        return cls(rank, videos.path[row], videos.label[row], row, score, global_, temporal, spatial, same)

    def to_dict(self) -> dict[str, Any]:
        """Plain types; None for a level that was left out."""
        return _plain(asdict(self))


@dataclass(frozen=True)
class SearchResult:
    """What was found for one query, the most similar first, or the reason why it could not be read."""

    query: str
    hits: tuple[Hit, ...] = ()
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return {"query": self.query, "error": self.error or None, "hits": [hit.to_dict() for hit in self.hits]}


@dataclass(frozen=True)
class NearDuplicate:
    """Two stored videos that are alike."""

    group: int  # pairs that share videos, directly or through others, are of one group; from 1
    path_a: str
    label_a: str
    row_a: int
    path_b: str
    label_b: str
    row_b: int
    score: float  # the mean of the levels that count, over both directions: 1 for a copy
    global_: float
    temporal: float
    spatial: float
    same_content: bool  # byte-identical

    @classmethod
    def of(
        cls, videos: VideoTable, rows: Sequence[int], score: float, levels: Sequence[float], *, group: int
    ) -> NearDuplicate:
        """Name two stored videos."""
        one, other = rows
        named = (videos.path[one], videos.label[one], one, videos.path[other], videos.label[other], other)
        same = bool(videos.content[one]) and videos.content[one] == videos.content[other]
        global_, temporal, spatial = levels
        return cls(group, *named, score, global_, temporal, spatial, same)

    def to_dict(self) -> dict[str, Any]:
        """Plain types; None for a level that was left out."""
        return _plain(asdict(self))


def as_table(results: Sequence[SearchResult]) -> str:
    """A table for each query, for a terminal."""
    blocks = []
    for result in results:
        head = plain(result.query)
        rows = [_shown(hit.to_dict()) for hit in result.hits]
        text = f"cannot be read: {plain(result.error)}" if result.error else _table(rows)
        blocks.append(f"{head}\n{text}")
    return "\n\n".join(blocks)


def pairs_table(pairs: Sequence[NearDuplicate], top: int) -> str:
    """The first pairs, for a terminal, and how many there are."""
    groups = len({pair.group for pair in pairs})
    videos = len({row for pair in pairs for row in (pair.row_a, pair.row_b)})
    counted = f"{len(pairs)} pairs of {videos} videos in {groups} groups"
    if not pairs:
        return counted
    more = f"; the first {top}, all with --csv or --json" if len(pairs) > top else ""
    without = ("row_a", "row_b")
    rows = [{name: cell for name, cell in pair.to_dict().items() if name not in without} for pair in pairs[:top]]
    return f"{_table([_shown(row) for row in rows])}\n\n{counted}{more}"


def write_results_csv(file: Path, results: Sequence[SearchResult]) -> None:
    """Write a row for each hit, and one for each query that could not be read.

    Raises:
        InputError: if the file cannot be written
    """
    names = [_column(each.name) for each in fields(Hit)]
    rows: list[list[object]] = [["query", *names, "error"]]
    for result in results:
        query = csv_cell(result.query)
        rows += [[query, *_cells(hit.to_dict()), ""] for hit in result.hits]
        if result.error:
            rows.append([query, *[""] * len(names), csv_cell(result.error)])
    _write(file, csv_text(rows), "--csv")


def write_pairs_csv(file: Path, pairs: Sequence[NearDuplicate]) -> None:
    """Write a row for each pair.

    Raises:
        InputError: if the file cannot be written
    """
    head = [_column(each.name) for each in fields(NearDuplicate)]
    _write(file, csv_text([head, *(_cells(pair.to_dict()) for pair in pairs)]), "--csv")


def write_json(file: Path, name: str, entries: Sequence[SearchResult] | Sequence[NearDuplicate], store: Path) -> None:
    """Write all entries under a name.

    Raises:
        InputError: if the file cannot be written
    """
    content = {"schema": SCHEMA, "version": VERSION, "store": str(store), name: [each.to_dict() for each in entries]}
    _write(file, json.dumps(content, indent=1, allow_nan=False) + "\n", "--json")


def _write(file: Path, text: str, option: str) -> None:
    with write_errors(file, f"name another file with {option}"), atomic_file(file) as fresh:
        fresh.write_text(text, encoding="utf-8")


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {_column(name): None if _is_nan(value) else value for name, value in values.items()}


def _column(name: str) -> str:
    return name.rstrip("_")


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _cells(values: dict[str, Any]) -> list[object]:
    """As a spreadsheet shows them."""
    return [_cell(value) for value in values.values()]


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return csv_cell(value) if isinstance(value, str) else f"{value:.6g}" if isinstance(value, float) else value


def _shown(values: dict[str, Any]) -> dict[str, str]:
    """As a terminal shows them: copies are marked behind the path."""
    copy = values.pop("same_content")
    cells = {name: f"{cell:.3f}" if isinstance(cell, float) else plain(cell or "") for name, cell in values.items()}
    last = "path" if "path" in cells else "path_b"
    return cells | ({last: f"{cells[last]} (copy)"} if copy else {})


def _table(rows: Sequence[dict[str, str]]) -> str:
    return tabulate(rows, headers="keys", disable_numparse=True, tablefmt="github") if rows else "nothing found"
