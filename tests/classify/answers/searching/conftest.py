"""What the tests of a person's search share: a store of every video of the small cache, by a run and untrained."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hcl.train.runs.embed_cache import embed_cache


@pytest.fixture(scope="session")
def trained_store(trained_run: Path, trained_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All novel videos, embedded by a run on two views."""
    out = tmp_path_factory.mktemp("searched") / "archive.zarr"
    embed_cache(trained_cache, out, run=trained_run, split="novel", device="cpu")
    return out


@pytest.fixture(scope="session")
def untrained_store(trained_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, straight from their maps."""
    out = tmp_path_factory.mktemp("searched") / "untrained.zarr"
    embed_cache(trained_cache, out, split="novel", device="cpu")
    return out


@pytest.fixture
def hostile_store(tmp_path: Path, write_embeddings: Callable[..., Path]) -> Path:
    """Names that would move a cursor or run as a formula."""
    paths = tuple("=cmd()\x1b[31m" if row == 1 else f"v{row}.mp4" for row in range(30))
    return write_embeddings(tmp_path / "hostile.zarr", path=paths, content=("same",) * 2 + ("",) * 28)
