"""What is stored of the maps that an extraction made."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.extract.map_form import MapForm, Piece, maps_piece
from hcl.extract.quantised import quantise, relative_error, restore
from hcl.extract.stored_cache import MapRecord


def encode_views(record: MapRecord, form: MapForm) -> tuple[dict[Piece, NDArray[Any]], float]:
    """Turn the maps of a finished video into what is stored of them, and the relative error that this brings."""
    canonical = np.zeros((0, *form.shape), np.float16) if record.maps is None else record.maps[None]
    views = canonical if record.views is None else np.concatenate([canonical, record.views])
    if views.shape != (form.views, *form.shape):
        raise ValueError(f"{views.shape = } in a cache of {form}")
    if not form.is_quantised:
        return {maps_piece(record.row, view): maps for view, maps in enumerate(views)}, 0.0
    pieces: dict[Piece, NDArray[Any]] = {}
    restored = np.empty_like(views)
    for view, maps in enumerate(views):
        codes, scales = quantise(maps)
        restore(codes, scales, restored[view])
        pieces |= {maps_piece(record.row, view): codes, ("scales", (record.row, view)): scales}
    return pieces, relative_error(views, restored)
