"""The weights of an encoder, for more classes or fewer: what belongs to a class is found by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

OF_CLASSES = ("classifier.weight", "classifier.bias", "base_texts")  # one row for each version of each class


def class_rows(old: Sequence[str], new: Sequence[str], versions: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the rows of classes come from.

    Args:
        old: classes of the weights that are there
        new: classes that weights are wanted for
        versions: of each class, whose rows stand version by version

    Returns:
        the rows of classes that are in both: (n,) among the new ones and (n,) among the old ones
    """
    places = {name: place for place, name in enumerate(old)}
    both = [(place, places[name]) for place, name in enumerate(new) if name in places]
    pairs = [
        (place + version * len(new), before + version * len(old))
        for version in range(versions)
        for place, before in both
    ]
    found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def carry_over(
    fresh: Mapping[str, Tensor], trained: Mapping[str, Tensor], old: Sequence[str], new: Sequence[str], versions: int
) -> dict[str, Tensor]:
    """Weights for the classes `new`: trained ones, and fresh rows for the classes that are not among `old`.

    Args:
        fresh: weights of an encoder of the new classes
        trained: weights of one of the old classes, of the same shapes otherwise
        old: classes of the trained weights
        new: classes of the fresh ones
        versions: of each class
    """
    to, since = class_rows(old, new, versions)
    state = {name: value.clone() for name, value in trained.items()}
    for name in OF_CLASSES:
        if name in fresh:
            state[name] = fresh[name].clone()
            state[name][to] = trained[name][since].to(fresh[name])
    return state
