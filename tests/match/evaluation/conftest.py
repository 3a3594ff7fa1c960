"""Stores that also hold what is known of their videos without gradients."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hcl.extract.cache.video_table import VideoTable
from hcl.match.config import KNOWN_LEVELS
from hcl.match.embeddings import Embeddings
from hcl.match.store.batch import EmbeddedBatch
from hcl.match.store.embedding_store import EmbeddingStore, write_store

SIZE, CLASSES = 5, 6  # videos a class


@pytest.fixture(scope="session")
def draw_known() -> Callable[..., dict[str, Tensor]]:
    """A function that draws what is known of 30 videos, with a class signal of some strength on each level."""

    def draw(seed: int = 0, **signals: float) -> dict[str, Tensor]:
        generator, found = torch.Generator().manual_seed(seed), {}
        for name in KNOWN_LEVELS:
            width = 8 if not name.startswith("untrained") else 20 if name.endswith("motion") else 10
            centres = torch.randn(CLASSES, width, generator=generator).repeat_interleave(SIZE, dim=0)
            noise = torch.randn(CLASSES * SIZE, width, generator=generator)
            found[name] = (signals.get(name, 0.7) * centres + noise) / width**0.5
        return found

    return draw


@pytest.fixture
def write_known(
    tmp_path: Path, make_embeddings: Callable[..., Embeddings], draw_known: Callable[..., dict[str, Tensor]]
) -> Callable[..., EmbeddingStore]:
    """A function that writes a store of 30 videos with these levels, and opens it; everything can be replaced."""

    def write(
        name: str = "known.zarr",
        *,
        embeddings: Embeddings | None = None,
        known: Mapping[str, Tensor] | None = None,
        level_weights: Any = None,
        splits: tuple[str, ...] = ("novel",) * CLASSES,
        **facts: tuple[str, ...],
    ) -> EmbeddingStore:
        found = make_embeddings() if embeddings is None else embeddings
        rows = range(CLASSES * SIZE)
        videos = {
            "path": tuple(f"v{row}.mp4" for row in rows),
            "label": tuple(f"class {row // SIZE}" for row in rows),
            "split": tuple(splits[row // SIZE] for row in rows),
            "group": tuple(f"g{row % SIZE}" for row in rows),
            "content": tuple(f"hash{row}" for row in rows),
        }
        mean_map = found.patches.mean(dim=(1, 2)).numpy().astype(np.float32)
        batch = EmbeddedBatch.of(found, mean_map, draw_known() if known is None else known)
        attributes = {"origin": {}} | ({} if level_weights is None else {"level_weights": level_weights})
        write_store(tmp_path / name, attributes, VideoTable(**videos | facts), [batch])
        return EmbeddingStore.open(tmp_path / name)

    return write
