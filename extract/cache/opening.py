"""Open a cache in whatever form it is stored."""

from pathlib import Path

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.cache.zarr_cache import ZarrCache

HDF5_SUFFIXES = frozenset({".h5", ".hdf5"})


def is_hdf5(path: Path) -> bool:
    """Whether a path names an HDF5 file, there or not."""
    return path.is_file() or (not path.exists() and path.suffix.lower() in HDF5_SUFFIXES)


def open_cache(path: str | Path) -> FrameMapCache:
    """Open a cache of frame maps for reading, be it a Zarr folder or an HDF5 file.

    Its videos stand in `cache.videos`; `cache.rows("novel")` are the finished ones of a split, and `cache.maps(row)`
    are the frame maps of one of them, (T, P, C) float16.

    Args:
        path: of the folder or file that `hcl extract` or `hcl convert` wrote

    Raises:
        InputError: if it is missing, not a cache, of another version, or damaged
    """
    path = Path(path)
    if not is_hdf5(path):
        return ZarrCache.open(path)
    from hcl.extract.cache.hdf5_cache import Hdf5Cache

    return Hdf5Cache.open(path)
