"""Zarr to HDF5 and back, byte for byte, and every command's way of opening either."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from hcl.extract.cache.formats import convert, open_cache
from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.videos import Video
from hcl.extract.decoding.source import Source
from hcl.extract.system.errors import InputError

SHAPE = (2, 3, 4)


@pytest.fixture(params=[True, False], ids=["text", "no text"])
def cache(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    made = ZarrCache.create(
        tmp_path / "cache.zarr", {"frames": 2, "split_origin": "given", "grid": [3, 1]}, shape=SHAPE
    )
    vectors = np.random.default_rng(1).normal(size=(2, 5)).astype(np.float32) if request.param else None
    if vectors is not None:
        made.set_text_model(vectors[:0], {"model": "m", "sha256": "s"})
    made.add_classes({"run": "base", "wäve": "novel"}, {"run": "run", "wäve": "wäve"}, vectors)
    made.add_videos([Video(f"{row}.mp4", Path("x"), ("run", "wäve")[row % 2], group="g") for row in range(4)])
    rng = np.random.default_rng(0)
    maps = {row: rng.normal(size=SHAPE).astype(np.float16) for row in (0, 3)}
    made.write([MapRecord(row, drawn, 9, "pyav", Source(f"h{row}", 1, 2)) for row, drawn in maps.items()])
    made.write([MapRecord(1, None, reason="broken"), MapRecord(2, np.zeros(SHAPE, np.float16))])
    return made.path


@pytest.fixture(params=["float16", "uint8"])
def views(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A cache with three views of each video, in either form."""
    made = ZarrCache.create(
        tmp_path / "views.zarr", {"split_origin": "given"}, shape=SHAPE, views=3, dtype=request.param
    )
    made.add_classes({"run": "base"}, {"run": "run"}, None)
    made.add_videos([Video(f"{row}.mp4", Path("x"), "run") for row in range(3)])
    drawn = np.random.default_rng(0).normal(size=(2, 3, *SHAPE)).astype(np.float16)
    made.write([MapRecord(row, maps[0], views=maps[1:]) for row, maps in enumerate(drawn)])
    return made.path


def test_views_and_bytes_go_there_and_back(views: Path, tmp_path: Path) -> None:
    convert(views, tmp_path / "cache.h5")
    convert(tmp_path / "cache.h5", tmp_path / "again.zarr")
    assert bytes_of(tmp_path / "again.zarr") == bytes_of(views)
    zarr, hdf5 = open_cache(views), open_cache(tmp_path / "cache.h5")
    assert (zarr.layout, zarr.quantisation_error) == (hdf5.layout, hdf5.quantisation_error)
    for row, view in np.ndindex(2, 3):
        np.testing.assert_array_equal(zarr.view(row, view), hdf5.view(row, view))


def bytes_of(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def test_there_and_back_changes_no_byte(cache: Path, tmp_path: Path) -> None:
    done = convert(str(cache), str(tmp_path / "cache.h5"))
    assert (done.target, done.videos, done.copied) == (tmp_path / "cache.h5", 4, 3)
    convert(tmp_path / "cache.h5", tmp_path / "again.zarr")
    assert bytes_of(tmp_path / "again.zarr") == bytes_of(cache)


def test_both_forms_say_the_same(cache: Path, tmp_path: Path) -> None:
    convert(cache, tmp_path / "cache.h5")
    zarr, hdf5 = open_cache(cache), open_cache(tmp_path / "cache.h5")
    assert (zarr.settings, zarr.text_model, zarr.class_splits) == (hdf5.settings, hdf5.text_model, hdf5.class_splits)
    assert (zarr.identity, zarr.shape, zarr.videos.path) == (hdf5.identity, hdf5.shape, hdf5.videos.path)
    for row in zarr.rows():
        np.testing.assert_array_equal(zarr.maps(int(row)), hdf5.maps(int(row)))
    if zarr.text_model:
        np.testing.assert_array_equal(zarr.text_embeddings, hdf5.text_embeddings)


def test_nothing_is_overwritten(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "there.h5").touch()
    with pytest.raises(InputError, match="already exists; name another file"):
        convert(cache, tmp_path / "there.h5")


def test_strangers_are_refused(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(InputError, match="not a readable HDF5 file"):
        open_cache(tmp_path / "text.h5")
    with pytest.raises(InputError, match=r"no such cache; make one with: hcl convert"):
        open_cache(tmp_path / "nothing.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="an HDF5 file, but not a cache"):
        open_cache(tmp_path / "other.h5")


def altered(cache: Path, path: Path) -> h5py.File:
    convert(cache, path)
    return h5py.File(path, "r+")


@pytest.mark.parametrize(
    ("version", "remedy"), [(2, "extract it anew with: hcl extract VIDEOS CACHE"), (4, "use the version of hcl that")]
)
def test_other_versions_are_refused_by_name_with_the_remedy(
    cache: Path, tmp_path: Path, version: int, remedy: str
) -> None:
    with altered(cache, tmp_path / "other.h5") as file:
        file.attrs["attributes"] = json.dumps(json.loads(file.attrs["attributes"]) | {"version": version})
    with pytest.raises(InputError, match=f"hcl-cache version {version}, this program reads version 3; {remedy}"):
        open_cache(tmp_path / "other.h5")


@pytest.mark.parametrize("kind", ["external link", "soft link", "external storage", "virtual"])
def test_nothing_outside_the_file_is_read(cache: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(100))
    with h5py.File(tmp_path / "secret.h5", "w") as other:
        other["maps"] = np.zeros((4, *SHAPE), np.float16)
    with altered(cache, tmp_path / "bad.h5") as file:
        del file["reason"]
        if kind == "external link":
            file["reason"] = h5py.ExternalLink("secret.h5", "/maps")
        elif kind == "soft link":
            file["reason"] = h5py.SoftLink("/group")
        elif kind == "external storage":
            file.create_dataset("reason", (10,), "uint8", external=[(str(tmp_path / "secret.bin"), 0, 100)])
        else:
            layout = h5py.VirtualLayout((4, *SHAPE), "float16")
            layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "maps", (4, *SHAPE))
            file.create_virtual_dataset("reason", layout)
    with pytest.raises(InputError, match="only plain datasets are read"):
        open_cache(tmp_path / "bad.h5")


def test_damaged_maps_are_named(cache: Path, tmp_path: Path) -> None:
    convert(cache, tmp_path / "cache.h5")
    with h5py.File(tmp_path / "cache.h5", "r") as file:
        where = file["maps"].id.get_chunk_info_by_coord((3, 0, 0, 0)).byte_offset
    content = bytearray((tmp_path / "cache.h5").read_bytes())
    content[where + 12] ^= 255
    (tmp_path / "cache.h5").write_bytes(content)
    with pytest.raises(InputError, match=r"the maps of 3\.mp4 are damaged"):
        open_cache(tmp_path / "cache.h5").maps(3)
