"""Maps by rows and views, and behind layer 4 where the cache ends before it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.train.data.map_source import MapSource
from hcl.train.encoders.untrained import MeanMaps, Untrained

MakeCache = Callable[..., ZarrCache]


@pytest.fixture
def cache(make_cache: MakeCache, tmp_path: Path) -> ZarrCache:
    return make_cache(tmp_path / "cache.zarr", views=2)


def test_maps_are_those_of_the_rows_and_the_view(cache: ZarrCache) -> None:
    source, rows = MapSource(cache), np.array([5, 0, 9])
    for view in range(2):
        maps = source.read(rows, view)
        expected = np.stack([cache.view(int(row), view) for row in rows])
        np.testing.assert_array_equal(maps.stored.numpy(), expected)
        for encoder in (Untrained(), MeanMaps()):
            assert torch.equal(maps.for_encoder(encoder), maps.stored)
        means = expected.astype(np.float32).mean(axis=(1, 2))
        np.testing.assert_allclose(maps.mean_map(), means, rtol=1e-5, atol=1e-6)
    assert source.layer4 is None


def test_texts_are_those_of_the_videos_classes(cache: ZarrCache, make_cache: MakeCache, tmp_path: Path) -> None:
    rows = np.array([27, 0, 4])
    texts = MapSource(cache).class_texts(rows)
    assert texts is not None and cache.text_embeddings is not None
    numbers = [cache.class_names.index(cache.videos.label[row]) for row in rows]
    np.testing.assert_array_equal(texts.numpy(), cache.text_embeddings[numbers])
    assert MapSource(make_cache(tmp_path / "no text.zarr", text=False)).class_texts(rows) is None
