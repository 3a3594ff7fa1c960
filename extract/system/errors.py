"""The errors that the person at the keyboard can mend, and what is told of all others."""

import errno
import json
import mimetypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

KINDS = {  # by its schema, what a store is and which commands take it
    "hcl-cache": "a cache of frame maps, which hcl train, hcl embed and hcl crossval take",
    "hcl-embeddings": "an embedding store, which hcl evaluate, hcl compare and hcl report take",
    "hcl-run": "a run, which hcl evaluate, hcl report and hcl embed --run take",
    "hcl-support": "a support set, which hcl classify and hcl spot take with --support",
    "hcl-scores": "scores that hcl evaluate --score-cache keeps",
}
EXPECTED = {  # what is made how
    "hcl-cache": "a cache, made with: hcl extract VIDEOS CACHE",
    "hcl-embeddings": "a run or an embedding store, made with: hcl train CACHE or hcl embed",
    "hcl-run": "a run, made with: hcl train CACHE --run RUN",
    "hcl-support": "a support set, made with: hcl index FOLDER --out SUPPORT",
    "hcl-scores": "a folder that --score-cache made, or a new name",
}
ENTRIES_SEEN = 1000  # of a folder, to tell what is in it
ASKED_FOR = 10  # the same of a place in a bucket, where each takes a request


class InputError(Exception):
    """Something the user gave cannot be used; the message names it, what was expected and the remedy."""


class VideoError(Exception):
    """One video cannot be read; the message is the reason, in words that a person understands."""


_OUT_OF_RESOURCES = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)  # threads and processes, memory, files


def lacks_resources(error: BaseException) -> bool:
    """Whether the operating system had no memory, thread or open file to spare, which says nothing about the input."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _OUT_OF_RESOURCES)


def first_line(error: BaseException) -> str:
    """What an error says in its first line, or its kind if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def check_version(path: Path, schema: str, version: object, expected: int, *, remedy: str) -> None:
    """Refuse a store that another version of hcl wrote.

    Args:
        path: of the store
        schema: its kind, such as "hcl-cache"
        version: of the schema, as the store says
        expected: the version that is read here
        remedy: how an older store is made anew

    Raises:
        InputError: if the versions differ; the message names both and what to do
    """
    if version == expected:
        return
    is_older = isinstance(version, int) and version < expected
    writer, remedy = ("an older", remedy) if is_older else ("another", "use the version of hcl that wrote it")
    raise InputError(
        f"{path}: written by {writer} hcl: schema {schema} version {version}, this program reads version {expected};"
        f" {remedy}"
    )


@contextmanager
def write_errors(path: Path, remedy: str) -> Iterator[None]:
    """Turn a failure to write into one line for the user.

    Args:
        path: that is written meanwhile
        remedy: such as "name another file with --json"

    Raises:
        InputError: if the operating system refuses
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); {remedy}") from error


def refuse_unwritable(path: Path, option: str, *, kinds: tuple[str, ...] = ("file",)) -> None:
    """Refuse what an option names and cannot be written, before the work whose result it shall hold.

    Args:
        path: to write; what stands there and is neither file nor folder, such as /dev/stdout, is taken as it is
        option: as it is typed
        kinds: what it may be, "file" or "folder" or both

    Raises:
        InputError: if its folder is not there, it is of another kind, or the operating system lets nobody write there
    """
    another = f"name another {kinds[0]} with {option}"
    found = "folder" if path.is_dir() else "file" if path.is_file() else None
    if found and found not in kinds:
        raise InputError(f"{path}: a {found}, expected a {kinds[0]} to write; {another}")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it, or {another}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InputError(f"{path}: cannot be written (no permission); {another}")


def misplaced(path: Path, schema: str) -> InputError:
    """The error for a path at which a store of some schema was expected: it says what stands there and who takes it."""
    return InputError(f"{path}: {what_stands_at(path)}; expected {EXPECTED.get(schema, repr(schema))}")


def what_stands_at(path: Path) -> str:
    """Say what is at a path, such as "a cache of frame maps, which hcl train, hcl embed and hcl crossval take"."""
    if not path.exists():
        return "no such file or folder"
    if path.is_file():
        kind = (mimetypes.guess_type(path.name)[0] or "").partition("/")[0]
        return "a video, of which hcl extract makes a cache" if kind == "video" else "a file"
    if known := KINDS.get(schema_of(path)):
        return known
    most = ENTRIES_SEEN if isinstance(path, Path) else ASKED_FOR
    if held := sorted(entry.name for entry in islice(path.iterdir(), most) if schema_of(entry)):
        return f"a folder of runs or stores ({', '.join(held[:3])}); name one of them"
    names = [entry.name for entry in islice(path.glob("**/*"), ENTRIES_SEEN)]
    if any((mimetypes.guess_type(name)[0] or "").startswith("video/") for name in names):
        return "a folder of videos, of which hcl extract makes a cache"
    return "a folder with nothing of hcl in it" if names else "an empty folder"


def schema_of(folder: Path) -> str:
    """The schema that a folder's metadata name, such as "hcl-cache"; "" where there is none."""
    for name, place in (("zarr.json", "attributes"), ("config.json", "")):
        try:
            stored = json.loads((folder / name).read_text(encoding="utf-8"))
            return str((stored[place] if place else stored)["schema"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return ""
