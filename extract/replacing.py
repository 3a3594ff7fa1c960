"""Files that are written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a place beside `file` to write to; without an error, what was written there then becomes `file`."""
    fresh = file.with_name(f"{file.name}.new")
    yield fresh
    os.replace(fresh, file)
