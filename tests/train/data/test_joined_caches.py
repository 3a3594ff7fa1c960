"""Several caches seen as one give back what each of them holds, under names that tell the sets apart."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hcl.extract.cache.formats import convert, open_cache
from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.decoding.source import Source
from hcl.extract.system.errors import InputError
from hcl.train.data.cached_maps import CachedMaps
from hcl.train.data.joined_caches import JoinedCaches

MakeCache = Callable[..., ZarrCache]


@pytest.fixture
def sets(make_cache: MakeCache, tmp_path: Path) -> dict[str, ZarrCache]:
    """Classes a to g with three views; and b, x and y with two, of other videos."""
    of_b = {"b": "base", "x": "base", "y": "novel"}
    return {
        "A": make_cache(tmp_path / "A.zarr", views=3),
        "B": make_cache(tmp_path / "B.zarr", views=2, splits=of_b, seed=1, content="other"),
    }


@pytest.mark.parametrize("merge_classes", [False, True])
def test_every_video_is_that_of_its_own_cache(sets: dict[str, ZarrCache], merge_classes: bool) -> None:
    joined = JoinedCaches(sets, merge_classes=merge_classes)
    assert len(joined.videos) == 28 + 12 and joined.n_views == 2 and joined.shape == (4, 4, 12)
    row = 0
    for name, cache in sets.items():
        for own in range(len(cache.videos)):
            assert joined.videos.path[row] == f"{name}/{cache.videos.path[own]}"
            assert joined.videos.label[row] == ("" if merge_classes else f"{name}/") + cache.videos.label[own]
            assert joined.videos.split[row] == cache.videos.split[own]
            assert joined.videos.content[row] == cache.videos.content[own]
            assert joined.videos.group[row] == f"{name}/{cache.videos.group[own]}"
            for view in range(2):
                np.testing.assert_array_equal(joined.view(row, view), cache.view(own, view))
            row += 1
    with pytest.raises(ValueError, match="of 2 views"):
        joined.view(0, 2)


def test_classes_are_told_apart_or_merged(sets: dict[str, ZarrCache]) -> None:
    apart, merged = (JoinedCaches(sets, merge_classes=merge) for merge in (False, True))
    assert apart.class_names == (*(f"A/{name}" for name in "abcdefg"), "B/b", "B/x", "B/y")
    assert merged.class_names == tuple("abcdefgxy")
    assert CachedMaps(apart, "base").class_names == ("A/a", "A/b", "A/c", "B/b", "B/x")
    assert CachedMaps(merged, "base").class_names == ("a", "b", "c", "x")
    texts, of_a, of_b = (cache.text_embeddings for cache in (apart, sets["A"], sets["B"]))
    assert texts is not None and of_a is not None and of_b is not None
    np.testing.assert_array_equal(texts, np.concatenate([of_a, of_b]))
    np.testing.assert_array_equal(merged.text_embeddings, np.concatenate([of_a, of_b[1:]]))  # b reads as A has it
    assert (merged.class_texts["x"], apart.class_texts["B/x"]) == ("x", "x")


def test_the_order_of_the_sets_does_not_matter(sets: dict[str, ZarrCache]) -> None:
    forwards, backwards = JoinedCaches(sets), JoinedCaches(dict(reversed(sets.items())))
    assert (forwards.identity, forwards.class_names) == (backwards.identity, backwards.class_names)


def test_a_zarr_folder_and_an_hdf5_file_are_joined(sets: dict[str, ZarrCache], tmp_path: Path) -> None:
    convert(tmp_path / "B.zarr", tmp_path / "B.h5")
    joined = JoinedCaches({"A": sets["A"], "B": open_cache(tmp_path / "B.h5")})
    for view in range(2):
        np.testing.assert_array_equal(joined.view(30, view), sets["B"].view(2, view))


def test_settings_are_those_that_all_share(make_cache: MakeCache, tmp_path: Path) -> None:
    caches = {
        name: make_cache(tmp_path / f"{name}.zarr", precision=precision, weights=f"/home/{name}.pth")
        for name, precision in (("A", "float32"), ("B", "bfloat16"))
    }
    settings = JoinedCaches(caches).settings
    assert settings == {
        name: value for name, value in caches["A"].settings.items() if name != "precision"
    }  # of the weights, which have the same hash, the first file


def test_damaged_maps_are_named_by_their_own_cache(sets: dict[str, ZarrCache]) -> None:
    (sets["B"].path / "maps" / "c" / "2" / "0" / "0" / "0").write_bytes(b"x")
    with pytest.raises(InputError, match=r"B.zarr: the maps of b/2.mp4 are damaged .*--repair"):
        JoinedCaches(sets).view(30, 0)


def test_base_videos_that_another_set_tests_on_are_left_out(make_cache: MakeCache, tmp_path: Path) -> None:
    """Both caches have the same 12 videos: those of a, b and c. Only within a set do twins stay."""
    splits = [{"a": "base", "b": "base", "c": "val"}, {"a": "base", "b": "novel", "c": "base"}]
    sets = {
        name: make_cache(tmp_path / f"{name}.zarr", splits=of_set) for name, of_set in zip("AB", splits, strict=True)
    }
    joined = JoinedCaches(sets)
    path = joined.videos.path
    expected = {f"A/b/{copy}.mp4": f"B/b/{copy}.mp4" for copy in range(4)}
    expected |= {f"B/c/{copy}.mp4": f"A/c/{copy}.mp4" for copy in range(4)}
    assert {path[row]: path[other] for row, other in joined.left_out.items()} == expected
    assert {path[row].rpartition("/")[0] for row in joined.rows("base")} == {"A/a", "B/a"}
    assert len(joined.rows("val")) == len(joined.rows("novel")) == 4 and len(joined.rows()) == 16
    assert JoinedCaches({"A": sets["A"]}).left_out == {}


def test_a_set_leaves_out_what_its_own_earlier_split_has(make_cache: MakeCache, tmp_path: Path) -> None:
    """Row 4 of A (val) and row 0 (base) are the same video, as are row 1 (base) and the first novel one of B."""
    first = make_cache(tmp_path / "A.zarr", splits={"a": "base", "b": "val"}, content="A")
    other = make_cache(tmp_path / "B.zarr", splits={"x": "novel", "y": "base"}, content="B")
    first.write([MapRecord(4, first.maps(4), source=Source("A0")), MapRecord(1, first.maps(1), source=Source("B0"))])
    joined = JoinedCaches({"A": first, "B": other})
    assert dict(joined.left_out) == {4: 0, 1: 8}
    assert joined.rows("base").tolist() == [0, 2, 3, 12, 13, 14, 15]
    assert joined.rows("val").tolist() == [5, 6, 7] and joined.rows("novel").tolist() == [8, 9, 10, 11]


def test_other_splits_are_those_of_the_caches_too(sets: dict[str, ZarrCache]) -> None:
    joined = JoinedCaches(sets)
    seen = joined.with_splits(dict.fromkeys(joined.class_names, "novel") | {"A/g": "val", "B/y": "base"})
    assert CachedMaps(seen, "base").class_names == ("B/y",) and seen.class_splits["A/g"] == "val"
    assert len(seen.sets["A"].rows("val")) == 4 and len(joined.sets["A"].rows("val")) == 8
    with pytest.raises(InputError, match=r"no split for class 'A/a'; list every class of .*A.zarr \+ .*, as SET/class"):
        joined.with_splits(dict.fromkeys("abcdefgxy", "base"))


def test_a_cache_with_too_few_views_is_named(sets: dict[str, ZarrCache]) -> None:
    joined = JoinedCaches(sets)
    assert joined.resolve_views(0) == joined.resolve_views(2) == 2
    with pytest.raises(InputError, match=r"^--test-views 3: .*B.zarr holds 2 of each video; .*hcl extract --views"):
        joined.resolve_views(3, "--test-views")
