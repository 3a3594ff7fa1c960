"""What the tests of search share: a store with copies and near-copies, and what a loop over all of it finds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hcl.match.config import ScoreConfig
from hcl.match.embeddings import Embeddings
from hcl.match.scoring.scores import match
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.search.nearest import ExactIndex
from hcl.match.store.search.source import StoreSource
from hcl.match.store.search.two_stages import TwoStages

VIDEOS = 40


@pytest.fixture(scope="session")
def archive(
    tmp_path_factory: pytest.TempPathFactory,
    make_embeddings: Callable[..., Embeddings],
    write_embeddings: Callable[..., Path],
) -> Path:
    """40 videos: rows 30 to 34 are copies of 0 to 4, rows 35 to 39 nearly those of 5 to 9."""
    return write_embeddings(tmp_path_factory.mktemp("archive") / "store.zarr", with_copies(make_embeddings(VIDEOS)))


def with_copies(found: Embeddings) -> Embeddings:
    noise = torch.Generator().manual_seed(7)
    parts = {}
    for name in ("global_", "clips", "patches"):
        array = getattr(found, name).clone()
        array[30:35] = array[:5]
        array[35:40] = array[5:10] + 0.1 * torch.randn(array[5:10].shape, generator=noise)
        parts[name] = array.half().float() if name == "patches" else array
    return replace(found, **parts)


@pytest.fixture
def stages(archive: Path) -> TwoStages:
    return stages_of(archive)


def stages_of(path: Path, **changed: object) -> TwoStages:
    source = StoreSource(EmbeddingStore.open(path))
    return replace(TwoStages(source, ExactIndex(source), ScoreConfig().of_pairs), **changed)  # type: ignore[arg-type]


def all_scores(stages: TwoStages) -> np.ndarray:
    """(V, V, 3) by `match`, without class keys: each row as the query of each."""
    whole = stages.source.embeddings(np.arange(len(stages.source)))
    scores = match(whole, replace(whole, class_keys=None))
    return np.stack([level.numpy() for level in (scores.global_, scores.temporal, scores.spatial)], axis=-1)
