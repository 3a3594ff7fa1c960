"""The index on disk beside a store: a folder of graphs and index.json, which says of which store and proves them whole.

It is written atomically under a lock, and derived: whoever removes it loses nothing but the time to build it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hcl.extract.system.atomic import HASH, atomic_folder, document_hash, refuse_links, with_hash
from hcl.extract.system.errors import InputError, check_version, first_line, write_errors
from hcl.extract.system.lock import sole_writer
from hcl.extract.system.progress import logger, progress_bar
from hcl.match.store.search.config import GRAPHS
from hcl.match.store.search.graph_file import GraphShape, check_graph_file
from hcl.match.store.search.graph_index import GraphIndex, usearch_index, write_graph
from hcl.match.store.search.source import SearchSource

SCHEMA, VERSION = "hcl-search-index", 1
DESCRIPTION = "index.json"
PART_VIDEOS = 4_000_000  # in a graph, which is built in memory: 3 GB at D = 256 and f16
REMEDY = "remove the folder, and the next search builds the index anew"


def index_folder(store: Path, kind: str, folder: Path | None = None) -> Path:
    """Where the index of a store is: beside it, or in a folder of one's own."""
    name = f"{store.resolve().name}.{kind}-index"
    return store.with_name(name) if folder is None else folder / name


def open_or_build(folder: Path, source: SearchSource, kind: str) -> GraphIndex:
    """Open the index of a store; where there is none, or one of another state of the store, build it.

    Raises:
        InputError: if it is damaged, is something else, cannot be written, or usearch is not installed
    """
    usearch_index()  # a missing package is told before the work
    if not folder.exists():
        build_index(folder, source, kind)
    elif (told := _difference(folder, _read(folder), source, kind)) is not None:
        logger.info(f"{folder}: {told}; built anew")
        build_index(folder, source, kind)
    return open_index(folder, source, kind)


def open_index(folder: Path, source: SearchSource, kind: str) -> GraphIndex:
    """Open an index, all of which is checked before native code sees it.

    Args:
        folder: of the index
        source: whose videos it must hold
        kind: "f16" or "i8"

    Raises:
        InputError: if it is not there, damaged, or of another state of the store
    """
    description = _read(folder)
    if (told := _difference(folder, description, source, kind)) is not None:
        raise InputError(f"{folder}: {told}; {REMEDY}")
    files = []
    for number, part in enumerate(description["parts"]):
        file, shape = folder / _part_name(number), GraphShape(kind, source.width, part["first"], part["count"])
        _check_part(file, shape, part[HASH])
        files.append((file, shape))
    return GraphIndex(files)


def build_index(folder: Path, source: SearchSource, kind: str) -> None:
    """Write the index of a store; one that stands there is replaced when the new one is whole.

    Args:
        folder: of the index
        source: of V videos
        kind: "f16" or "i8"

    Raises:
        InputError: if something else stands there, another process writes it, it cannot be written, or usearch is not
            installed or writes a format that is not known
    """
    usearch_index()
    remedy = "name a folder with --index-folder"
    with write_errors(folder, remedy), sole_writer(folder, remedy):
        if folder.exists():
            _read(folder)  # refuses what is none of ours
        with atomic_folder(folder) as building, progress_bar(len(source), "video", "index") as bar:
            parts = []
            for number, shape in enumerate(_shapes(source, kind)):
                file = building / _part_name(number)
                write_graph(file, source, shape, bar)
                _check_fresh(file, shape)
                parts.append({"first": shape.first, "count": shape.count, HASH: _file_hash(file)})
            described = {**_of_source(source, kind), "parts": parts}
            (building / DESCRIPTION).write_text(json.dumps(with_hash(described), indent=1), encoding="utf-8")


def _of_source(source: SearchSource, kind: str) -> dict[str, Any]:
    """What an index of a store must say of it."""
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "kind": kind,
        "fingerprint": source.fingerprint,
        "videos": len(source),
        "width": source.width,
    }


def _difference(folder: Path, description: Mapping[str, Any], source: SearchSource, kind: str) -> str | None:
    """In what an index is of another store, or of another state of it; None: it is of this one."""
    expected = _of_source(source, kind)
    if any(description.get(name) != value for name, value in expected.items()):
        return "an index of other embeddings than the store now holds"
    shapes = [asdict(shape) for shape in _shapes(source, kind)]
    parts = [
        {"kind": kind, "width": source.width, "first": p["first"], "count": p["count"]} for p in description["parts"]
    ]
    return None if parts == shapes else "an index in parts of other sizes"


def _shapes(source: SearchSource, kind: str) -> Iterator[GraphShape]:
    for first in range(0, len(source), PART_VIDEOS):
        yield GraphShape(kind, source.width, first, min(PART_VIDEOS, len(source) - first))


def _part_name(number: int) -> str:
    return f"part-{number}.usearch"


def _read(folder: Path) -> dict[str, Any]:
    """Read index.json and check that it is whole."""
    file = folder / DESCRIPTION
    if not folder.is_dir() or not file.is_file():
        raise InputError(f"{folder}: no index of hcl search; {_elsewhere()}")
    refuse_links(folder)
    try:
        description: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        is_ours, whole = description["schema"] == SCHEMA, description.get(HASH) == document_hash(description)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: cannot be read ({first_line(error)}); {REMEDY}") from error
    if not is_ours:
        raise InputError(f"{folder}: no index of hcl search; {_elsewhere()}")
    check_version(folder, SCHEMA, description.get("version"), VERSION, remedy=REMEDY)
    parts = description.get("parts")
    told = ("first", "count", HASH)
    if not whole or description.get("kind") not in GRAPHS or not isinstance(parts, list):
        raise InputError(f"{file}: damaged; {REMEDY}")
    if not all(isinstance(part, dict) and all(name in part for name in told) for part in parts):
        raise InputError(f"{file}: damaged; {REMEDY}")
    return description


def _elsewhere() -> str:
    return "remove it, or name a folder for the index with --index-folder"


def _check_part(file: Path, shape: GraphShape, sha256: str) -> None:
    try:
        if _file_hash(file) != sha256:
            raise ValueError("its SHA-256 is not as written")
        check_graph_file(file, shape)
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: damaged ({first_line(error)}); {REMEDY}") from error


def _check_fresh(file: Path, shape: GraphShape) -> None:
    try:
        check_graph_file(file, shape)
    except ValueError as error:
        raise InputError(
            f"usearch writes a format that is not known here ({error}); install what was tested:"
            ' pip install "hcl[search]"'
        ) from error


def _file_hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
