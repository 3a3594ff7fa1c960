"""Trees of empty files, which stand for videos and images."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def touch() -> Callable[..., None]:
    """A function that makes files, and the folders above them, below a root."""

    def make(root: Path, *names: str) -> None:
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    return make
