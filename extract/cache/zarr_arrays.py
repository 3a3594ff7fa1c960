"""The arrays of a cache in Zarr: their chunks, codecs and the order in which a file holds a map."""

from typing import Any

import zarr
from zarr.codecs import TransposeCodec

from hcl.extract.cache.base import CLASS_COLUMNS, ERROR_COLUMN, NUMBER_COLUMNS, TEXT_COLUMNS
from hcl.extract.cache.layout import MapArray, MapLayout
from hcl.extract.system.places.zarr_groups import compressors

ROWS_PER_CHUNK = 1024  # of the arrays that hold one value per video
CHANNELS_FIRST = (0, 2, 1)  # [frame, channel, patch] compresses better, and decompresses faster, than patch by patch


def stored_order(array: zarr.Array[Any]) -> tuple[int, ...] | None:
    """The order in which a file holds the axes of a chunk, the leading ones of length 1 left out; None: as they are."""
    orders = [codec.order for codec in array.filters if isinstance(codec, TransposeCodec)]
    leading = array.ndim - len(CHANNELS_FIRST)
    return tuple(axis - leading for axis in orders[0][leading:]) if orders else None


def videos_per_shard(array: zarr.Array[Any]) -> int:
    """How many videos share a file of an array of maps; 0: each chunk is a file."""
    return array.shards[0] if array.shards else 0


def create_arrays(group: zarr.Group, layout: MapLayout, shard_videos: int = 0) -> None:
    """Make all arrays of a cache, empty, but for the embeddings of the class texts, whose width is not known yet.

    Args:
        group: of the cache
        layout: of the maps
        shard_videos: videos whose maps share a file; 0: each chunk is a file
    """
    for name, array in layout.arrays.items():
        _create_map_array(group, name, array, shard_videos)
    for name in TEXT_COLUMNS:
        _create_column(group, name, "string", "video")
    for name, dtype in NUMBER_COLUMNS.items():
        _create_column(group, name, dtype, "video")
    if layout.is_quantised:
        _create_column(group, ERROR_COLUMN, "float32", "video")
    for name in CLASS_COLUMNS:
        _create_column(group, name, "string", "class")


def _create_map_array(group: zarr.Group, name: str, array: MapArray, shard_videos: int) -> None:
    leading = len(array.axes) - len(array.shape)
    order = (*range(leading), *(leading + axis for axis in CHANNELS_FIRST))
    group.create_array(
        name,
        shape=(0, *array.places, *array.shape),
        chunks=(1,) * leading + array.shape,
        shards=(shard_videos, *array.places, *array.shape) if shard_videos else None,
        dtype=array.dtype,
        filters=[TransposeCodec(order=order)] if len(array.shape) == len(CHANNELS_FIRST) else [],
        compressors=compressors(),
        dimension_names=array.axes,
    )


def _create_column(group: zarr.Group, name: str, dtype: str, axis: str) -> None:
    group.create_array(
        name, shape=(0,), chunks=(ROWS_PER_CHUNK,), dtype=dtype, compressors=compressors(), dimension_names=(axis,)
    )
