"""Files and folders that are written whole or not at all, never through a link that somebody laid there, and JSON
documents that prove themselves whole by their SHA-256, whatever the order of their keys.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeGuard

from hcl.extract.system.errors import InputError

UNFINISHED = ".new"  # ends the name of what is being written; a killed process leaves it behind
URL = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):/")  # s3:// or s3:/; one letter, as in C:/, is a drive of Windows
HASH = "sha256"  # the key of a document that proves itself


class InBucket(Protocol):
    """What a place in a bucket does in its own way, see `hcl.extract.system.places.location.RemotePath`."""

    def sole_writer(self) -> AbstractContextManager[Any]:
        """Let one process write."""

    def built_whole(self) -> AbstractContextManager[Path]:
        """Let a store appear when it is whole."""

    def zarr_place(self) -> dict[str, Any]:
        """What zarr opens."""

    def read_many(self, names: Sequence[str], most: int | None = None) -> list[bytes]:
        """Read several objects below, each of at most some bytes, side by side."""

    def read_bytes(self) -> bytes:
        """Read the object."""

    def read_range(self, start: int, length: int) -> bytes:
        """Read some bytes of the object."""

    def write_bytes(self, data: Any) -> int:
        """Write the object, whole or not at all."""

    def stat(self) -> Any:
        """Its size and the time of its last change, as of a file."""

    def upload(self, file: Path) -> None:
        """Write the object from a local file."""

    def remove_all(self) -> None:
        """Delete every object below."""


def names_url(given: str) -> bool:
    """Whether a text is a URL, or looks like a part of one, and not a path."""
    return URL.match(given) is not None


def shown_url(given: str) -> str:
    """A URL without a query and what stands before an @: either may be a password."""
    return re.sub(r"//[^@]*@", "//...@", given.partition("?")[0])


def in_bucket(path: object) -> TypeGuard[InBucket]:
    """Whether a place is in a bucket, not on this machine."""
    return not isinstance(path, Path)


@contextmanager
def atomic_file(file: Path) -> Iterator[Path]:
    """Write a file whole or not at all: give an empty file beside it, and rename that into place after the block.

    After an error in the block `file` is as it was, and what was written beside it is removed. Of several processes
    that write the same file at once each has a file of its own beside it: the last one counts.
    """
    name = file.name
    if in_bucket(file):  # an object is replaced at once
        with TemporaryDirectory(prefix="hcl-") as folder:
            local = Path(folder) / name
            local.touch()
            yield local
            file.upload(local)
        return
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
    if in_bucket(folder):
        with folder.built_whole() as building:
            yield building
        return
    fresh = folder.with_name(folder.name + UNFINISHED)
    _remove(fresh)
    fresh.mkdir()
    yield fresh
    _remove(folder)
    fresh.rename(folder)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left of files that they were writing into a folder; hold its lock."""
    for entry in () if in_bucket(folder) else folder.glob(f"*{UNFINISHED}"):  # a bucket's claim mends what is there
        _remove(entry)


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it, if it is there."""
    if in_bucket(folder):
        folder.remove_all()
    elif folder.exists():
        shutil.rmtree(folder)


def _remove(path: Path) -> None:
    """Remove a folder with all that is in it, or a link or file, but never what a link leads to."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def stays_within(folder: Path, path: Path) -> bool:
    """Whether a path in a folder is in it wherever links lead; the folder itself may be one. Buckets have no links."""
    if in_bucket(folder):
        return True
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
    for path in () if in_bucket(folder) else _links(folder, depth):
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
