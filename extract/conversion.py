"""Turn a cache from Zarr into HDF5 and back, without loss."""

from collections.abc import Callable
from pathlib import Path

from hcl.extract.cache import Cache
from hcl.extract.errors import InputError
from hcl.extract.open_cache import HDF5_SUFFIXES, open_cache
from hcl.extract.progress import progress_bar
from hcl.extract.replacing import replacing_folder
from hcl.extract.stored_cache import StoredCache


def convert(source: Path, target: Path, *, progress: bool = False) -> str:
    """Write a cache in the other form; the ending of the target tells which: .h5 or .hdf5 is HDF5, all else Zarr.

    Args:
        source: the cache
        target: must not exist
        progress: show a bar

    Returns:
        a summary

    Raises:
        InputError: if the source is damaged, the target exists or cannot be written
    """
    cache = open_cache(source)
    if target.exists():
        raise InputError(f"{target}: already exists; name another file or remove it")
    rows = [int(row) for row in cache.rows()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with progress_bar(len(rows), "video", "convert", shown=progress) as bar:
            if target.suffix.lower() in HDF5_SUFFIXES:
                from hcl.extract.hdf5_cache import write_hdf5

                write_hdf5(cache, target, rows, bar.update)
            else:
                _write_zarr(cache, target, rows, bar.update)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror or error}); check the disk") from error
    return f"{target}: {len(rows)} of {len(cache.videos)} videos have maps, all copied"


def _write_zarr(source: StoredCache, target: Path, rows: list[int], count: Callable[[int], object]) -> None:
    with replacing_folder(target) as fresh:
        made = Cache.restore(fresh, source)
        for row in rows:
            for piece in source.form.pieces(row):
                made.write_piece(piece, source.piece(piece))
            count(1)
