"""Embedded videos on their way into a store: named arrays, whatever method they are for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.extract.system.errors import InputError
from hcl.match.embeddings import Clips, Embeddings
from hcl.match.methods.registry import Arrays

AXES = {
    "global": ("video", "embedding"),
    "clips": ("video", "clip", "embedding"),
    "patches": ("video", "frame", "patch", "embedding"),
    "class_keys": ("video", "embedding"),
    "frames": ("video", "frame", "embedding"),
    "keys_2": ("video", "tuple", "embedding"),
    "values_2": ("video", "tuple", "embedding"),
    "keys_3": ("video", "tuple", "embedding"),
    "values_3": ("video", "tuple", "embedding"),
    "mean_map": ("video", "channel"),
}


@dataclass(frozen=True)
class EmbeddedBatch:
    """The arrays of V videos and the mean of their maps."""

    arrays: Arrays  # (V, ...) each, on the CPU, by their names in the store
    mean_map: NDArray[np.float32]  # (V, C)
    clip_frames: Clips | None = None  # of the clips, where there are any

    def __post_init__(self) -> None:
        """Refuse arrays that a store does not know, or of other videos."""
        for name, array in self.arrays.items():
            if array.ndim != len(AXES.get(name, ())) or len(array) != len(self.mean_map):
                raise ValueError(f"{name} {tuple(array.shape)} does not fit {AXES.get(name)}, {self.mean_map.shape = }")

    @classmethod
    def of(cls, found: Embeddings | Arrays, mean_map: NDArray[np.float32]) -> EmbeddedBatch:
        """Take what an encoder found, from whatever device."""
        frames = found.clip_frames if isinstance(found, Embeddings) else None
        arrays = found.arrays() if isinstance(found, Embeddings) else found
        return cls({name: array.cpu() for name, array in arrays.items()}, mean_map, frames)

    def __len__(self) -> int:
        return len(self.mean_map)

    def embeddings(self) -> Embeddings:
        """Give back the embeddings that HCL scores from."""
        if self.clip_frames is None:
            raise ValueError(f"not of HCL: {', '.join(self.arrays) or 'no arrays'}")
        return Embeddings.of_arrays(self.arrays, self.clip_frames)

    def stored(self) -> dict[str, NDArray[Any]]:
        """All arrays as a store holds them.

        Raises:
            InputError: if patches pass the range of float16
        """
        arrays = {name: array.numpy() for name, array in self.arrays.items()}
        if "patches" in arrays:
            patches = self.arrays["patches"].half()  # a thousandth of rounding; a quarter of the cost of float32
            if not torch.isfinite(patches).all():
                raise InputError(
                    "patch embeddings pass the range of float16 (65504); train with a lower --learning-rate"
                )
            arrays["patches"] = patches.numpy()
        return arrays | {"mean_map": self.mean_map}
