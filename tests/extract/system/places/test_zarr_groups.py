"""Every byte of a store's metadata counts, and no chunk may be missing, lead elsewhere or claim more than it holds."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from hcl.extract.system.errors import InputError
from hcl.extract.system.places.zarr_groups import compressors, open_array, open_group, read_rows, seal

ZEROS, TEXTS = np.zeros((5, 2), np.float32), np.array(["a", "", "ä", "", ""], dtype=object)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sealed group, whose chunks are of two rows and mostly of zeros and empty texts."""
    group = zarr.open_group(tmp_path / "g.zarr", mode="w", zarr_format=3)
    for name, values in (("zeros", ZEROS), ("texts", TEXTS)):
        group.create_array(
            name,
            shape=values.shape,
            chunks=(2, *values.shape[1:]),
            dtype="string" if name == "texts" else values.dtype,
            compressors=compressors(),
            config={"write_empty_chunks": True},
        )[:] = values
    seal(group, tmp_path / "g.zarr", group.array_keys(), {"schema": "s", "version": 1, "settings": {"of": [1, 2.5]}})
    return tmp_path / "g.zarr"


def read(path: Path) -> dict[str, list[object]]:
    group = open_group(path, "s", 1)
    arrays = {name: open_array(path, group, name) for name in ("zeros", "texts")}
    return {name: read_rows(path, array).tolist() for name, array in arrays.items() if array is not None}


def test_what_is_whole_is_read(path: Path) -> None:
    assert read(path) == {"zeros": ZEROS.tolist(), "texts": TEXTS.tolist()}
    path.with_name("link").symlink_to(path, target_is_directory=True)
    assert read(path.with_name("link")) == read(path)


def test_every_flipped_bit_of_metadata_is_noticed_or_changes_nothing(path: Path) -> None:
    expected = read(path)
    for file in (path / "zarr.json", path / "zeros" / "zarr.json", path / "texts" / "zarr.json"):
        content = file.read_bytes()
        noticed = 0
        for place in range(0, len(content), 3):
            harmed = bytearray(content)
            harmed[place] ^= 1 << place % 8
            file.write_bytes(harmed)
            try:
                assert read(path) == expected and open_group(path, "s", 1).attrs["settings"] == {"of": [1, 2.5]}
            except (InputError, ValueError):
                noticed += 1
        file.write_bytes(content)
        assert noticed > len(content) / 9  # the rest is white space


@pytest.mark.parametrize("name", ["zeros", "texts"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_missing_chunk_is_damage_not_zeros(path: Path, name: str, number: int) -> None:
    chunk = path / name / "c" / str(number)
    shutil.rmtree(chunk) if chunk.is_dir() else chunk.unlink()
    with pytest.raises(ValueError, match=rf"chunk c/{number}.* is missing"):
        read(path)
    array = zarr.open_group(path, mode="r")[name]
    assert array[2 * number].tolist() in ([0, 0], "", *TEXTS[2 * number : 2 * number + 1].tolist())  # zarr says nothing


def test_a_missing_array_is_named(path: Path) -> None:
    (path / "texts" / "zarr.json").unlink()
    with pytest.raises(InputError, match="array 'texts' is missing"):
        read(path)


def forge(path: Path, **changes: object) -> None:
    """Change how an array is stored and seal it again, as a hostile writer can."""
    document = json.loads((path / "zeros" / "zarr.json").read_text()) | changes
    (path / "zeros" / "zarr.json").write_text(json.dumps(document))
    group = zarr.open_group(path, mode="r+")
    seal(group, path, ("zeros", "texts"), {})


@pytest.mark.parametrize(
    "changes",
    [
        {"codecs": [{"name": "nobody.knows", "configuration": {}}]},
        {"data_type": "struct"},
        {"shape": [10**12, 2]},
        {"shape": [5, 10**12]},
        {"shape": [10**12, 2], "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10**12, 2]}}},
    ],
)
def test_what_cannot_be_is_refused_at_once(path: Path, changes: dict[str, object]) -> None:
    forge(path, **changes)
    with pytest.raises((InputError, ValueError)):
        read(path)


def test_a_chunk_that_leads_out_of_the_store_is_not_read(path: Path, tmp_path: Path) -> None:
    chunk = path / "texts" / "c" / "1"
    shutil.move(chunk, tmp_path / "elsewhere")
    chunk.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="leads out of the store"):
        read(path)


@pytest.mark.parametrize("place", ["zeros", "zeros/c", "texts/zarr.json"])
def test_an_entry_that_leads_out_of_the_store_is_refused(path: Path, tmp_path: Path, place: str) -> None:
    shutil.move(path / place, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", path / place)
    with pytest.raises(InputError, match=rf"{place}: a link out of .* to .*elsewhere; put a copy of what it leads to"):
        read(path)
