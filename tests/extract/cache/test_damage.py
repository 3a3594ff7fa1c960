"""A cache whose files were lost, changed or put there by a stranger is refused by name, and nothing else is read."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

from hcl.extract.cache.formats import convert, open_cache
from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.videos import Video
from hcl.extract.decoding.source import Source
from hcl.extract.system.errors import InputError
from hcl.extract.system.lock import sole_writer

Edit = Callable[[Path, Callable[[dict[str, Any]], object]], None]
MakeCache = Callable[..., ZarrCache]


@pytest.fixture
def path(tmp_path: Path, make_cache: MakeCache) -> Path:
    return make_cache(tmp_path / "cache.zarr", views=2).path


def read_all(path: Path) -> list[object]:
    cache = open_cache(path)
    columns = [cache.column(name).tolist() for name in cache.column_names]
    return [columns, cache.attributes, [cache.view(int(row), view).tolist() for row in cache.rows() for view in (0, 1)]]


def test_every_column_is_there_whole_or_named(path: Path) -> None:
    for name in open_cache(path).column_names:
        chunk = next(entry for entry in (path / name / "c").rglob("*") if entry.is_file())  # also of empty texts alone
        content = chunk.read_bytes()
        chunk.unlink()
        with pytest.raises(
            InputError, match=rf"array '{name}' is damaged \(chunk c/0.* is missing\); extract the cache"
        ):
            read_all(path)
        chunk.write_bytes(content)
    read_all(path)


def test_no_single_file_can_be_harmed_unnoticed(path: Path) -> None:
    expected, rng = read_all(path), np.random.default_rng(0)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    for number in rng.permutation(len(files))[:40].tolist():
        content = files[number].read_bytes()
        flipped = bytearray(content)
        flipped[rng.integers(len(content))] ^= 1 << rng.integers(8)
        for harmed in (None, content[: rng.integers(len(content))], bytes(flipped)):
            files[number].unlink()
            if harmed is not None:
                files[number].write_bytes(harmed)
            try:
                assert read_all(path) == expected, files[number]
            except InputError:
                files[number].touch()
            files[number].write_bytes(content)


def test_a_lost_array_of_views_is_not_taken_for_a_cache_of_one_view(path: Path) -> None:
    (path / "views" / "zarr.json").unlink()
    with pytest.raises(InputError, match="array 'views' is missing"):
        open_cache(path)


def test_damage_in_a_column_is_not_written_over(path: Path) -> None:
    cache = ZarrCache.open(path, mode="r+")
    (path / "reason" / "c" / "0").unlink()
    with pytest.raises(InputError, match="array 'reason' is damaged"):
        cache.write([MapRecord(3, None, source=Source("h"), reason="broken")])
    with pytest.raises(InputError, match="array 'reason' is damaged"):
        cache.add_videos([Video("new.mp4", Path("x"), "a")])


def test_maps_are_never_written_out_of_the_cache(path: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    cache = ZarrCache.open(path, mode="r+")
    maps = cache.maps(3)
    for entry in sorted((path / "maps" / "c" / "3").rglob("*"), reverse=True):
        entry.rmdir() if entry.is_dir() else entry.unlink()
    (path / "maps" / "c" / "3").rmdir()
    (path / "maps" / "c" / "3").symlink_to(tmp_path / "mine", target_is_directory=True)
    with pytest.raises(InputError, match="c/3: a link out of the cache; remove it"):
        cache.write([MapRecord(3, maps, views=maps[None])])
    with pytest.raises(InputError, match=r"maps of a/3\.mp4 are damaged .*leads out of the cache"):
        cache.maps(3)
    assert not list((tmp_path / "mine").iterdir())


@pytest.mark.parametrize("count", [3 * 10**8, 10**12, -1, "many", None])
def test_a_claim_of_absurdly_many_videos_is_refused_at_once(path: Path, edit_attributes: Edit, count: object) -> None:
    for name in ("path", "label", "status"):
        zarr.open_group(path, mode="r+")[name].resize((10**12,))  # type: ignore[union-attr]
    edit_attributes(path, lambda attributes: attributes.update(videos=count))
    start = time.perf_counter()
    with pytest.raises(InputError, match="videos|array"):
        len(open_cache(path).videos)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("shape", [[28, 4, 4, 10**12], [28, 0, 4, 12], [28, 4, 4], [28]])
def test_maps_of_a_shape_that_cannot_be_are_refused(path: Path, edit_attributes: Edit, shape: list[int]) -> None:
    document = json.loads((path / "maps" / "zarr.json").read_text())
    document["shape"], document["chunk_grid"]["configuration"]["chunk_shape"] = shape, [1, *shape[1:]]
    document["dimension_names"] = document["dimension_names"][: len(shape)]
    document["codecs"] = [codec for codec in document["codecs"] if codec["name"] != "transpose"]
    (path / "maps" / "zarr.json").write_text(json.dumps(document))
    try:
        edit_attributes(path, lambda attributes: None)
    except ValueError:
        return  # zarr itself does not write such an array
    with pytest.raises(InputError, match=r"cache\.zarr.*(no frame maps|cannot be read)"):
        open_cache(path)


@pytest.fixture
def hdf5(path: Path, tmp_path: Path) -> Path:
    convert(path, tmp_path / "cache.h5")
    return tmp_path / "cache.h5"


def test_a_changed_text_in_hdf5_is_noticed(hdf5: Path) -> None:
    content = hdf5.read_bytes()
    place = content.index(b"b/2.mp4")  # HDF5 keeps no checksum of texts
    hdf5.write_bytes(content[:place] + b"c" + content[place + 1 :])
    with pytest.raises(InputError, match=r"array 'path' is damaged \(its SHA-256 does not match\); extract the cache"):
        len(open_cache(hdf5).videos)


def test_a_missing_chunk_in_hdf5_is_damage(hdf5: Path) -> None:
    with h5py.File(hdf5, "r+") as file:
        shape, dtype = file["maps"].shape, file["maps"].dtype
        del file["maps"]
        file.create_dataset("maps", shape, dtype, chunks=(1, *shape[1:]), compression="gzip", fletcher32=True)
    with pytest.raises(InputError, match=r"the maps of a/0\.mp4 are damaged .*its chunk is missing"):
        open_cache(hdf5).maps(0)


@pytest.mark.parametrize("name", ["status", "path", "maps", "class_embedding"])
def test_a_compound_type_in_hdf5_is_refused(hdf5: Path, name: str) -> None:
    with h5py.File(hdf5, "r+") as file:
        shape = file[name].shape
        del file[name]
        file.create_dataset(name, shape, np.dtype([("real", "f4"), ("imaginary", "f4")]))
    with pytest.raises(InputError, match=rf"cache\.h5: .*({name}|no frame maps)"):
        read_all(hdf5)


def test_changed_attributes_of_hdf5_are_noticed(hdf5: Path) -> None:
    with h5py.File(hdf5, "r+") as file:
        file.attrs["attributes"] = file.attrs["attributes"].replace('"frames": 4', '"frames": 5')
    with pytest.raises(InputError, match="its attributes are damaged or were changed; convert the cache anew"):
        open_cache(hdf5)


def test_an_absurd_claim_in_hdf5_is_refused_at_once(hdf5: Path) -> None:
    with h5py.File(hdf5, "r+") as file:
        del file["status"]
        file.create_dataset("status", (10**12,), "uint8", chunks=(1024,), compression="gzip")
    with pytest.raises(InputError, match="array 'status' is damaged .claims 1000000000000 bytes in a file of"):
        len(open_cache(hdf5).rows())


def test_flipped_bytes_in_hdf5_are_noticed_or_change_nothing(hdf5: Path) -> None:
    expected, content, rng = read_all(hdf5), hdf5.read_bytes(), np.random.default_rng(0)
    for _ in range(40):
        flipped = bytearray(content)
        flipped[rng.integers(len(content))] ^= 1 << rng.integers(8)
        hdf5.write_bytes(flipped)
        try:
            assert read_all(hdf5) == expected
        except InputError:
            continue


def test_two_conversions_do_not_meet(path: Path, tmp_path: Path) -> None:
    for name in ("a.h5", "b.zarr"):
        with sole_writer(tmp_path / name), pytest.raises(InputError, match=r"process \d+ is writing to it"):
            convert(path, tmp_path / name)
        convert(path, tmp_path / name)
