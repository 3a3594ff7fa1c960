"""Which videos a step sees: balanced over sets and classes, and drawn by a seed and the step's number alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hcl.extract.system.errors import InputError

VIEWS = 1  # tells the random numbers of the views from those of the samples


class ClassBalancedSampler:
    """Draws the samples of each step: some classes, and as many samples of each; no sample twice in a batch.

    A class with fewer samples than are drawn of each cannot be drawn: it is left out and named in `left_out`.
    Of several sets, each gives as many classes of a step as the others, as far as it has them (see `draw_evenly`).
    Classes with samples of several sets count as a set of their own, and their samples come evenly from those sets.

    Args:
        labels: (N,), class of each sample, counted from 0
        class_names: of all classes, for messages
        classes_per_batch: all classes, where there are fewer
        videos_per_class: samples drawn of each class
        seed: a step draws the same whatever was drawn before
        sets: (N,), number of the set that each sample is of; None: all are of one

    Raises:
        InputError: if fewer than two classes can be drawn
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        class_names: Sequence[str],
        *,
        classes_per_batch: int,
        videos_per_class: int,
        seed: int,
        sets: NDArray[np.int64] | None = None,
    ) -> None:
        counts = np.bincount(labels, minlength=len(class_names))
        usable = np.flatnonzero(counts >= videos_per_class)
        self.left_out = tuple(name for name, count in zip(class_names, counts, strict=True) if count < videos_per_class)
        if len(usable) < 2:
            counted = ", ".join(f"{name} {count}" for name, count in zip(class_names, counts, strict=True))
            raise InputError(
                f"training needs 2 classes with {videos_per_class} videos each, found {len(usable)} ({counted});"
                " add videos or lower --videos-per-class"
            )
        self.labels = labels
        self.classes_per_batch = min(classes_per_batch, len(usable))
        self.videos_per_class = videos_per_class
        self.batch_size = self.classes_per_batch * videos_per_class  # B
        self._seed = seed
        sets = np.zeros_like(labels) if sets is None else sets
        self._samples = [_by_set(np.flatnonzero(labels == index), sets) for index in usable]  # of each drawable class
        places: dict[tuple[int, ...], list[int]] = {}  # in `_samples`, of the classes in the same sets
        for place, of_sets in enumerate(self._samples):
            places.setdefault(tuple(of_sets), []).append(place)
        self._classes = [np.array(members) for members in places.values()]

    def samples(self, step: int) -> NDArray[np.int64]:
        """Draw the samples of a step: (B,), positions in the labels, class by class."""
        rng = np.random.default_rng([self._seed, step])
        classes = draw_evenly(self._classes, self.classes_per_batch, rng)
        of_classes = [draw_evenly([*self._samples[place].values()], self.videos_per_class, rng) for place in classes]
        return np.concatenate(of_classes)

    def views(self, step: int, count: int) -> NDArray[np.int64]:
        """Draw one of `count` views for each sample of a step: (B,)."""
        rng = np.random.default_rng([self._seed, step, VIEWS])
        return rng.integers(count, size=self.batch_size)


def _by_set(samples: NDArray[np.int64], sets: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """Part the samples of a class by the number of their set, ascending."""
    return {int(number): samples[sets[samples] == number] for number in np.unique(sets[samples])}


def draw_evenly(groups: Sequence[NDArray[np.int64]], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw members of some groups, none of them twice, from each group as many as from the others.

    A group that is too small for that gives all it has, and the others fill up. Which groups give one more, where the
    number cannot be shared evenly, is drawn, too.

    Args:
        groups: members, (n,) each; together at least `count`
        count: how many to draw
        rng: draws nothing but the members where there is one group

    Returns:
        (count,), group by group
    """
    order = rng.permutation(len(groups)).tolist() if len(groups) > 1 else [0]
    turns = [
        (turn, place, group) for place, group in enumerate(order) for turn in range(min(len(groups[group]), count))
    ]
    counts = Counter(group for _, _, group in sorted(turns)[:count])  # the groups take turns, in the drawn order
    return np.concatenate(
        [rng.choice(members, size=counts[group], replace=False) for group, members in enumerate(groups)]
    )
