"""One writer at a time: a lock beside what is written that names its holder and dies with it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from hcl.extract.system.atomic import in_bucket
from hcl.extract.system.errors import InputError, write_errors

LOCK_NAMES = (".lock", ".writer")  # of a folder, or the endings of the names beside it: the lock, and who holds it


@contextmanager
def sole_writer(
    path: Path, remedy: str = "check the folder and its permissions", *, inside: bool = False
) -> Iterator[Callable[[], None]]:
    """Hold the lock of a cache, store or run; the operating system frees it when the process ends, however it ends.

    The lock's file stays beside it. It is removed where nothing was made, with the folders that were made for it, and
    where the work was refused because of what stands there. In a bucket it is a claim, which another process may take
    over from one that was cut off: long work asks now and then whether it is still held.

    Args:
        path: of the cache, store or run
        remedy: where no lock can be made
        inside: whether the lock is in the folder `path`, and only while it is held

    Yields:
        what raises InputError once the lock is not held any more

    Raises:
        InputError: if another process holds it, which the message names, or a link stands in the lock's place
    """
    if in_bucket(path):
        with path.sole_writer() as claim:
            yield claim.check
        return
    with write_errors(path, remedy):  # such as for a name that is too long, or a folder that must not be entered
        path.exists()
    lock, holder = (path / name if inside else path.with_name(path.name + name) for name in LOCK_NAMES)
    if lock.is_symlink() or (lock.exists() and not lock.is_file()):
        raise InputError(f"{lock}: expected the lock of {path.name}, a plain file; remove what stands in its place")
    made = [folder for folder in lock.parents if not folder.exists()]  # the inner ones first
    held, is_other, refused = FileLock(lock, timeout=0), path.exists() and not lock.exists(), False
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held.acquire()
        holder.unlink(missing_ok=True)  # of a killed process, or a link: it is never written through
        with holder.open("x", encoding="utf-8") as file:
            file.write(f"process {os.getpid()}")
    except Timeout:
        raise InputError(
            f"{path}: {_name_of(holder)} is writing to it; wait until it ends or stop it, then run again"
        ) from None
    except OSError as error:
        held.release()
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); {remedy}") from error
    try:
        yield _held_to_the_end
    except InputError:
        refused = is_other  # something else stands there, which nobody locked
        raise
    finally:
        holder.unlink(missing_ok=True)
        if inside or refused or not path.exists():
            with suppress(PermissionError):  # Windows removes no file that is open
                lock.unlink(missing_ok=True)
        held.release()
        with suppress(OSError):  # there is something in it
            if inside:
                path.rmdir()
            for folder in made if not path.exists() else []:
                if folder != path:
                    folder.rmdir()


def _held_to_the_end() -> None:
    """Nothing: the operating system takes no lock away."""


def _name_of(holder: Path) -> str:
    """The process that a holder's file names, if that is what it says."""
    try:
        text = holder.read_text(encoding="utf-8")[:40]
    except (OSError, ValueError):
        text = ""
    return text if text.startswith("process ") and text[8:].isdecimal() else "another process"
