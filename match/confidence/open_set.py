"""Whether a query is any of the classes at all: a threshold for a false-accept rate, and how well it tells.

Inside: queries of one of the classes. Outside: queries of none of them. A query is accepted where its confidence is
above the threshold.
"""

from math import ceil

import numpy as np
from numpy.typing import NDArray

from hcl.extract.system.errors import InputError

ROUNDING = 1e-9

Floats = NDArray[np.float64]


def clips_needed(false_accept_rate: float) -> int:
    """How many clips outside the classes a rate can be known from: 19 for 5 %, 99 for 1 %."""
    if not 0 < false_accept_rate < 1:
        raise InputError(f"a false-accept rate lies between 0 and 1, such as 0.05; got {false_accept_rate}")
    return ceil(1 / false_accept_rate - 1 - ROUNDING)


def rejection_threshold(outside: Floats, false_accept_rate: float, *, clips: NDArray[np.int64] | None = None) -> float:
    """Choose the lowest confidence above which a new clip outside the classes is accepted at most at this rate.

    Of n clips and the new one, any is as likely as another to be the m-th most confident. So the rate holds on average
    over draws of n clips as different from each other as the new one is; conservative, the more so the fewer there are.

    V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World, 2005: the inductive conformal quantile.

    Args:
        outside: (n,) confidences of queries that are of none of the classes
        false_accept_rate: between 0 and 1
        clips: (n,) which clip each is, where one was asked several times against other supports: each counts once
            in all; None: each is another clip

    Returns:
        the threshold, one of the confidences

    Raises:
        InputError: if the rate is out of range, or cannot be known from so few clips
    """
    needed = clips_needed(false_accept_rate)
    numbers = np.arange(len(outside)) if clips is None else np.unique(clips, return_inverse=True)[1]
    counts = np.bincount(numbers) if len(numbers) else np.zeros(0, dtype=np.int64)
    if len(counts) < needed:
        lowest = ceil(1000 / (len(counts) + 1)) / 10
        least = f"; the lowest that so many tell is {lowest:g} %" if len(counts) else ""
        raise InputError(
            f"a false-accept rate of {100 * false_accept_rate:g} % cannot be known from {len(counts)} clips outside the"
            f" classes, it takes {needed}: give more clips of other classes, or a higher rate with --reject{least}"
        )
    order = np.argsort(outside, kind="stable")
    below = np.cumsum(1 / counts[numbers[order]])  # clips up to each confidence
    rank = ceil((len(counts) + 1) * (1 - false_accept_rate) - ROUNDING)
    place = int(np.searchsorted(below, rank - ROUNDING * len(counts)))
    return float(outside[order[min(place, len(order) - 1)]])


def auroc(inside: Floats, outside: Floats) -> float:
    """The chance that a query of the classes is more confident than one of none; ties count half.

    The area under the receiver operating characteristic, by ranks (Mann and Whitney, 1947).

    Args:
        inside: (n,) confidences
        outside: (m,) confidences

    Returns:
        in [0, 1]; 0.5 says nothing

    Raises:
        ValueError: if there are none of a kind
    """
    if not len(inside) or not len(outside):
        raise ValueError(f"nothing to compare: {len(inside) = }, {len(outside) = }")
    return float(wins(inside, outside).sum() / (len(inside) * len(outside)))


def wins(inside: Floats, outside: Floats) -> Floats:
    """How many of (m,) confidences each of (n,) is above, ties counted half: (n,)."""
    ascending = np.sort(outside)
    return np.asarray(
        (np.searchsorted(ascending, inside, side="left") + np.searchsorted(ascending, inside, side="right")) / 2
    )


def open_set_accuracy(inside: Floats, right: NDArray[np.bool_], outside: Floats, *, threshold: float) -> float:
    """The share of queries answered rightly: accepted and of the class that is named, or of none and rejected.

    Args:
        inside: (n,) confidences
        right: (n,) whether the likeliest class is the true one
        outside: (m,) confidences
        threshold: above which a query is accepted
    """
    answered = ((inside > threshold) & right).sum() + (outside <= threshold).sum()
    return float(answered / (len(inside) + len(outside)))


def false_accepts(outside: Floats, threshold: float) -> float:
    """The share of (m,) queries of none of the classes that are accepted."""
    return float((outside > threshold).mean())


def false_rejects(inside: Floats, threshold: float) -> float:
    """The share of (n,) queries of the classes that are rejected."""
    return float((inside <= threshold).mean())
