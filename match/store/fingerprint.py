"""What tells embeddings from all others: one number for the same ones, however they came about."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
        return hashlib.sha256(json.dumps([self._facts, arrays], sort_keys=True).encode()).hexdigest()
