"""Files and folders that are written whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".new"  # ends the name of what is being written; a killed process leaves it behind


@contextmanager
def atomic_file(file: Path) -> Iterator[Path]:
    """Write a file whole or not at all: give a path beside it, and rename that into place after the block.

    After an error in the block `file` is as it was, and what was written beside it is removed.
    """
    fresh = file.with_name(file.name + UNFINISHED)
    try:
        yield fresh
        os.replace(fresh, file)
    except BaseException:
        if fresh.is_file():
            fresh.unlink()
        raise


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Write a folder whole or not at all: give a path beside it, and rename that into place after the block.

    A folder that is there already stands until the new one is whole.
    """
    fresh = folder.with_name(folder.name + UNFINISHED)
    shutil.rmtree(fresh, ignore_errors=True)
    yield fresh
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
