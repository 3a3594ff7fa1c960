"""The cache: what is written is read, and what is damaged or half written is noticed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from hcl.extract.cache.base import DONE, FAILED, PENDING
from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.videos import Video
from hcl.extract.decoding.source import Source
from hcl.extract.system.errors import InputError

Edit = Callable[[Path, Callable[[dict[str, Any]], object]], None]
SHAPE = (2, 3, 4)


def maps(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float16)


@pytest.fixture
def cache(tmp_path: Path) -> ZarrCache:
    made = ZarrCache.create(tmp_path / "cache.zarr", {"frames": 2, "split_origin": "given"}, shape=SHAPE)
    made.add_classes({"run": "base", "wäve": "novel"}, {"run": "run", "wäve": "wäve"}, None)
    made.add_videos([Video(f"v{row}.mp4", Path("x"), ("run", "wäve")[row % 2], group=f"g{row}") for row in range(5)])
    return made


def test_what_is_written_is_read(cache: ZarrCache) -> None:
    cache.write([MapRecord(row, maps(row), 30, "pyav", Source(f"hash{row}", 7, 8)) for row in (0, 3)])
    cache.write([MapRecord(1, None, reason="not a video")])
    found = ZarrCache.open(cache.path)
    assert found.sources.status.tolist() == [DONE, FAILED, PENDING, DONE, PENDING]
    assert found.rows().tolist() == [0, 3] and found.rows("novel").tolist() == [3] and found.rows("val").tolist() == []
    assert found.videos.split == ("base", "novel", "base", "novel", "base")
    assert found.sources.reason[1] == "not a video" and found.videos.content[3] == "hash3"
    assert found.sources.source_bytes.tolist() == [7, 0, 0, 7, 0]
    for row in (0, 3):
        np.testing.assert_array_equal(found.maps(row), maps(row))


def test_maps_are_read_as_zarr_reads_them(cache: ZarrCache) -> None:
    cache.write([MapRecord(row, maps(row)) for row in range(5)])
    array = zarr.open_group(cache.path, mode="r")["maps"]
    for row in range(5):
        np.testing.assert_array_equal(cache.maps(row), array[row])


@pytest.mark.parametrize("channels", [1, 255, 256, 257, 513])
def test_any_number_of_channels_is_read_as_zarr_reads_it(tmp_path: Path, channels: int) -> None:
    made = ZarrCache.create(tmp_path / "wide.zarr", {"split_origin": "given"}, shape=(2, 3, channels))
    made.add_classes({"run": "base"}, {"run": "run"}, None)
    made.add_videos([Video("v.mp4", Path("x"), "run")])
    drawn = np.random.default_rng(0).normal(size=(2, 3, channels)).astype(np.float16)
    made.write([MapRecord(0, drawn)])
    np.testing.assert_array_equal(made.maps(0), drawn)
    np.testing.assert_array_equal(zarr.open_group(made.path, mode="r")["maps"][0], drawn)


@pytest.mark.parametrize("store", ["float16", "uint8"])
def test_views_are_read_as_zarr_reads_them(tmp_path: Path, store: str) -> None:
    made = ZarrCache.create(tmp_path / "views.zarr", {"split_origin": "given"}, shape=SHAPE, views=3, dtype=store)
    made.add_classes({"run": "base"}, {"run": "run"}, None)
    made.add_videos([Video(f"v{row}.mp4", Path("x"), "run") for row in range(3)])
    drawn = {row: np.stack([maps(10 * row + view) for view in range(3)]) for row in (0, 2)}
    made.write([MapRecord(row, views[0], views=views[1:]) for row, views in drawn.items()])
    found = ZarrCache.open(made.path)
    group = zarr.open_group(made.path, mode="r")
    assert found.n_views == 3 and found.layout.dtype == store
    for row, views in drawn.items():
        stored = [group["maps"][row], *group["views"][row]]
        for view in range(3):
            expected = stored[view]
            if store == "uint8":
                least, step = group["scales"][row, view]
                expected = (least + step * expected.astype(np.float32)).astype(np.float16)
            out = np.empty(SHAPE, np.float16)
            assert found.view(row, view, out) is out
            np.testing.assert_array_equal(out, expected)
            np.testing.assert_allclose(out, views[view], atol=0.02 if store == "uint8" else 0)
        np.testing.assert_array_equal(found.maps(row), found.view(row, 0))
    with pytest.raises(ValueError, match="view = 3 of 3 views"):
        found.view(0, 3)
    with pytest.raises(ValueError, match=r"expected \(2, 3, 4\) float16 in one piece"):
        found.maps(0, np.empty((2, 4, 3), np.float16).transpose(0, 2, 1))


def test_a_cache_needs_the_views_it_was_made_for(cache: ZarrCache) -> None:
    with pytest.raises(ValueError, match=r"views\.shape = \(2, 2, 3, 4\) in a cache of 2 frames"):
        cache.write([MapRecord(0, maps(0), views=maps(1)[None])])


def test_the_error_of_uint8_is_kept_for_each_video(tmp_path: Path) -> None:
    made = ZarrCache.create(tmp_path / "cache.zarr", {"split_origin": "given"}, shape=SHAPE, dtype="uint8")
    made.add_classes({"run": "base"}, {"run": "run"}, None)
    made.add_videos([Video(f"v{row}.mp4", Path("x"), "run") for row in range(3)])
    assert made.quantisation_error is None
    made.write([MapRecord(0, maps(0)), MapRecord(1, np.zeros(SHAPE, np.float16)), MapRecord(2, None, reason="broken")])
    exact, stored = maps(0).astype(float), made.maps(0).astype(float)
    expected = np.sqrt(((stored - exact) ** 2).sum() / (exact**2).sum())
    assert 0 < expected < 0.01
    np.testing.assert_allclose(made.column("quantisation_error"), [expected, 0, 0], rtol=1e-5)
    assert made.quantisation_error == pytest.approx(expected / 2, rel=1e-5)
    made.write([MapRecord(2, maps(2))])
    with pytest.raises(InputError, match="use --cache-dtype float16"):
        made.write([MapRecord(2, np.full(SHAPE, np.inf, np.float16))])


def test_a_cache_that_lies_patch_by_patch_is_read_as_its_metadata_says(cache: ZarrCache, edit_attributes: Edit) -> None:
    group = zarr.open_group(cache.path, mode="r+")
    codecs = group["maps"].compressors
    plain = group.create_array(
        "maps", shape=(5, *SHAPE), chunks=(1, *SHAPE), dtype="float16", compressors=codecs, overwrite=True
    )
    plain[:] = np.stack([maps(row) for row in range(5)])
    edit_attributes(cache.path, lambda attributes: None)
    for row in range(5):
        np.testing.assert_array_equal(ZarrCache.open(cache.path).maps(row), maps(row))


def test_remains_of_killed_writes_are_removed(cache: ZarrCache) -> None:
    cache.write([MapRecord(0, maps(0))])
    files = {file for file in cache.path.rglob("*") if file.is_file()}
    (cache.path / "maps" / "c" / "3" / "0" / "0").mkdir(parents=True)
    for place in ("zarr", "maps/zarr", "label/zarr", "label/c/0", "maps/c/3/0/0/0"):
        (cache.path / f"{place}.0a1b.partial").touch()
    cache.remove_partial_writes([3])
    assert {file for file in cache.path.rglob("*") if file.is_file()} == files


def test_classes_and_videos_can_be_added_later(cache: ZarrCache) -> None:
    cache.write([MapRecord(0, maps(0))])
    cache.add_classes({"sit": "val"}, {"sit": "sit down"}, None)
    cache.add_videos([Video("new.mp4", Path("x"), "sit")])
    found = ZarrCache.open(cache.path)
    assert (
        found.class_splits == {"run": "base", "wäve": "novel", "sit": "val"} and found.class_texts["sit"] == "sit down"
    )
    assert found.videos.path[-1] == "new.mp4" and found.videos.split[-1] == "val"
    np.testing.assert_array_equal(found.maps(0), maps(0))


def test_rows_that_were_being_appended_when_a_run_was_killed_do_not_count(cache: ZarrCache) -> None:
    zarr.open_group(cache.path, mode="r+")["path"].resize((9,))
    assert len(ZarrCache.open(cache.path).videos) == 5
    again = ZarrCache.open(cache.path, mode="r+")
    again.add_videos([Video("new.mp4", Path("x"), "run")])
    assert ZarrCache.open(cache.path).videos.path[5:] == ("new.mp4",)


def test_many_rows_span_chunks(cache: ZarrCache) -> None:
    cache.add_videos([Video(f"w{row}.mp4", Path("x"), "run") for row in range(2000)])
    cache.write([MapRecord(row, None, reason=f"r{row}") for row in (1, 1500, 2004)])
    found = ZarrCache.open(cache.path).sources
    assert {row: found.reason[row] for row in np.flatnonzero(found.status == FAILED)} == {
        1: "r1",
        1500: "r1500",
        2004: "r2004",
    }


def test_text_embeddings_follow_the_classes(cache: ZarrCache) -> None:
    assert cache.text_embeddings is None and cache.text_model is None
    cache.set_text_model(np.ones((2, 3), np.float32), {"model": "small bert", "sha256": "abc"})
    cache.add_classes({"sit": "val"}, {"sit": "sit"}, np.full((1, 3), 2, np.float32))
    found = ZarrCache.open(cache.path)
    assert found.text_model == {"model": "small bert", "sha256": "abc"}
    np.testing.assert_array_equal(found.text_embeddings, [[1, 1, 1], [1, 1, 1], [2, 2, 2]])
    with pytest.raises(ValueError, match="for 3 classes"):
        cache.set_text_model(np.ones((2, 3), np.float32), {})


def test_identity_changes_with_the_contents(cache: ZarrCache) -> None:
    before = cache.identity
    assert ZarrCache.open(cache.path).identity == before
    cache.write([MapRecord(0, maps(0), source=Source("abc"))])
    assert cache.identity != before


def chunk(cache: ZarrCache, row: int) -> Path:
    return cache.path / "maps" / "c" / str(row) / "0" / "0" / "0"


@pytest.mark.parametrize("harm", ["flip", "truncate", "empty", "remove"])
def test_damaged_maps_are_named_never_returned(cache: ZarrCache, harm: str) -> None:
    cache.write([MapRecord(row, maps(row)) for row in range(5)])
    stored = chunk(cache, 2).read_bytes()
    if harm == "remove":
        chunk(cache, 2).unlink()
    else:
        flipped = stored[:9] + bytes([stored[9] ^ 1]) + stored[10:]
        chunk(cache, 2).write_bytes({"flip": flipped, "truncate": stored[:-1], "empty": b""}[harm])
    with pytest.raises(InputError, match=r"maps of v2\.mp4 are damaged.*--repair"):
        ZarrCache.open(cache.path).maps(2)


def test_a_damaged_column_is_named(cache: ZarrCache) -> None:
    next((cache.path / "label" / "c").iterdir()).write_bytes(b"nonsense")
    with pytest.raises(InputError, match="array 'label' is damaged"):
        len(ZarrCache.open(cache.path).videos)


@pytest.mark.parametrize("grid", [None, 3, [3], [2, 3], [-1, -3], "x"])
def test_a_grid_of_other_patches_is_refused(cache: ZarrCache, grid: object, edit_attributes: Edit) -> None:
    edit_attributes(cache.path, lambda attributes: attributes.update(settings={"grid": grid}))
    with pytest.raises(InputError, match=r"'grid' is .*, expected \[rows, columns\] of its 3 patches; extract the"):
        ZarrCache.open(cache.path).grid  # noqa: B018 - reading it is the check
    edit_attributes(cache.path, lambda attributes: attributes.update(settings={"grid": [1, 3]}))
    assert ZarrCache.open(cache.path).grid == (1, 3)


@pytest.mark.parametrize(
    ("version", "remedy"), [(2, "extract it anew with: hcl extract VIDEOS CACHE"), (4, "use the version of hcl that")]
)
def test_other_versions_are_refused_by_name_with_the_remedy(
    cache: ZarrCache, version: int, remedy: str, edit_attributes: Edit
) -> None:
    edit_attributes(cache.path, lambda attributes: attributes.update(version=version))
    with pytest.raises(InputError, match=f"hcl-cache version {version}, this program reads version 3; {remedy}"):
        ZarrCache.open(cache.path)


def test_a_cache_of_hcl_0_1_is_refused_with_the_remedy(tmp_path: Path) -> None:
    """As version 1 wrote it: splits were called folds."""
    group = zarr.open_group(tmp_path / "old.zarr", mode="w", zarr_format=3)
    settings = {"frames": 8, "until": "layer3", "store": "uint8", "split": "given"}
    group.attrs.update({"schema": "hcl-cache", "version": 1, "settings": settings, "videos": 1, "classes": 1})
    group.create_array("maps", shape=(1, 2, 3, 4), dtype="uint8")
    group.create_array("class_fold", shape=(1,), dtype="string")
    with pytest.raises(InputError, match=r"old\.zarr: written by an older hcl.*extract it anew with: hcl extract"):
        ZarrCache.open(tmp_path / "old.zarr")


def test_other_stores_are_refused(cache: ZarrCache, tmp_path: Path, edit_attributes: Edit) -> None:
    edit_attributes(cache.path, lambda attributes: attributes.update(schema="hcl-embeddings"))
    with pytest.raises(InputError, match="an embedding store, which hcl evaluate.*expected a cache"):
        ZarrCache.open(cache.path)
    with pytest.raises(InputError, match="no such file or folder; expected a cache"):
        ZarrCache.open(tmp_path / "nothing")
    with pytest.raises(InputError, match=rf"a folder of runs or stores \({cache.path.name}\); name one of them"):
        ZarrCache.open(tmp_path)


def test_a_store_in_zarr_v2_format_is_never_opened(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "old.zarr", mode="w", zarr_format=2)
    group.attrs.update({"schema": "hcl-cache", "version": 1})
    with pytest.raises(InputError, match="a folder with nothing of hcl in it; expected a cache"):
        ZarrCache.open(tmp_path / "old.zarr")


def test_a_broken_zarr_json_is_named(cache: ZarrCache) -> None:
    (cache.path / "zarr.json").write_text("{")
    with pytest.raises(InputError, match=r"zarr\.json cannot be read"):
        ZarrCache.open(cache.path)


def test_an_existing_folder_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thing").mkdir()
    with pytest.raises(InputError, match="already exists"):
        ZarrCache.create(tmp_path / "thing", {}, shape=SHAPE)
