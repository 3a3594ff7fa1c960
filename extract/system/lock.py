"""One writer at a time: a lock beside the cache that names its holder and dies with it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from hcl.extract.system.errors import InputError


@contextmanager
def sole_writer(cache: Path) -> Iterator[None]:
    """Hold the lock of a cache; the operating system frees it when the process ends, however it ends.

    The lock's file stays beside a cache. Where none was made, because the extraction was refused, it is removed.

    Raises:
        InputError: if another process holds it; the message names that process
    """
    lock, holder = cache.with_name(f"{cache.name}.lock"), cache.with_name(f"{cache.name}.writer")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=0):
            holder.write_text(f"process {os.getpid()}", encoding="utf-8")
            try:
                yield
            finally:
                holder.unlink(missing_ok=True)
                if not cache.exists():
                    with suppress(PermissionError):  # Windows removes no file that is open
                        lock.unlink(missing_ok=True)
    except Timeout:
        name = holder.read_text(encoding="utf-8") if holder.exists() else "another process"
        raise InputError(f"{cache}: {name} is writing to it; wait until it ends or stop it, then run again") from None
