"""The videos of a cache as a torch Dataset: in a DataLoader's workers, from Zarr and from HDF5."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.cache.formats import convert, open_cache
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.videos import Video
from hcl.extract.system.errors import InputError
from hcl.train.data.cached_maps import CachedMaps, finished_classes

MakeCache = Callable[..., ZarrCache]


@pytest.fixture(params=["zarr", "hdf5"])
def cache(request: pytest.FixtureRequest, make_cache: MakeCache, tmp_path: Path) -> FrameMapCache:
    """A cache of 3 base classes, 2 val and 2 novel ones with 4 videos each, in two views; in either form."""
    made = make_cache(tmp_path / "cache.zarr", views=2)
    if request.param == "zarr":
        return made
    convert(made.path, tmp_path / "cache.h5")
    return open_cache(tmp_path / "cache.h5")


@pytest.mark.parametrize("split", ["base", "val", "novel", None])
def test_items_are_the_maps_and_classes_of_the_videos_of_a_split(cache: FrameMapCache, split: str | None) -> None:
    videos = CachedMaps(cache.path, split)
    rows = cache.rows(split)
    assert len(videos) == len(rows) and videos.shape == cache.shape
    for index, row in enumerate(rows):
        maps, label = videos[index]
        assert maps.shape == cache.shape and maps.dtype == torch.float16 and isinstance(label, int)
        np.testing.assert_array_equal(maps.numpy(), cache.maps(int(row)))
        assert videos.class_names[label] == cache.videos.label[row]
        assert videos.groups[index] == cache.videos.group[row] and videos.labels[index] == label


def test_a_data_loader_reads_in_workers(cache: FrameMapCache) -> None:
    videos = CachedMaps(str(cache.path))
    first = videos[0][0]  # the cache is open in this process, too
    loader = DataLoader(videos, batch_size=4, num_workers=2, multiprocessing_context="forkserver")
    batches = list(loader)
    assert len(batches) == 3 and batches[0][0].dtype == torch.float16
    torch.testing.assert_close(batches[0][0][0], first)
    maps = torch.cat([maps for maps, _ in batches])
    expected = np.stack([cache.maps(int(row)) for row in cache.rows("base")])
    np.testing.assert_array_equal(maps.numpy(), expected)
    assert torch.cat([labels for _, labels in batches]).tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_a_pickled_dataset_opens_the_cache_anew(cache: FrameMapCache) -> None:
    videos = CachedMaps(cache, "val", view=1)
    maps, label = videos[5]
    copied = pickle.loads(pickle.dumps(videos))
    assert torch.equal(copied[5][0], maps) and copied[5][1] == label and copied.class_names == ("d", "e")


def test_views_are_chosen_or_drawn_by_torchs_generator(cache: FrameMapCache) -> None:
    row, videos = int(cache.rows("base")[3]), CachedMaps(cache, view="random")
    canonical, further = (cache.view(row, view) for view in range(2))
    assert np.array_equal(CachedMaps(cache, view=1)[3][0].numpy(), further)

    def draws(seed: int) -> list[bool]:
        torch.manual_seed(seed)
        maps = [videos[3][0].numpy() for _ in range(20)]
        assert all(np.array_equal(one, canonical) or np.array_equal(one, further) for one in maps)
        return [np.array_equal(one, further) for one in maps]

    with torch.random.fork_rng():
        assert draws(0) == draws(0) != draws(1) and len(set(draws(0))) == 2


def test_the_splits_of_an_opened_cache_count(cache: FrameMapCache) -> None:
    seen = cache.with_splits({name: "base" if name in "fg" else "novel" for name in "abcdefg"})
    videos = CachedMaps(seen)
    assert videos.class_names == ("f", "g") and len(videos) == 8
    np.testing.assert_array_equal(videos[0][0].numpy(), cache.maps(int(videos.rows[0])))


def test_classes_without_finished_videos_have_no_number(make_cache: MakeCache, tmp_path: Path) -> None:
    cache = make_cache(tmp_path / "cache.zarr", text=False)
    cache.add_classes({"h": "base"}, {"h": "h"}, None)
    cache.add_videos([Video("h/0.mp4", Path("x"), "h")])
    assert finished_classes(cache, "base") == ("a", "b", "c") == CachedMaps(cache.path).class_names
    assert len(finished_classes(cache)) == 7


def test_what_is_not_there_is_refused_with_the_remedy(make_cache: MakeCache, tmp_path: Path) -> None:
    cache = make_cache(tmp_path / "cache.zarr", splits=dict.fromkeys("ab", "novel"))
    with pytest.raises(InputError, match="split must be one of base, val, novel or None"):
        CachedMaps(cache.path, "test")
    with pytest.raises(InputError, match="no finished videos of split base; run hcl extract or choose another"):
        CachedMaps(cache.path)
    with pytest.raises(InputError, match=r"view 1: .*cache.zarr holds views 0 to 0 .*extract more with hcl extract"):
        CachedMaps(cache.path, "novel", view=1)
    with pytest.raises(InputError, match="no such file or folder"):
        CachedMaps(tmp_path / "nothing.zarr")
    (cache.path / "maps" / "c" / "3" / "0" / "0" / "0").write_bytes(b"x")
    with pytest.raises(InputError, match="a/3.mp4 are damaged"):
        CachedMaps(cache.path, "novel")[3]
