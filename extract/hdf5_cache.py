"""The cache as one HDF5 file, for tools that want it so; the same arrays and attributes as the Zarr form."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hcl.extract.errors import InputError
from hcl.extract.stored_cache import SCHEMA, VERSION, StoredCache

ATTRIBUTES = "attributes"  # one JSON text: HDF5's own attributes know neither dictionaries nor null


class Hdf5Cache(StoredCache):
    """A cache in an HDF5 file, read only."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        super().__init__(path)
        self._file = file
        self._attributes: dict[str, Any] = json.loads(file.attrs[ATTRIBUTES])

    @classmethod
    def open(cls, path: Path) -> "Hdf5Cache":
        """Open a file; nothing outside it is ever read.

        Raises:
            InputError: if it is missing, no cache, of another version, or refers to other files
        """
        try:
            file = h5py.File(path, "r")
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such cache; make one with: hcl convert CACHE.zarr {path}") from error
        except OSError as error:
            raise InputError(f"{path}: not a readable HDF5 file ({error}); convert the cache anew") from error
        try:
            _refuse_strangers(path, file)
            return cls(path, file)
        except BaseException:
            file.close()
            raise

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, P, C) of a video's maps."""
        _, frames, patches, channels = self._file["maps"].shape
        return frames, patches, channels

    @property
    def attributes(self) -> dict[str, Any]:
        """All attributes, in plain types."""
        return self._attributes

    def _read_array(self, name: str, count: int) -> NDArray[Any] | None:
        if name not in self._file:
            return None
        array = self._file[name]
        values: NDArray[Any] = array.asstr()[:count] if h5py.check_string_dtype(array.dtype) else array[:count]
        return values

    def _read_maps(self, row: int) -> NDArray[np.float16]:
        return np.asarray(self._file["maps"][row])


def _refuse_strangers(path: Path, file: h5py.File) -> None:
    """Refuse what is not ours, and links or storage that lead out of the file."""
    try:
        attributes = json.loads(file.attrs[ATTRIBUTES])
        schema, version = attributes["schema"], attributes["version"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: an HDF5 file, but not a cache; convert one with: hcl convert") from error
    if (schema, version) != (SCHEMA, VERSION):
        raise InputError(f"{path}: schema {schema} version {version}, this program reads {SCHEMA} version {VERSION}")
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise InputError(f"{path}: {name!r} is a link out of its place; only plain datasets are read")
        found = file[name]
        if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
            raise InputError(f"{path}: {name!r} is stored outside the file; only plain datasets are read")
    if "maps" not in file or file["maps"].ndim != 4:
        raise InputError(f"{path}: dataset 'maps' is missing; convert the cache anew")


def write_hdf5(source: StoredCache, path: Path, rows: Sequence[int], count: Callable[[int], object]) -> None:
    """Write a cache as an HDF5 file beside `path` and rename it into place.

    Args:
        source: the cache
        path: of the file
        rows: of the finished videos
        count: called after each of them
    """
    building = path.with_name(f"{path.name}.new")
    with h5py.File(building, "w", libver="v110") as file:
        file.attrs[ATTRIBUTES] = json.dumps(source.attributes)
        for name in source.column_names:
            values = source.column(name)
            text = values.dtype.kind not in "iuf"
            file.create_dataset(
                name, data=values.astype(object) if text else values, dtype=h5py.string_dtype() if text else None
            )
        shape = (len(source.videos), *source.shape)
        maps = file.create_dataset(
            "maps", shape, "float16", chunks=(1, *source.shape), compression="gzip", compression_opts=1, fletcher32=True
        )
        for row in rows:
            maps[row] = source.maps(row)
            count(1)
    os.replace(building, path)
