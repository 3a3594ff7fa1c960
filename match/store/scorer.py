"""How a store is scored by a method: the method itself, or with the weights that the store keeps, and its arrays.

A method without weights of its own scores any store whose embeddings are of the kind that it compares: of frames, for
instance, whatever they were trained for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hcl.extract.system.errors import InputError
from hcl.match.config import BASELINE, HCL, METHODS
from hcl.match.embeddings import HCL_AXES
from hcl.match.methods.matcher import has_matcher
from hcl.match.methods.registry import BASELINES, Method, find_method
from hcl.match.store.embedding_store import REMEDY, EmbeddingStore

FRAMES = ("video", "frame", "embedding")
VIDEOS_AT_A_TIME = 64  # whose patches are read to make embeddings of frames
# Arrays that are means of others: of which, with what axes, and over which of them.
DERIVED = {"frames": ("patches", HCL_AXES["patches"], 2), "global": ("frames", FRAMES, 1)}
AXES = {"frames": FRAMES, "global": HCL_AXES["global"]}


def scorer_of(store: EmbeddingStore, name: str) -> Method:
    """Make a method ready to score the arrays of a store.

    Args:
        store: of the method, or one that `serves` it
        name: of a method other than HCL

    Raises:
        InputError: if there is no such method, or the store lacks the weights of its matcher, or has others
    """
    method = find_method(name)
    if not has_matcher(method):
        return method
    weights = store.matcher_weights
    if weights is None:
        raise InputError(f"{store.path}: no matcher weights of method {name} in this store; {REMEDY}")
    return weights.bind(method, name, store.path)


def serves(store: EmbeddingStore, name: str) -> bool:
    """Whether a store of another method holds what a method compares, which needs no weights for it."""
    if name == HCL:
        return False
    method = find_method(name)
    return not has_matcher(method) and all(_source(store, array, axes) for array, axes in method.axes.items())


def served_methods(store: EmbeddingStore) -> tuple[str, ...]:
    """The shipped methods that can score a store: its own, and those that it `serves`."""
    return tuple(name for name in METHODS if name == store.method or (name in BASELINES and serves(store, name)))


def choose_method(store: EmbeddingStore, method: str | None) -> str:
    """The method that a store is evaluated by: its own, or another one that it serves, such as the untrained ResNet.

    Raises:
        InputError: if `method` is one that it does not serve
    """
    if method not in (None, BASELINE, store.method) and not serves(store, method):
        raise InputError(
            f"{store.path}: embeddings of {store.method}, not of {method}; train with: hcl train CACHE --method"
            f" {method}, or score these by one of {', '.join(served_methods(store))}"
        )
    return method or store.method


def arrays_for(store: EmbeddingStore, method: Method, rows: NDArray[np.int64]) -> dict[str, Tensor]:
    """Read, or make of what there is, the arrays that a method scores from.

    Args:
        store: of the method, or one that `serves` it
        method: with its axes
        rows: (V,) of the store

    Returns:
        (V, ...) each, on the CPU

    Raises:
        InputError: if the store has no such array, or it is damaged
    """
    return {name: _read(store, name, axes, rows) for name, axes in method.axes.items()}


def _read(store: EmbeddingStore, name: str, axes: Sequence[str], rows: NDArray[np.int64]) -> Tensor:
    source = _source(store, name, axes)
    if source is None or source == name:  # where there is none, for the message
        return store.arrays((name,), rows)[name]
    _, _, axis = DERIVED[name]
    starts = range(0, len(rows), VIDEOS_AT_A_TIME)
    parts = (store.arrays((source,), rows[start : start + VIDEOS_AT_A_TIME])[source].float() for start in starts)
    return torch.cat([part.mean(dim=axis) for part in parts])


def _source(store: EmbeddingStore, name: str, axes: Sequence[str]) -> str | None:
    """The array of a store that another follows from, itself if it is there; None: there is none."""
    if tuple(store.axes.get(name, ())) == tuple(axes):
        return name
    if name not in DERIVED or tuple(AXES[name]) != tuple(axes):
        return None
    source, source_axes, _ = DERIVED[name]
    return source if tuple(store.axes.get(source, ())) == source_axes else None
