"""Shards: the bytes that zarr would write and read, written once by one writer, read chunk by chunk, damage named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from hcl.extract.cache.base import DONE, FAILED, PENDING
from hcl.extract.cache.edits import Edits
from hcl.extract.cache.formats import convert, open_cache
from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.sharding.places import shard_units
from hcl.extract.cache.sharding.shard_file import read_entries, read_entry, write_shard
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.videos import Video
from hcl.extract.decoding.source import Source
from hcl.extract.system.errors import InputError

SHAPE = (2, 3, 5)


def record(row: int, views: int = 3) -> MapRecord:
    maps = np.random.default_rng(row).normal(size=(views, *SHAPE)).astype(np.float16)
    return MapRecord(row, maps[0], 9, "pyav", Source(f"h{row}", 1, 2), views=maps[1:])


def make(path: Path, videos: int = 10, *, shard: int = 4, dtype: str = "float16") -> ZarrCache:
    made = ZarrCache.create(
        path, {"frames": 2, "split_origin": "given"}, shape=SHAPE, views=3, dtype=dtype, shard_videos=shard
    )
    made.add_classes({"run": "base"}, {"run": "run"}, None)
    made.add_videos([Video(f"v{row}.mp4", Path("x"), "run") for row in range(videos)])
    return made


def files(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("dtype", ["float16", "uint8"])
@pytest.mark.parametrize("shard", [1, 4, 64])
def test_shards_are_read_as_zarr_reads_them_and_hold_what_single_files_do(
    tmp_path: Path, dtype: str, shard: int
) -> None:
    cache, plain = (make(tmp_path / f"{size}.zarr", shard=size, dtype=dtype) for size in (shard, 0))
    rows = [0, 1, 2, 5, 9]
    for made in (cache, plain):
        made.write([record(row) for row in rows])
        made.write([MapRecord(3, None, reason="broken")])
    found, group = ZarrCache.open(cache.path), zarr.open_group(cache.path, mode="r")
    assert found.sharding is not None and found.sharding.videos == shard and plain.sharding is None
    assert found.sources.status[[0, 3, 4]].tolist() == [DONE, FAILED, PENDING]
    for row in rows:
        for key in found.layout.chunk_keys(row):
            np.testing.assert_array_equal(found.chunk(key), plain.chunk(key))
            np.testing.assert_array_equal(found.chunk(key), group[key[0]][key[1]])
    for name in found.column_names:
        assert found.column(name).tolist() == plain.column(name).tolist()
    count = sum(file.is_file() for file in (cache.path / "maps" / "c").rglob("*"))
    assert count == len({row // shard for row in rows})


def test_a_shard_holds_chunk_for_chunk_the_bytes_that_zarr_writes(tmp_path: Path) -> None:
    plain, cache = (make(tmp_path / f"{size}.zarr", shard=size) for size in (0, 4))
    for made in (plain, cache):
        made.write([record(5)])
    written = (plain.path / "maps" / "c" / "5" / "0" / "0" / "0").read_bytes()
    assert read_entry(cache.path / "maps" / "c" / "1" / "0" / "0" / "0", 1, 4) == written


def test_zarr_reads_a_file_of_ours_and_we_one_of_its(tmp_path: Path) -> None:
    cache = make(tmp_path / "c.zarr")
    cache.write([record(row) for row in range(10)])
    array = zarr.open_group(cache.path, mode="r+")["maps"]
    array[4:8] = array[0:4]
    for row in range(4, 8):
        np.testing.assert_array_equal(ZarrCache.open(cache.path).maps(row), record(row - 4).maps)


def test_the_bytes_do_not_depend_on_how_the_videos_came(tmp_path: Path) -> None:
    at_once, by_parts = make(tmp_path / "a.zarr"), make(tmp_path / "b.zarr")
    at_once.write([record(row) for row in range(10)])
    for rows in ([9, 2], [0], [3, 1, 8, 4], [7, 6, 5]):
        by_parts.write([record(row) for row in rows])
    assert files(at_once.path) == files(by_parts.path)


def test_what_was_written_but_not_marked_does_not_stay(tmp_path: Path) -> None:
    expected, cache = make(tmp_path / "a.zarr"), make(tmp_path / "b.zarr")
    expected.write([record(0)])
    mark, cache.mark = cache.mark, lambda videos: None  # type: ignore[method-assign]
    cache.write([record(2)])  # a kill before the status
    cache.mark = mark  # type: ignore[method-assign]
    cache.write([record(0)])
    assert files(expected.path) == files(cache.path)


@pytest.mark.parametrize(("place", "message"), [(-5, "checksum of the shard's index"), (3, "checksum does not match")])
def test_damage_is_named_by_its_videos_and_mended(tmp_path: Path, place: int, message: str) -> None:
    cache = make(tmp_path / "c.zarr")
    cache.write([record(row) for row in range(10)])
    before, file = files(cache.path), cache.path / "views" / "c" / "1" / "0" / "0" / "0" / "0"
    harmed = bytearray(file.read_bytes())
    harmed[place] ^= 1
    file.write_bytes(harmed)
    damaged = [row for row in range(10) if not cache.intact(row)]
    assert damaged == ([4, 5, 6, 7] if place < 0 else [4])
    with pytest.raises(InputError, match=rf"maps of v4\.mp4 are damaged \(.*{message}"):
        cache.view(4, 1)
    if place < 0:  # nothing that cannot be read is written over by the way
        with pytest.raises(InputError, match="holds the maps of further videos and is damaged.*--repair"):
            cache.write([record(4)])
    cache.write([record(row) for row in damaged])
    assert files(cache.path) == before


def test_no_file_of_a_sharded_cache_can_be_harmed_unnoticed(tmp_path: Path) -> None:
    cache, rng = make(tmp_path / "c.zarr", 6), np.random.default_rng(0)
    cache.write([record(row) for row in (0, 1, 2, 4)])
    expected = [cache.view(row, view).tolist() for row in (0, 1, 2, 4) for view in range(3)]
    for file in [file for name in ("maps", "views") for file in (cache.path / name / "c").rglob("*") if file.is_file()]:
        content = file.read_bytes()
        for _ in range(30):
            flipped = bytearray(content)
            flipped[rng.integers(len(content))] ^= 1 << rng.integers(8)
            for harmed in (bytes(flipped), content[: rng.integers(len(content))], b""):
                file.write_bytes(harmed)
                with pytest.raises(InputError, match="are damaged"):
                    _ = [cache.view(row, view).tolist() for row in (0, 1, 2, 4) for view in range(3)]
        file.write_bytes(content)
    assert [cache.view(row, view).tolist() for row in (0, 1, 2, 4) for view in range(3)] == expected


def test_removed_videos_leave_their_shard_and_the_others_stay(tmp_path: Path) -> None:
    cache, expected = make(tmp_path / "c.zarr"), make(tmp_path / "e.zarr")
    cache.write([record(row) for row in range(10)])
    cache.edit(Edits(removed=(1, 4, 5, 6, 7)))
    assert [cache.maps(row).tolist() for row in range(5)] == [record(row).maps.tolist() for row in (0, 2, 3, 8, 9)]
    expected.write([record(row) for row in (0, 2, 3, 8, 9)])
    for name in ("maps", "views"):
        assert files(cache.path / name) == files(expected.path / name)
    cache.add_videos([Video("new.mp4", Path("x"), "run")])
    cache.write([record(5), record(0)])  # their rows are counted among those that remain
    np.testing.assert_array_equal(ZarrCache.open(cache.path).maps(5), record(5).maps)


def test_a_link_out_of_the_cache_is_never_followed(tmp_path: Path) -> None:
    cache = make(tmp_path / "c.zarr")
    cache.write([record(0)])
    file = cache.path / "maps" / "c" / "0" / "0" / "0" / "0"
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="leads out of the cache"):
        cache.maps(0)
    with pytest.raises(InputError, match="a link out of the cache; remove it"):
        cache.write([record(1)])


def test_remains_of_killed_writers_are_removed(tmp_path: Path) -> None:
    cache = make(tmp_path / "c.zarr")
    cache.write([record(0)])
    before = files(cache.path)
    (cache.path / "maps" / "c" / "0" / "0" / "0" / "0.0a1b.new").touch()
    cache.remove_partial_writes([3])
    assert files(cache.path) == before


def test_a_cache_is_converted_into_shards_and_out_of_them(tmp_path: Path) -> None:
    cache = make(tmp_path / "c.zarr")
    cache.write([record(row) for row in range(8)])
    cache.edit(Edits(removed=(2,)))
    for name, shard in (("plain.zarr", 0), ("c.h5", 0), ("threes.zarr", 3)):
        convert(cache.path, tmp_path / name, shard_videos=shard)
        found = open_cache(tmp_path / name)
        assert found.videos.path == cache.videos.path and found.rows().tolist() == cache.rows().tolist()
        for row, view in ((row, view) for row in cache.rows() for view in range(3)):
            np.testing.assert_array_equal(found.view(row, view), cache.view(row, view))
    assert sum(file.is_file() for file in (tmp_path / "threes.zarr" / "maps" / "c").rglob("*")) == 3
    convert(tmp_path / "c.h5", tmp_path / "fours.zarr", shard_videos=4)
    convert(tmp_path / "plain.zarr", tmp_path / "again.zarr", shard_videos=4)
    assert files(tmp_path / "fours.zarr" / "views") == files(tmp_path / "again.zarr" / "views")
    with pytest.raises(InputError, match="an HDF5 file has no shards"):
        convert(cache.path, tmp_path / "d.h5", shard_videos=4)


def test_units_are_whole_shards_of_what_is_pending() -> None:
    stored = np.array([0, 1, 2, 4, 5, 9])  # row 3 of the arrays was removed
    units = shard_units([(4, Path("e")), (1, Path("b")), (5, Path("f"))], stored, [0, 2, 4], 4)
    assert [(unit.number, unit.videos, unit.stored, sorted(unit.kept)) for unit in units] == [
        (0, ((1, Path("b")),), (1,), [0, 2]),
        (1, ((4, Path("e")),), (5,), [4]),
        (2, ((5, Path("f")),), (9,), []),
    ]
    assert units[0].name == "shard 0: 1 videos"


def test_a_shard_file_without_chunks_is_none(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "0"
    write_shard(file, {1: b"abc", 0: b"d"}, 3)
    assert read_entries(file, frozenset({0, 1}), 3) == {0: b"d", 1: b"abc"}
    with pytest.raises(ValueError, match="its chunk is missing in the shard"):
        read_entry(file, 2, 3)
    with pytest.raises(ValueError, match="its index alone 1604"):
        read_entry(file, 0, 100)
    write_shard(file, {}, 3)
    assert not file.exists() and not list(tmp_path.rglob("*.new"))


def test_what_a_killed_writer_left_goes_with_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "0.0a1b.new").write_bytes(b"half")
    write_shard(tmp_path / "0", {0: b"abc"}, 2)
    assert [file.name for file in tmp_path.iterdir()] == ["0"]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    write_shard(tmp_path / "0", {0: b"abc"}, 2)
    content: Any = {0: b"abc", 1: 7}
    with pytest.raises(TypeError):
        write_shard(tmp_path / "0", content, 2)
    assert read_entry(tmp_path / "0", 0, 2) == b"abc" and len(list(tmp_path.iterdir())) == 1
