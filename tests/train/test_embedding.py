"""Several views of a video are embedded, and their embeddings averaged."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.system.errors import InputError
from hcl.match.embeddings import Embeddings
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE
from hcl.train.data.map_source import MapSource
from hcl.train.embedding import embed, embedded_batches
from hcl.train.encoders.untrained import Untrained
from hcl.train.runs.embed_cache import embed_cache
from hcl.train.runs.run_folder import load_encoder
from hcl.train.runs.running import train

MakeCache = Callable[..., ZarrCache]
SMALL = {"dim": 16, "heads": 2, "mlp_dim": 16, "epochs": 1, "steps_per_epoch": 3, "val_episodes": 20}
OF_ONE_VIEW = ("patches", "class_keys")


def quick_train(cache: ZarrCache, run: Path, **given: Any) -> None:
    settings = SMALL | {"device": "cpu"} | given
    train(cache.path, run=run, preset="quick", splits=None, settings=settings)


def arrays_of(encoder: Any, cache: ZarrCache, row: int, view: int) -> dict[str, torch.Tensor]:
    """What an encoder makes of one view of a video of class g."""
    assert cache.text_embeddings is not None
    text = torch.from_numpy(cache.text_embeddings[[cache.class_names.index("g")]])
    found = embed(encoder, torch.from_numpy(cache.view(row, view))[None], text)
    return dict(found.arrays() if isinstance(found, Embeddings) else found)


@pytest.mark.parametrize(("test_views", "averaged"), [(0, 3), (1, 1), (2, 2)])
@pytest.mark.parametrize("method", ["hcl", "protonet", "trx", "resnet"])
def test_a_store_averages_the_embeddings_of_views(
    make_cache: MakeCache, tmp_path: Path, method: str, test_views: int, averaged: int
) -> None:
    cache = make_cache(tmp_path / "cache.zarr", views=3)
    quick_train(cache, tmp_path / "run", method=method, test_views=test_views)
    embed_cache(cache.path, tmp_path / "all.zarr", run=tmp_path / "run", device="cpu")
    encoder, row = load_encoder(tmp_path / "run"), cache.videos.path.index("g/2.mp4")
    of_views = [arrays_of(encoder, cache, row, view) for view in range(averaged)]
    for path in (tmp_path / "run" / STORE, tmp_path / "all.zarr"):
        store = EmbeddingStore.open(path)
        place = np.array([store.videos.path.index("g/2.mp4")])
        stored = store.arrays(list(of_views[0]), place)
        for name, array in stored.items():
            mean = sum(arrays[name] for arrays in of_views) / averaged
            expected = of_views[0][name] if name in OF_ONE_VIEW else mean
            torch.testing.assert_close(array.float(), expected, rtol=1e-3, atol=1e-3)
        canonical = cache.maps(row).astype(np.float32).mean(axis=(0, 1))
        np.testing.assert_allclose(store.mean_map[place[0]], canonical, rtol=1e-4, atol=1e-5)


def test_batches_of_a_store_are_those_without_mean_maps(make_cache: MakeCache, tmp_path: Path) -> None:
    source = MapSource(make_cache(tmp_path / "cache.zarr", views=2))
    rows = source.cache.rows()[3:23]
    pairs = zip(
        embedded_batches(Untrained(), source, rows, views=2),
        embedded_batches(Untrained(), source, rows, views=2, mean_maps=False),
        strict=True,
    )
    sizes = []
    for whole, without in pairs:
        torch.testing.assert_close(whole.arrays, without.arrays, rtol=0, atol=0)
        assert whole.mean_map.shape[1] == 12 and without.mean_map.shape == (len(whole), 0)
        sizes.append(len(whole))
    assert sum(sizes) == 20 and len(sizes) == 3


def test_untrained_embeddings_take_all_views_or_those_asked_for(make_cache: MakeCache, tmp_path: Path) -> None:
    cache = make_cache(tmp_path / "cache.zarr", views=3)
    row = cache.videos.path.index("g/2.mp4")
    known = np.concatenate([cache.rows("base"), cache.rows("val")])
    mean = np.stack([cache.maps(int(other)) for other in known]).astype(np.float32).mean(axis=(0, 1, 2))
    encoder = Untrained(torch.from_numpy(mean))  # of canonical views that are not novel
    views = [arrays_of(encoder, cache, row, view)["global"] for view in range(3)]
    for test_views, expected in ((None, sum(views) / 3), (0, sum(views) / 3), (1, views[0])):
        path = tmp_path / f"{test_views}.zarr"
        embed_cache(cache.path, path, test_views=test_views, device="cpu")
        found = EmbeddingStore.open(path).embeddings(np.array([row])).global_
        torch.testing.assert_close(found, expected)


def test_more_views_than_there_are_cannot_be_embedded(make_cache: MakeCache, tmp_path: Path) -> None:
    cache, other = make_cache(tmp_path / "cache.zarr", views=2), make_cache(tmp_path / "other.zarr")
    message = r"--test-views 3: .*cache.zarr holds 2 of each video; extract more with hcl extract --views"
    with pytest.raises(InputError, match=message):
        quick_train(cache, tmp_path / "run", test_views=3)
    assert not (tmp_path / "run").exists()
    quick_train(cache, tmp_path / "run", test_views=2)
    with pytest.raises(InputError, match="--test-views 2: .*other.zarr holds 1 of each video"):
        embed_cache(other.path, tmp_path / "s.zarr", run=tmp_path / "run", device="cpu")
    embed_cache(other.path, tmp_path / "s.zarr", run=tmp_path / "run", test_views=0, device="cpu")
    assert len(EmbeddingStore.open(tmp_path / "s.zarr").videos) == 28
    with pytest.raises(InputError, match="test.views must be at least 0, got -1"):
        embed_cache(other.path, tmp_path / "t.zarr", run=tmp_path / "run", test_views=-1, device="cpu")
