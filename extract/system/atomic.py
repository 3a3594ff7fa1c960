"""Files and folders that are written whole or not at all, never through a link that somebody laid there, and JSON
documents that prove themselves whole by their SHA-256, whatever the order of their keys.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hcl.extract.system.errors import InputError

UNFINISHED = ".new"  # ends the name of what is being written; a killed process leaves it behind
HASH = "sha256"  # the key of a document that proves itself


@contextmanager
def atomic_file(file: Path) -> Iterator[Path]:
    """Write a file whole or not at all: give an empty file beside it, and rename that into place after the block.

    After an error in the block `file` is as it was, and what was written beside it is removed. Of several processes
    that write the same file at once each has a file of its own beside it: the last one counts.
    """
    fresh = file.with_name(f"{file.name}.{os.getpid()}{UNFINISHED}")
    fresh.unlink(missing_ok=True)  # of a killed process, or a link
    fresh.open("xb").close()
    try:
        yield fresh
        os.replace(fresh, file)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Write a folder whole or not at all: give an empty one beside it, and rename that into place after the block.

    A folder that is there already stands until the new one is whole. One process at a time: hold a lock.
    """
    fresh = folder.with_name(folder.name + UNFINISHED)
    _remove(fresh)
    fresh.mkdir()
    yield fresh
    _remove(folder)
    fresh.rename(folder)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left of files that they were writing into a folder; hold its lock."""
    for entry in folder.glob(f"*{UNFINISHED}"):
        _remove(entry)


def _remove(path: Path) -> None:
    """Remove a folder with all that is in it, or a link or file, but never what a link leads to."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def stays_within(folder: Path, path: Path) -> bool:
    """Whether a path in a folder is in it wherever links lead; the folder itself may be one."""
    step = os.fspath(folder)
    for part in os.fspath(path).removeprefix(step + os.sep).split(os.sep):
        step += os.sep + part
        if os.path.islink(step):  # seldom: to resolve every path would take ten times as long
            return os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep)
    return True


def refuse_links(folder: Path, *, depth: int = 1) -> None:
    """Refuse a folder that holds links which lead out of it: what is written there would change other files.

    Args:
        folder: that may be a stranger's
        depth: 1 looks at its entries, 2 at theirs as well, and so on

    Raises:
        InputError: if there is such a link; the message names it
    """
    for path in _links(folder, depth):
        if not stays_within(folder, path):
            raise InputError(
                f"{path}: a link out of {folder} to {os.readlink(path)}; put a copy of what it leads to in its place"
            )


def _links(folder: str | Path, depth: int) -> Iterator[Path]:
    """The links in a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                yield Path(entry.path)
            elif depth > 1 and entry.is_dir():
                yield from _links(entry.path, depth - 1)


def json_hash(content: Any) -> str:
    """The SHA-256, in hexadecimal, of what JSON can say."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def document_hash(content: Mapping[str, Any], without: str = HASH) -> str:
    """The SHA-256 of what a document says, but for the key that holds it."""
    return json_hash({name: value for name, value in content.items() if name != without})


def plain_json(content: Mapping[str, Any]) -> dict[str, Any]:
    """What comes back when a document is read, such as lists for tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(content))
    return plain


def with_hash(content: Mapping[str, Any]) -> dict[str, Any]:
    """A document as it is to be written, with its hash."""
    plain = plain_json(content)
    return plain | {HASH: document_hash(plain)}
