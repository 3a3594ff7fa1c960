"""Which videos a step sees: class-balanced, and drawn by a seed and the step's number alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hcl.extract.system.errors import InputError

VIEWS = 1  # tells the random numbers of the views from those of the samples


class ClassBalancedSampler:
    """Draws the samples of each step: some classes, and as many samples of each; no sample twice in a batch.

    A class with fewer samples than are drawn of each cannot be drawn: it is left out and named in `left_out`.

    Args:
        labels: (N,), class of each sample, counted from 0
        class_names: of all classes, for messages
        classes_per_batch: all classes, where there are fewer
        videos_per_class: samples drawn of each class
        seed: a step draws the same whatever was drawn before

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
        self._samples = [np.flatnonzero(labels == index) for index in usable]  # of each class that can be drawn

    def samples(self, step: int) -> NDArray[np.int64]:
        """Draw the samples of a step: (B,), positions in the labels, class by class."""
        rng = np.random.default_rng([self._seed, step])
        classes = rng.choice(len(self._samples), size=self.classes_per_batch, replace=False)
        of_classes = [rng.choice(self._samples[index], size=self.videos_per_class, replace=False) for index in classes]
        return np.concatenate(of_classes)

    def views(self, step: int, count: int) -> NDArray[np.int64]:
        """Draw one of `count` views for each sample of a step: (B,)."""
        rng = np.random.default_rng([self._seed, step, VIEWS])
        return rng.integers(count, size=self.batch_size)
