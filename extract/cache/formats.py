"""The two formats of a cache, a Zarr folder and an HDF5 file: open either, and turn one into the other."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.cache.sharding.chunk_encoding import encode_chunk
from hcl.extract.cache.sharding.places import Sharding
from hcl.extract.cache.sharding.shard_writer import rewrite_shard
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.videos import VIDEO_SUFFIXES
from hcl.extract.system.atomic import atomic_folder, in_bucket
from hcl.extract.system.errors import InputError, write_errors
from hcl.extract.system.lock import sole_writer
from hcl.extract.system.places.location import is_remote, place_of
from hcl.extract.system.places.objects import SIDE_BY_SIDE, side_by_side
from hcl.extract.system.progress import progress_bar

HDF5_SUFFIXES = frozenset({".h5", ".hdf5"})
OTHER_SUFFIXES = VIDEO_SUFFIXES | frozenset(  # that promise something other than a folder
    ".zip .tar .gz .tgz .bz2 .xz .7z .rar .npz .npy .pkl .pt .pth .safetensors .csv .tsv .json .txt .mat .hdf".split()
)


def is_hdf5(path: Path) -> bool:
    """Whether a path names an HDF5 file, there or not.

    Raises:
        InputError: if it is in a bucket: such a file is read piece by piece, each of which would be a request
    """
    if is_remote(path):
        if path.suffix.lower() in HDF5_SUFFIXES:
            raise InputError(f"{path}: an HDF5 cache is read from this machine alone; copy it here, or name a .zarr")
        return False
    return path.is_file() or (not path.exists() and path.suffix.lower() in HDF5_SUFFIXES)


def refuse_other_suffix(path: Path, remedy: str) -> None:
    """Refuse to make a folder under a name that promises a file of another kind.

    Args:
        path: of the folder
        remedy: what to name instead

    Raises:
        InputError: if it does
    """
    if path.suffix.lower() in OTHER_SUFFIXES:
        raise InputError(f"{path}: a cache is no {path.suffix} file; {remedy}")


def open_cache(path: str | Path) -> FrameMapCache:
    """Open a cache of frame maps for reading, be it a Zarr folder or an HDF5 file.

    Its videos stand in `cache.videos`; `cache.rows("novel")` are the finished ones of a split, and `cache.maps(row)`
    are the frame maps of one of them, (T, P, C) float16.

    Args:
        path: of the folder or file that `hcl extract` or `hcl convert` wrote, or a URL such as s3://bucket/cache.zarr

    Raises:
        InputError: if it is missing, not a cache, of another version, or damaged
    """
    path = place_of(path)
    if not is_hdf5(path):
        return ZarrCache.open(path)
    from hcl.extract.cache.hdf5_cache import Hdf5Cache

    return Hdf5Cache.open(path)


@dataclass(frozen=True)
class Conversion:
    """What a conversion wrote."""

    target: Path
    videos: int  # of the cache
    copied: int  # those that have maps


def convert(source: str | Path, target: str | Path, *, shard_videos: int = 0) -> Conversion:
    """Write a cache in another form; the ending of the target tells which: .h5 or .hdf5 is HDF5, all else Zarr.

    Args:
        source: the cache
        target: must not exist
        shard_videos: of a Zarr target, videos whose maps share a file; 0: each video has files of its own

    Raises:
        InputError: if the source is damaged, or the target exists, is named like something else or cannot be written
    """
    cache, target = open_cache(source), place_of(target)
    is_hdf5(target)  # refuses one in a bucket
    refuse_other_suffix(target, "name a folder such as cache.zarr, or a file such as cache.h5")
    if shard_videos < 0 or (shard_videos and target.suffix.lower() in HDF5_SUFFIXES):
        raise InputError(f"--shard-videos {shard_videos}: of a Zarr target, at least 0; an HDF5 file has no shards")
    rows = [int(row) for row in cache.rows()]
    with write_errors(target, "check the disk"), sole_writer(target):
        if target.exists():
            raise InputError(f"{target}: already exists; name another file or remove it")
        with progress_bar(len(rows), "video", "convert") as bar:
            if target.suffix.lower() in HDF5_SUFFIXES:
                from hcl.extract.cache.hdf5_cache import write_hdf5

                write_hdf5(cache, target, rows, bar.update)
            else:
                _write_zarr(cache, target, rows, bar.update, shard_videos)
    return Conversion(target, videos=len(cache.videos), copied=len(rows))


def _write_zarr(
    source: FrameMapCache, target: Path, rows: list[int], count: Callable[[int], object], shard_videos: int
) -> None:
    with atomic_folder(target) as fresh:
        made = ZarrCache.restore(fresh, source, shard_videos)
        if made.sharding:
            _write_shards(source, made.sharding, rows, count)
            return

        def copy(row: int) -> None:
            for key in source.layout.chunk_keys(row):
                made.write_chunk(key, source.chunk(key))

        at_once = SIDE_BY_SIDE if in_bucket(target) or in_bucket(source.path) else 1
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            side_by_side(copy, some)
            count(len(some))


def _write_shards(source: FrameMapCache, sharding: Sharding, rows: list[int], count: Callable[[int], object]) -> None:
    """Copy the maps of videos into the shards of a cache that holds what counts alone: its rows are the source's."""
    for number, of_shard in groupby(rows, key=lambda row: row // sharding.videos):
        chunks: dict[str, dict[int, bytes]] = {name: {} for name in source.layout.arrays}
        for row in of_shard:
            for key in source.layout.chunk_keys(row):
                chunks[key[0]][sharding.place(key)[1]] = encode_chunk(source.chunk(key), sharding.orders[key[0]])
            count(1)
        rewrite_shard(sharding, number, chunks)
