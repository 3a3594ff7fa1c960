"""Turn a cache from Zarr into HDF5 and back, without loss."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.cache.opening import HDF5_SUFFIXES, open_cache
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.system.atomic import atomic_folder
from hcl.extract.system.errors import InputError
from hcl.extract.system.progress import progress_bar


@dataclass(frozen=True)
class Conversion:
    """What a conversion wrote."""

    target: Path
    videos: int  # of the cache
    copied: int  # those that have maps


def convert(source: str | Path, target: str | Path) -> Conversion:
    """Write a cache in the other form; the ending of the target tells which: .h5 or .hdf5 is HDF5, all else Zarr.

    Args:
        source: the cache
        target: must not exist

    Raises:
        InputError: if the source is damaged, the target exists or cannot be written
    """
    cache, target = open_cache(source), Path(target)
    if target.exists():
        raise InputError(f"{target}: already exists; name another file or remove it")
    rows = [int(row) for row in cache.rows()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with progress_bar(len(rows), "video", "convert") as bar:
            if target.suffix.lower() in HDF5_SUFFIXES:
                from hcl.extract.cache.hdf5_cache import write_hdf5

                write_hdf5(cache, target, rows, bar.update)
            else:
                _write_zarr(cache, target, rows, bar.update)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror or error}); check the disk") from error
    return Conversion(target, videos=len(cache.videos), copied=len(rows))


def _write_zarr(source: FrameMapCache, target: Path, rows: list[int], count: Callable[[int], object]) -> None:
    with atomic_folder(target) as fresh:
        made = ZarrCache.restore(fresh, source)
        for row in rows:
            for key in source.layout.chunk_keys(row):
                made.write_chunk(key, source.chunk(key))
            count(1)
