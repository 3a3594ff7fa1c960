"""The errors that the person at the keyboard can mend, and what is told of all others."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
