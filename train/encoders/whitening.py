"""Within-class whitening, and how far its covariance is shrunk, which base classes choose that are held out in turn.

Directions in which videos of one class differ, such as by who is filmed and where, are divided by how much they do
(Hatch, Kajarekar, Stolcke: Within-class covariance normalization for SVM-based speaker recognition, 2006). Shrunk far,
little is divided; not at all, nothing counts but what is alike within each base class. What carries over to new classes
lies between, and differs from set to set. None of it is in the paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hcl.match.scoring.cosines import l2_normalise

MOST_DIRECTIONS = 200  # of whitened vectors
SHRINKAGE = 0.1  # of the within-class covariance towards a multiple of the identity, where nothing chooses it
SHRINKAGES = (0.3, 0.1, 0.03, 0.01, 0.003)  # to choose from
LEAST_CLASSES = 4  # that choose
DRAWS = 36  # of classes that are held out, at most: all threes of seven classes, and one more
MOST_CHOOSING = 400  # base videos that choose
SEED = 0  # of draws


@dataclass(frozen=True)
class WithinClass:
    """How vectors differ within their classes: the covariance on its own axes."""

    axes: Tensor  # (n, k), orthonormal
    variances: Tensor  # (k,), along them

    @classmethod
    def of(cls, vectors: Tensor, labels: Tensor, *, most: int = MOST_DIRECTIONS) -> WithinClass:
        """Measure it in the directions in which vectors vary most, whatever their class.

        Args:
            vectors: (V, n), of base videos
            labels: (V,) int64, class of each
            most: directions that are kept at most

        Returns:
            float64; k is at most V, n and `most`
        """
        centred = (vectors - vectors.mean(dim=0)).double()
        _, lengths, directions = torch.linalg.svd(centred, full_matrices=False)
        kept = int((lengths > 1e-3 * lengths[0]).sum().clamp(1, most))
        basis = directions[:kept].T  # (n, k)
        of_classes = [centred[labels == label] for label in set(labels.tolist())]
        within = torch.cat([rows - rows.mean(dim=0) for rows in of_classes]) @ basis  # (V, k)
        variances, axes = torch.linalg.eigh(within.T @ within / len(within))
        return cls(basis @ axes, variances)

    def whitening(self, shrinkage: float = SHRINKAGE) -> Tensor:
        """Divide each direction by how much vectors vary along it within a class.

        Args:
            shrinkage: s; the covariance S becomes S + s tr(S) / k I

        Returns:
            (n, k): centred vectors times it have the shrunk within-class covariance I
        """
        ridge = (shrinkage * self.variances.mean()).clamp(min=1e-12)
        whitening: Tensor = self.axes * (self.variances + ridge).rsqrt()
        return whitening


def choose_shrinkage(levels: Sequence[Tensor], labels: Tensor, groups: Sequence[str]) -> float:
    """Choose the shrinkage that recognises base classes best which the whitening has not seen.

    Two or three classes are held out at a time, and the others whiten. The accuracy is that of telling a held-out video
    by one video of each of these classes, the mean over all such supports. Levels add up, each in its spread. No query
    shares a group with the support of its class, where any class has several groups.

    Args:
        levels: (V, n) each, vectors of base videos
        labels: (V,) int64, class of each
        groups: V, such as the person filmed; "" where unknown

    Returns:
        one of SHRINKAGES, the largest of those that are equally good; SHRINKAGE where fewer than four classes have
        videos of two groups
    """
    rng = np.random.default_rng(SEED)
    rows = np.sort(rng.permutation(len(labels))[:MOST_CHOOSING])
    classes = labels.cpu().numpy()[rows]
    known = np.array([groups[row] or f"video {row}" for row in rows])  # a video of no known group is one of its own
    known = np.unique(known, return_inverse=True)[1]
    if not any(len(set(known[classes == label])) > 1 for label in set(classes)):
        known = np.arange(len(rows))
    usable = [label for label in np.unique(classes) if len(set(known[classes == label])) > 1]
    if len(usable) < LEAST_CLASSES:
        return SHRINKAGE
    coordinates = [_coordinates(level[rows].double().cpu()) for level in levels]
    reached = np.zeros(len(SHRINKAGES))
    for held_out in _draws(usable, rng):
        is_held = np.isin(classes, held_out)
        scores = _held_out_scores(coordinates, torch.from_numpy(classes), torch.from_numpy(is_held))
        reached += [one_shot_accuracy(of_one, classes[is_held], known[is_held]) for of_one in scores]
    return SHRINKAGES[int(reached.argmax())]


def one_shot_accuracy(scores: NDArray[np.float64], labels: NDArray[np.int64], groups: NDArray[np.int64]) -> float:
    """The share of queries right with one support of each class, over all queries and supports; no sample is drawn.

    A score that equals another is half a hit.

    Args:
        scores: (V, V), of each video with each
        labels: (V,), class of each
        groups: (V,); a query and the support of its own class are of two
    """
    shares = []
    for row, (label, group) in enumerate(zip(labels, groups, strict=True)):
        right = scores[row][(labels == label) & (groups != group)]
        if not len(right):
            continue
        hits = np.ones(len(right))
        for other in set(labels.tolist()) - {label}:
            wrong = np.sort(scores[row][labels == other])
            below = np.searchsorted(wrong, right, side="left") + np.searchsorted(wrong, right, side="right")
            hits *= below / (2 * len(wrong))
        shares.append(hits.mean())
    return float(np.mean(shares))


def _draws(classes: Sequence[int], rng: np.random.Generator) -> Iterator[tuple[int, ...]]:
    """Draw the classes that are held out together: all choices where they are few."""
    size = 3 if len(classes) >= 6 else 2
    if comb(len(classes), size) <= DRAWS:
        yield from combinations(classes, size)
        return
    for _ in range(DRAWS):
        yield tuple(rng.choice(classes, size, replace=False).tolist())


def _coordinates(vectors: Tensor) -> Tensor:
    """Turn vectors (V, n) onto the directions in which they vary, at most V: the same lengths and angles in fewer."""
    centred = vectors - vectors.mean(dim=0)
    directions: Tensor = torch.linalg.svd(centred, full_matrices=False)[2]
    return centred @ directions.T


def _held_out_scores(levels: Sequence[Tensor], labels: Tensor, is_held: Tensor) -> list[NDArray[np.float64]]:
    """Score the held-out videos with each other, whitened within the other classes: (H, H) for each shrinkage."""
    total = [torch.zeros(1) for _ in SHRINKAGES]
    for vectors in levels:
        within = WithinClass.of(vectors[~is_held], labels[~is_held])
        centred = vectors[is_held] - vectors[~is_held].mean(dim=0)
        for place, shrinkage in enumerate(SHRINKAGES):
            unit = l2_normalise(centred @ within.whitening(shrinkage))
            scores = unit @ unit.T
            total[place] = total[place] + scores / scores.std().clamp(min=1e-9)
    return [scores.numpy() for scores in total]
