"""What is stored of the maps that an extraction made."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.base import MapRecord
from hcl.extract.cache.layout import ChunkKey, MapLayout, maps_piece
from hcl.extract.cache.quantisation import quantise, relative_error, restore


def encode_views(record: MapRecord, layout: MapLayout) -> tuple[dict[ChunkKey, NDArray[Any]], float]:
    """Turn the maps of a finished video into what is stored of them, and the relative error that this brings."""
    canonical = np.zeros((0, *layout.shape), np.float16) if record.maps is None else record.maps[None]
    views = canonical if record.views is None else np.concatenate([canonical, record.views])
    if views.shape != (layout.views, *layout.shape):
        raise ValueError(f"{views.shape = } in a cache of {layout}")
    if not layout.is_quantised:
        return {maps_piece(record.row, view): maps for view, maps in enumerate(views)}, 0.0
    pieces: dict[ChunkKey, NDArray[Any]] = {}
    restored = np.empty_like(views)
    for view, maps in enumerate(views):
        codes, scales = quantise(maps)
        restore(codes, scales, restored[view])
        pieces |= {maps_piece(record.row, view): codes, ("scales", (record.row, view)): scales}
    return pieces, relative_error(views, restored)
