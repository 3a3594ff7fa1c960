"""Some videos of a cache seen as one: the same maps, only fewer rows and other views."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.train.data.joined_caches import JoinedCaches
from hcl.train.data.selected_videos import SelectedVideos, Shown, dealt_views, of_rows


@pytest.fixture
def cache(tmp_path: Path, make_cache: Callable[..., ZarrCache]) -> ZarrCache:
    return make_cache(tmp_path / "c.zarr", views=5)


def test_what_is_shown_is_what_the_cache_has(cache: ZarrCache) -> None:
    shown = SelectedVideos(cache, [Shown(9, (3, 0)), Shown(2, (1, 4)), Shown(9, (2, 1))])
    assert (len(shown.videos), shown.n_views, shown.shape) == (3, 2, cache.shape)
    assert shown.videos.path == tuple(cache.videos.path[row] for row in (9, 2, 9))
    assert shown.class_names == ("a", "c") and shown.class_splits == {"a": "base", "c": "base"}
    assert shown.rows("base").tolist() == [0, 1, 2]
    for place, (row, views) in enumerate([(9, (3, 0)), (2, (1, 4)), (9, (2, 1))]):
        for number, view in enumerate(views):
            np.testing.assert_array_equal(shown.view(place, number), cache.view(row, view))
    places = [cache.class_names.index(name) for name in shown.class_names]
    np.testing.assert_array_equal(shown.text_embeddings, cache.text_embeddings[places])


def test_videos_of_other_splits_are_hidden(cache: ZarrCache) -> None:
    base = of_rows(cache, cache.rows("base"))
    assert set(base.videos.split) == {"base"} and not len(base.rows("novel"))
    assert base.with_splits(dict.fromkeys(base.class_names, "novel")).rows("base").tolist() == []


@pytest.mark.parametrize(("views", "times"), [(1, 5), (2, 2), (3, 1), (5, 1)])
def test_dealt_views_are_shown_once_each(cache: ZarrCache, views: int, times: int) -> None:
    rows = np.array([1, 4, 6])
    dealt = dealt_views(cache, rows, views)
    assert len(dealt.videos) == times * len(rows) and dealt.n_views == views
    pairs = [(each.row, view) for each in dealt.shown for view in each.views]
    assert len(set(pairs)) == len(pairs) == times * views * len(rows)


def test_texts_can_be_hidden_and_two_selections_joined(
    cache: ZarrCache, tmp_path: Path, make_cache: Callable[..., ZarrCache]
) -> None:
    other = make_cache(tmp_path / "d.zarr", views=5, seed=1, content="i", splits={"x": "novel", "y": "novel"})
    for with_texts in (True, False):
        sets = {
            "base": of_rows(cache, cache.rows("base"), with_texts=with_texts),
            "clips": dealt_views(other, other.rows(), 5, with_texts=with_texts),
        }
        joined = JoinedCaches(sets, merge_classes=True)
        assert joined.class_names == ("a", "b", "c", "x", "y")
        assert (joined.text_embeddings is not None) == with_texts


def test_different_numbers_of_views_are_refused(cache: ZarrCache) -> None:
    with pytest.raises(ValueError, match="different numbers of views"):
        SelectedVideos(cache, [Shown(0, (0, 1)), Shown(1, (0,))])
