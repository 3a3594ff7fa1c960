"""Each clip is asked for while it, and all of its group, is left out of the supports: pure functions on scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Pool = Callable[[int, NDArray[np.int64]], Floats]  # of a query and K clips of a class: its score by 1, 2, ... of them
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class LeftOut:
    """What each of n clips scores against N classes, of whose clips it is none."""

    rows: NDArray[np.int64]  # (n,) of the clips that could be asked for: their class has others
    scores: Floats  # (n, N)
    classes: NDArray[np.int64]  # (n,) the class of each

    @property
    def named(self) -> NDArray[np.int64]:
        """(n,) the class that each is taken for."""
        return np.asarray(self.scores.argmax(axis=1))

    @property
    def right(self) -> Bools:
        """(n,) whether each is taken for its own class."""
        return np.asarray(self.named == self.classes)

    @property
    def margins(self) -> Floats:
        """(n,) how much better its own class scores than the best other one."""
        own = np.take_along_axis(self.scores, self.classes[:, None], axis=1)[:, 0]
        others = self.scores.copy()
        np.put_along_axis(others, self.classes[:, None], -np.inf, axis=1)
        return np.asarray(own - others.max(axis=1))


def allowed_supports(classes: NDArray[np.int64], groups: Sequence[str]) -> Bools:
    """Which clips may answer for which: none for itself, and none of the same group, such as one person.

    Where no other group filmed a class, its clips may answer all the same, but for the clip itself.

    Args:
        classes: (V,)
        groups: (V,) "" where unknown

    Returns:
        (V, V) of queries by supports
    """
    names = np.array(groups, dtype=str)
    others = ~np.eye(len(classes), dtype=bool)
    apart = others & ((names[:, None] != names[None]) | (names == "")[:, None])
    for number in np.unique(classes):
        members = classes == number
        lacking = ~apart[:, members].any(axis=1)
        apart[np.ix_(lacking, members)] = others[np.ix_(lacking, members)]
    return np.asarray(apart)


def leave_out(pool: Pool, classes: NDArray[np.int64], allowed: Bools) -> LeftOut:
    """Score each clip against all classes by the supports that may answer.

    Args:
        pool: how the supports of a class score a query together
        classes: (V,) counted from 0, each with a clip
        allowed: (V, V) as of `allowed_supports`
    """
    members = [classes == number for number in range(int(classes.max()) + 1)]
    counts = np.stack([(allowed & of).sum(axis=1) for of in members], axis=1)  # (V, N)
    rows = np.flatnonzero((counts > 0).all(axis=1))
    scores = [[pool(int(row), np.flatnonzero(allowed[row] & of))[-1] for of in members] for row in rows]
    return LeftOut(rows, np.array(scores, dtype=np.float64).reshape(len(rows), len(members)), classes[rows])


def growth(
    pool: Pool,
    classes: NDArray[np.int64],
    allowed: Bools,
    *,
    draws: int = 20,
    seed: int = 0,
) -> Floats:
    """How often each clip is recognised by 1, 2, ... supports of each class, drawn from those that may answer.

    A class that has fewer gives all it has.

    Args:
        pool, classes, allowed: as of `leave_out`
        draws: of the supports, for each clip and each number
        seed: of the draws

    Returns:
        (K, n) shares of the draws that recognised each clip of `leave_out`, by the number of supports
    """
    left_out = leave_out(pool, classes, allowed)
    members = [np.flatnonzero(classes == number) for number in range(left_out.scores.shape[1])]
    if not len(left_out.rows):
        return np.zeros((0, 0))
    most = max(int(allowed[np.ix_(left_out.rows, of)].sum(axis=1).max()) for of in members)
    shares = np.zeros((most, len(left_out.rows)))
    for place, row in enumerate(left_out.rows):
        rng = np.random.default_rng([seed, int(row)])
        of_classes = [
            _by_number(partial(pool, int(row)), of[allowed[row, of]], most, draws, rng) for of in members
        ]  # N of (draws, K)
        named = np.stack(of_classes).argmax(axis=0)  # (draws, K)
        shares[:, place] = (named == left_out.classes[place]).mean(axis=0)
    return shares


def _by_number(
    pool: Callable[[NDArray[np.int64]], Floats],
    supports: NDArray[np.int64],
    most: int,
    draws: int,
    rng: np.random.Generator,
) -> Floats:
    """The score of a class by 1, 2, ... of its supports in a drawn order: (m,) to (draws, most)."""
    orders = rng.permuted(np.tile(supports, (draws, 1)), axis=1)  # (draws, m)
    pooled = np.stack([pool(order) for order in orders])
    return np.concatenate([pooled, np.repeat(pooled[:, -1:], most - len(supports), axis=1)], axis=1)
