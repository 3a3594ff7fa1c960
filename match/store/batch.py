"""Embedded videos on their way into a store: named arrays, whatever method they are for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.extract.system.atomic import json_hash
from hcl.extract.system.errors import InputError
from hcl.match.config import HCL
from hcl.match.embeddings import HCL_AXES, KNOWN_AXES, MEAN_MAP, ZERO_SHOT_AXES, Arrays, Clips, Embeddings
from hcl.match.methods.registry import find_method


class Identity:
    """A SHA-256 over arrays that are fed batch by batch, in whatever batches.

    Args:
        facts: lists of strings that count as well, such as labels
    """

    def __init__(self, facts: Mapping[str, Sequence[str]]) -> None:
        self._facts = {name: list(values) for name, values in facts.items()}
        self._arrays: dict[str, Any] = {}

    def add(self, name: str, values: NDArray[Any]) -> None:
        """Feed the next rows of an array."""
        if name not in self._arrays:
            self._arrays[name] = hashlib.sha256(f"{values.dtype} {values.shape[1:]}".encode())
        self._arrays[name].update(np.ascontiguousarray(values).data)

    def hexdigest(self) -> str:
        """The identity of all that was fed."""
        arrays = {name: digest.hexdigest() for name, digest in self._arrays.items()}
        return json_hash([self._facts, arrays])


Axes = Mapping[str, Sequence[str]]  # names of the axes of each array


def array_axes(method: str) -> Axes:
    """The arrays that a store of a method may hold of each video, with the names of their axes.

    Raises:
        InputError: if there is no such method
    """
    return {**({**HCL_AXES, **KNOWN_AXES} if method == HCL else find_method(method).axes), **MEAN_MAP, **ZERO_SHOT_AXES}


@dataclass(frozen=True)
class EmbeddedBatch:
    """The arrays of V videos and the mean of their maps."""

    arrays: Arrays  # (V, ...) each, on the CPU, by their names in the store
    mean_map: NDArray[np.float32]  # (V, C)
    clip_frames: Clips | None = None  # of the clips, where there are any

    def __post_init__(self) -> None:
        """Refuse arrays of other videos."""
        for name, array in self.arrays.items():
            if len(array) != len(self.mean_map):
                raise ValueError(f"{name} {tuple(array.shape)} does not fit {self.mean_map.shape = }")

    @classmethod
    def of(
        cls, embedded: Embeddings | Arrays, mean_map: NDArray[np.float32], known: Arrays | None = None
    ) -> EmbeddedBatch:
        """Take what an encoder gave, from whatever device.

        Args:
            embedded: of V videos; HCL's embeddings, or the arrays (V, ...) of another method
            mean_map: (V, C), the mean of each video's maps over frames and patches
            known: (V, ...) by name, further arrays that need no gradients
        """
        frames = embedded.clip_frames if isinstance(embedded, Embeddings) else None
        arrays = embedded.arrays() if isinstance(embedded, Embeddings) else embedded
        arrays = {**arrays, **(known or {})}
        return cls({name: array.cpu() for name, array in arrays.items()}, mean_map, frames)

    def __len__(self) -> int:
        return len(self.mean_map)

    def embeddings(self) -> Embeddings:
        """The embeddings that HCL scores from.

        Raises:
            ValueError: if the arrays are of another method
        """
        if self.clip_frames is None:
            raise ValueError(f"not of HCL: {', '.join(self.arrays) or 'no arrays'}")
        return Embeddings.of_arrays(self.arrays, self.clip_frames)

    def stored(self, axes: Axes) -> dict[str, NDArray[Any]]:
        """All arrays as a store holds them.

        Args:
            axes: of the arrays that may be stored

        Raises:
            InputError: if an array has other axes than these, or patches pass the range of float16
        """
        for name, array in self.arrays.items():
            if array.ndim != len(axes.get(name, ())):
                raise InputError(
                    f"{name} {tuple(array.shape)} does not fit {axes.get(name)}: correct the method's axes or its head"
                )
        arrays = {name: array.numpy() for name, array in self.arrays.items()}
        if self.clip_frames is not None:
            patches = self.arrays["patches"].half()  # a thousandth of rounding; a quarter of the cost of float32
            if not torch.isfinite(patches).all():
                raise InputError(
                    "patch embeddings pass the range of float16 (65504); train with a lower --learning-rate"
                )
            arrays["patches"] = patches.numpy()
            for name in arrays:
                if "frame and axis" in KNOWN_AXES.get(name, ()):  # T times as wide as the others
                    arrays[name] = self.arrays[name].half().numpy()
        return arrays | {"mean_map": self.mean_map}
