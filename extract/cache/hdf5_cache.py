"""The cache as one HDF5 file, for tools that want it so; the same arrays and attributes as the Zarr form."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

from hcl.extract.cache.base import REMAKE, SCHEMA, VERSION, FrameMapCache
from hcl.extract.cache.layout import EMBEDDING, ChunkKey, MapLayout
from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.errors import InputError, check_version, first_line, misplaced

MOST_COMPRESSED = 1032  # deflate makes at most so many bytes of one
SEAL = "sha256"  # one JSON text: the hashes of the attributes and of each column; maps have checksums
ATTRIBUTES = "attributes"  # one JSON text: HDF5's own attributes know neither dictionaries nor null


class Hdf5Cache(FrameMapCache):
    """A cache in an HDF5 file, read only."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        super().__init__(path)
        self._file = file
        self._attributes: dict[str, Any] = json.loads(file.attrs[ATTRIBUTES])
        self._hashes: dict[str, str] = json.loads(file.attrs[SEAL])
        maps, views = file["maps"], file["views"] if "views" in self._hashes else None
        embedding = file[EMBEDDING].shape if EMBEDDING in self._hashes else None
        self._layout = self._layout_of(maps.shape, None if views is None else views.shape, maps.dtype, embedding)
        self._check_seal()

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
            if path.suffix.lower() not in (".h5", ".hdf5"):
                raise misplaced(path, SCHEMA) from error
            raise InputError(f"{path}: not a readable HDF5 file ({error}); convert the cache anew") from error
        try:
            _refuse_strangers(path, file)
            return cls(path, file)
        except (KeyError, TypeError, ValueError, RuntimeError, OSError, AttributeError) as error:
            file.close()
            raise InputError(f"{path}: damaged ({first_line(error)}); convert the cache anew") from error
        except BaseException:
            file.close()
            raise

    @property
    def layout(self) -> MapLayout:
        """How maps are stored."""
        return self._layout

    @property
    def attributes(self) -> dict[str, Any]:
        """All attributes, in plain types."""
        return self._attributes

    def _read_array(self, name: str, count: int) -> NDArray[Any] | None:
        if name not in self._file or name not in self._hashes:
            return None
        array = self._file[name]
        if array.nbytes > MOST_COMPRESSED * max(1, self.path.stat().st_size):
            raise ValueError(f"claims {array.nbytes} bytes in a file of {self.path.stat().st_size}")
        try:
            values: NDArray[Any] = array.asstr()[:] if h5py.check_string_dtype(array.dtype) else array[:]
        except Exception as error:  # of any kind: h5py raises what it likes at damage
            raise ValueError(first_line(error)) from error
        if _hash_of_column(values) != self._hashes[name]:
            raise ValueError("its SHA-256 does not match")
        return values[:count]

    def _read_chunk(self, key: ChunkKey, out: NDArray[Any]) -> None:
        name, place = key
        array = self._file[name]
        if array.dtype != out.dtype or array.shape[len(place) :] != out.shape:
            raise ValueError(f"{array.dtype} {array.shape} in place of {out.dtype} {out.shape}")
        if not array.id.get_chunk_info_by_coord((*place, *(0,) * out.ndim)).size:
            raise ValueError("its chunk is missing")
        out[...] = array[place]

    def _check_seal(self) -> None:
        """Refuse attributes that are not as they were written, and arrays of maps for other videos than there are."""
        if self._hashes.get(ATTRIBUTES) != _hash_of_text(self._file.attrs[ATTRIBUTES]):
            raise InputError(f"{self.path}: its attributes are damaged or were changed; convert the cache anew")
        for name in self._layout.arrays:
            if name not in self._file or self._file[name].shape[0] != self._attributes.get("videos"):
                raise InputError(f"{self.path}: dataset {name!r} is missing or of other videos; convert the cache anew")


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
    if SEAL not in file.attrs or "maps" not in file or file["maps"].ndim != 4:
        raise InputError(f"{path}: dataset 'maps' or attribute {SEAL!r} is missing; convert the cache anew")


def _hash_of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _hash_of_column(values: NDArray[Any]) -> str:
    """The SHA-256 of a column's values, whatever type texts come in."""
    if values.dtype.kind in "iuf":
        return hashlib.sha256(values.tobytes()).hexdigest()
    return _hash_of_text(json.dumps([str(value) for value in values]))


def write_hdf5(source: FrameMapCache, path: Path, rows: Sequence[int], count: Callable[[int], object]) -> None:
    """Write a cache as an HDF5 file beside `path` and rename it into place.

    Args:
        source: the cache
        path: of the file
        rows: of the finished videos
        count: called after each of them
    """
    with atomic_file(path) as building, h5py.File(building, "w", libver="v110") as file:
        attributes = json.dumps(source.counted_attributes)
        file.attrs[ATTRIBUTES] = attributes
        hashes = {ATTRIBUTES: _hash_of_text(attributes), **dict.fromkeys(source.layout.arrays, "")}
        for name in source.column_names:
            values = source.column(name)
            hashes[name] = _hash_of_column(values)
            text = values.dtype.kind not in "iuf"
            file.create_dataset(
                name, data=values.astype(object) if text else values, dtype=h5py.string_dtype() if text else None
            )
        file.attrs[SEAL] = json.dumps(hashes)
        for name, array in source.layout.arrays.items():
            shape = (len(source.videos), *array.places, *array.shape)
            chunks = (1,) * (len(shape) - len(array.shape)) + array.shape
            coded = {"compression": "gzip", "compression_opts": 1, "fletcher32": True}
            file.create_dataset(name, shape, array.dtype, chunks=chunks, **coded)
        for row in rows:
            for name, place in source.layout.chunk_keys(row):
                file[name][place] = source.chunk((name, place))
            count(1)
