"""A chunk of maps as it is stored, byte for byte what zarr writes: axes in their order, zstd, then a CRC-32C."""

from typing import Any

import google_crc32c
import numpy as np
from numcodecs.zstd import compress
from numpy.typing import NDArray

from hcl.extract.cache.chunk_reader import CHECKSUM_BYTES

LEVEL = 1  # of zstd, as of `hcl.extract.system.places.zarr_groups.compressors`


def encode_chunk(values: NDArray[Any], order: tuple[int, ...] | None = None) -> bytes:
    """Encode a chunk.

    Args:
        values: of the chunk's shape and type
        order: of the axes as they are stored, as of Zarr's transpose codec; None: as in `values`
    """
    laid = np.ascontiguousarray(values if order is None else values.transpose(order))
    body: bytes = compress(laid.astype(laid.dtype.newbyteorder("<"), copy=False), LEVEL)
    checksum: int = google_crc32c.value(body)
    return body + checksum.to_bytes(CHECKSUM_BYTES, "little")
