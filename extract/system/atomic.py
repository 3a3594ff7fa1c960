"""Files and folders that are written whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_file(file: Path) -> Iterator[Path]:
    """Give a place beside `file` to write to; without an error, what was written there then becomes `file`."""
    fresh = file.with_name(f"{file.name}.new")
    yield fresh
    os.replace(fresh, file)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Do the same for a folder, which may be there already: the old one stands until the new one is whole."""
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    yield fresh
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
