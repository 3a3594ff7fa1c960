"""The cache as one HDF5 file, for tools that want it so; the same arrays and attributes as the Zarr form."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

from hcl.extract.cache.base import REMAKE, SCHEMA, VERSION, FrameMapCache
from hcl.extract.cache.layout import ChunkKey, MapLayout
from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.errors import InputError, check_version

ATTRIBUTES = "attributes"  # one JSON text: HDF5's own attributes know neither dictionaries nor null


class Hdf5Cache(FrameMapCache):
    """A cache in an HDF5 file, read only."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        super().__init__(path)
        self._file = file
        self._attributes: dict[str, Any] = json.loads(file.attrs[ATTRIBUTES])

    @classmethod
    def open(cls, path: str | Path) -> "Hdf5Cache":
        """Open a file; nothing outside it is ever read.

        Raises:
            InputError: if it is missing, no cache, of another version, or refers to other files
        """
        path = Path(path)
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
    def layout(self) -> MapLayout:
        """How maps are stored."""
        maps = self._file["maps"]
        further = self._file["views"].shape[1] if "views" in self._file else 0
        return MapLayout(maps.shape[1:], further + 1, str(maps.dtype))

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

    def _read_chunk(self, key: ChunkKey, out: NDArray[Any]) -> None:
        name, place = key
        out[...] = self._file[name][place]


def _refuse_strangers(path: Path, file: h5py.File) -> None:
    """Refuse what is not ours, and links or storage that lead out of the file."""
    try:
        attributes = json.loads(file.attrs[ATTRIBUTES])
        schema, version = attributes["schema"], attributes["version"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: an HDF5 file, but not a cache; convert one with: hcl convert") from error
    if schema != SCHEMA:
        raise InputError(f"{path}: holds {schema!r} where {SCHEMA!r} was expected")
    check_version(path, SCHEMA, version, VERSION, remedy=REMAKE)
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise InputError(f"{path}: {name!r} is a link out of its place; only plain datasets are read")
        dataset = file[name]
        if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
            raise InputError(f"{path}: {name!r} is stored outside the file; only plain datasets are read")
    if "maps" not in file or file["maps"].ndim != 4:
        raise InputError(f"{path}: dataset 'maps' is missing; convert the cache anew")


def write_hdf5(source: FrameMapCache, path: Path, rows: Sequence[int], count: Callable[[int], object]) -> None:
    """Write a cache as an HDF5 file beside `path` and rename it into place.

    Args:
        source: the cache
        path: of the file
        rows: of the finished videos
        count: called after each of them
    """
    with atomic_file(path) as building, h5py.File(building, "w", libver="v110") as file:
        file.attrs[ATTRIBUTES] = json.dumps(source.attributes)
        for name in source.column_names:
            values = source.column(name)
            text = values.dtype.kind not in "iuf"
            file.create_dataset(
                name, data=values.astype(object) if text else values, dtype=h5py.string_dtype() if text else None
            )
        for name, array in source.layout.arrays.items():
            shape = (len(source.videos), *array.places, *array.shape)
            chunks = (1,) * (len(shape) - len(array.shape)) + array.shape
            coded = {"compression": "gzip", "compression_opts": 1, "fletcher32": True}
            file.create_dataset(name, shape, array.dtype, chunks=chunks, **coded)
        for row in rows:
            for name, place in source.layout.chunk_keys(row):
                file[name][place] = source.chunk((name, place))
            count(1)
