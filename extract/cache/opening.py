"""Open a cache in whatever form it is stored."""

from pathlib import Path

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.cache.zarr_cache import ZarrCache

HDF5_SUFFIXES = frozenset({".h5", ".hdf5"})


def is_hdf5(path: Path) -> bool:
    """Whether a path names an HDF5 file, there or not."""
    return path.is_file() or (not path.exists() and path.suffix.lower() in HDF5_SUFFIXES)


def open_cache(path: Path) -> FrameMapCache:
    """Open a Zarr folder or an HDF5 file for reading.

    Raises:
        InputError: if it is missing, not a cache, or damaged
    """
    if not is_hdf5(path):
        return ZarrCache.open(path)
    from hcl.extract.cache.hdf5_cache import Hdf5Cache

    return Hdf5Cache.open(path)
