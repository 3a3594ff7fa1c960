"""A cache says otherwise of its videos at once or not at all; what was removed counts no more, in either format."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.cache.edits import EDITS, Edits
from hcl.extract.cache.formats import convert, open_cache
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.videos import Video
from hcl.extract.system import atomic
from hcl.extract.system.errors import InputError

SPLITS = {"a": "base", "b": "val", "c": "novel"}
EDITS_OF_ALL = Edits(
    path={0: "b/9.mp4"}, label={0: "b"}, group={0: "tom"}, removed=(5, 8, 9, 10, 11), splits={"b": "novel"},
    removed_classes=("c",),
)  # fmt: skip


@pytest.fixture
def cache(tmp_path: Path, make_cache: Callable[..., ZarrCache]) -> ZarrCache:
    """Twelve videos of three classes."""
    return make_cache(tmp_path / "cache.zarr", splits=SPLITS, views=2)


def facts(cache: FrameMapCache) -> list[Any]:
    """All that a cache says, with the first value of each map."""
    maps = [float(cache.view(int(row), view)[0, 0, 0]) for row in cache.rows() for view in range(cache.n_views)]
    texts = cache.text_embeddings
    return [cache.videos, cache.class_splits, cache.class_texts, maps, None if texts is None else texts.tolist()]


def test_edits_change_facts_and_leave_maps(cache: ZarrCache) -> None:
    before, maps = cache.videos, [cache.maps(row) for row in range(12)]
    cache.edit(EDITS_OF_ALL, cache.settings | {"split_origin": "seeded"})
    for seen in (cache, open_cache(cache.path)):
        videos = seen.videos
        assert videos.path == ("b/9.mp4", *before.path[1:5], *before.path[6:8])
        assert videos.label == ("b", "a", "a", "a", "b", "b", "b") and videos.group[0] == "tom"
        assert seen.class_splits == {"a": "base", "b": "novel"} and videos.split[0] == "novel"
        assert seen.rows("novel").tolist() == [0, 4, 5, 6] and seen.settings["split_origin"] == "seeded"
        assert seen.text_embeddings is not None and len(seen.text_embeddings) == 2
        for row, place in enumerate((0, 1, 2, 3, 4, 6, 7)):
            np.testing.assert_array_equal(seen.maps(row), maps[place])
        assert EDITS not in seen.attributes
    gone = [cache.path / name / "c" / str(place) for name in ("maps", "views") for place in (5, 8, 9, 10, 11)]
    assert not any(folder.exists() for folder in gone) and (cache.path / "maps" / "c" / "7").exists()


def test_both_formats_hold_only_what_counts(cache: ZarrCache, tmp_path: Path) -> None:
    cache.edit(EDITS_OF_ALL)
    convert(cache.path, tmp_path / "x.h5")
    convert(tmp_path / "x.h5", tmp_path / "y.zarr")
    convert(cache.path, tmp_path / "z.zarr")
    for path in ("x.h5", "y.zarr", "z.zarr"):
        other = open_cache(tmp_path / path)
        assert facts(other) == facts(cache) and other.identity == cache.identity
        assert other.attributes["videos"] == 7 and other.attributes["classes"] == 2


def test_videos_and_classes_are_added_after_a_removal(cache: ZarrCache) -> None:
    cache.edit(EDITS_OF_ALL)
    cache.add_classes({"c": "base"}, {"c": "see"}, np.ones((1, 5), np.float32))
    cache.add_videos([Video("c/0.mp4", Path("x"), "c")])
    assert cache.videos.path[-1] == "c/0.mp4" and cache.videos.split[-1] == "base" and len(cache.videos) == 8
    assert cache.class_texts == {"a": "a", "b": "b", "c": "see"} and cache.sources.status[-1] == 0
    assert (cache.text_embeddings is not None) and cache.text_embeddings[2].tolist() == [1.0] * 5
    cache.edit(Edits(removed=(7,), removed_classes=("c",)))
    assert len(cache.videos) == 7 and list(cache.class_splits) == ["a", "b"]
    cache.set_text_model(np.zeros((2, 5), np.float32), {"model": "m", "sha256": "s"})
    assert cache.text_embeddings is not None and cache.text_embeddings.shape == (2, 5)


def test_killed_anywhere_a_cache_says_the_former_or_the_new(
    make_cache: Callable[..., ZarrCache], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    cache = make_cache(tmp_path / "cache.zarr", splits={"a": "base", "b": "val"}, text=False)
    edits = Edits(path={0: "b/9.mp4"}, label={0: "b"}, removed=(3, 5), splits={"b": "novel"})
    whole = tmp_path / "whole.zarr"
    shutil.copytree(cache.path, whole)
    old = facts(cache)
    ZarrCache.open(whole, mode="r+").edit(edits)
    new, seen = facts(open_cache(whole)), []
    put, rmtree = zarr.storage._local._put, shutil.rmtree
    for most in range(100):
        path, left = tmp_path / "killed.zarr", [most]

        def counted(do: Callable[..., Any], left: list[int] = left) -> Callable[..., Any]:
            def step(*arguments: Any, **named: Any) -> Any:
                if not left[0]:
                    raise Killed
                left[0] -= 1
                return do(*arguments, **named)

            return step

        rmtree(path, ignore_errors=True)
        shutil.copytree(cache.path, path)
        opened = ZarrCache.open(path, mode="r+")
        with monkeypatch.context() as patched:
            patched.setattr(zarr.storage._local, "_put", counted(put))
            patched.setattr(atomic.shutil, "rmtree", counted(rmtree))
            try:
                opened.edit(edits)
                break
            except Killed:
                pass
        seen.append(facts(open_cache(path)))
        again = ZarrCache.open(path, mode="r+")
        again.finish_edits()
        assert facts(open_cache(path)) == seen[-1] and EDITS not in open_cache(path).attributes
    assert old in seen and new in seen and all(each in (old, new) for each in seen)
    assert len(seen) == 8  # writes: two of the attributes, four columns, two folders of maps
    files = [{file.relative_to(root): file.read_bytes() for file in root.rglob("*") if file.is_file()}
             for root in (whole, path)]  # fmt: skip
    assert files[0] == files[1]


@pytest.mark.parametrize(
    "edits", [[], {"maps": {"0": 1}}, {"label": {"99": "a"}}, {"label": {"0": 3}}, {"label": {"x": "a"}}]
)
def test_edits_of_a_stranger_are_refused(cache: ZarrCache, edit_attributes: Any, edits: object) -> None:
    edit_attributes(cache.path, lambda attributes: attributes.update(edits=edits))
    with pytest.raises(InputError, match="damaged"):
        open_cache(cache.path).videos  # noqa: B018
