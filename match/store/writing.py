"""Files that a user named: what cannot be written is told with the option that names another place."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hcl.extract.system.errors import InputError


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
        raise InputError(f"{path}: cannot be written ({error.strerror}); {remedy}") from error
