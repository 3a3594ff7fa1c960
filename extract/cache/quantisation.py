"""What is stored of maps: themselves, or one byte per value with the smallest value and the step of each channel."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.extract.cache.layout import EMBEDDING, ChunkKey, MapLayout, MapRecord, maps_key
from hcl.extract.system.errors import InputError

STEPS = 255
ONE_THREAD = 30_000  # values; torch shares out more


def encode_views(record: MapRecord, layout: MapLayout) -> tuple[dict[ChunkKey, NDArray[Any]], float]:
    """Turn the maps of a finished video into the chunks that are stored.

    Returns:
        the chunks, and the relative l2 error that rounding brings

    Raises:
        ValueError: if the maps are not those of the layout
    """
    canonical = np.zeros((0, *layout.shape), np.float16) if record.maps is None else record.maps[None]
    views = canonical if record.views is None else np.concatenate([canonical, record.views])
    if views.shape != (layout.views, *layout.shape):
        raise ValueError(f"{views.shape = } in a cache of {layout}")
    chunks: dict[ChunkKey, NDArray[Any]] = {}
    if layout.embedding:
        if record.embedding is None or record.embedding.shape != layout.arrays[EMBEDDING].shape:
            raise ValueError(f"{record.embedding = } in a cache of {layout} with {layout.embedding = }")
        chunks[EMBEDDING, (record.row,)] = record.embedding
    if not layout.is_quantised:
        return chunks | {maps_key(record.row, view): maps for view, maps in enumerate(views)}, 0.0
    restored = np.empty_like(views)
    for view, maps in enumerate(views):
        codes, scales = quantise(maps)
        restore(codes, scales, restored[view])
        chunks |= {maps_key(record.row, view): codes, ("scales", (record.row, view)): scales}
    return chunks, relative_error(views, restored)


def quantise(maps: NDArray[np.float16]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Round each channel to 256 equally spaced values from its smallest to its largest.

    Zeros stay exact where nothing is smaller, as in every map behind a ReLU.

    Args:
        maps: (T, P, C)

    Returns:
        codes (T, P, C), and scales (2, C): smallest value and step

    Raises:
        InputError: if a value is not finite
    """
    values = maps.astype(np.float32)
    least, most = values.min(axis=(0, 1)), values.max(axis=(0, 1))  # (C,)
    if not np.isfinite([least, most]).all():
        raise InputError("maps with infinite values cannot be stored as uint8; use --cache-dtype float16")
    step = (most - least) / STEPS
    values -= least
    values /= np.where(step > 0, step, 1)
    return np.rint(values).clip(0, STEPS).astype(np.uint8), np.stack([least, step])


def restore(codes: NDArray[np.uint8], scales: NDArray[np.float32], out: NDArray[np.float16]) -> None:
    """Write smallest value + code * step of each channel to `out`, (T, P, C)."""
    # torch, since its float16 is sixty times quicker than numpy's; in parts so small that it starts no threads.
    least, step = torch.from_numpy(scales)
    rows = max(1, ONE_THREAD // codes.shape[-1])
    parts = torch.split(torch.from_numpy(codes).flatten(0, 1), rows)
    for part, target in zip(parts, torch.split(torch.from_numpy(out).flatten(0, 1), rows), strict=True):
        target.copy_(torch.addcmul(least, part, step))


def relative_error(maps: NDArray[np.float16], stored: NDArray[np.float16]) -> float:
    """The length of the difference relative to the length of the maps; 0 for maps of zeros, which are exact."""
    exact = maps.astype(np.float32)
    length = float(np.linalg.norm(exact))
    return float(np.linalg.norm(stored.astype(np.float32) - exact)) / length if length else 0.0
