"""What the self-test makes of its numbers: suspicious clips, confusions, and what to film: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcl.classify.selftest.leaving_out import Floats, LeftOut

SAME_COURSE = 0.95  # cosine of how two clips change: takes of one person reach 0.73, a file encoded again 0.995
SAME_MAPS = 0.995  # cosine of mean maps, where there are no frames to look at: takes of one person reach 0.989
CLEAR = 0.5  # share of its clips that must be recognised before a class says which clips are its own
RISING = 3.0  # percentage points that twice the clips must have brought, for more to be worth filming


@dataclass(frozen=True)
class Confusion:
    """Two classes that are taken for each other."""

    one: str
    other: str
    forth: int  # clips of the first that are taken for the second
    back: int

    @property
    def total(self) -> int:
        """In both directions."""
        return self.forth + self.back


@dataclass(frozen=True)
class Mislabelled:
    """A clip that looks like one of another class."""

    path: str
    label: str
    looks_like: str


@dataclass(frozen=True)
class Alike:
    """Two clips that are nearly the same."""

    one: str
    other: str
    labels: tuple[str, str]
    cosine: float  # of how their frames change, or of their mean maps


@dataclass(frozen=True)
class ClassFound:
    """What was found of one class."""

    name: str
    clips: int
    asked: int  # clips that could be asked for
    right: int
    taken_for: int  # clips of other classes that are taken for it
    groups: int  # such as people; 0: unknown

    @property
    def recall(self) -> float:
        """Percent of its clips that are recognised; NaN where none could be asked for."""
        return 100 * self.right / self.asked if self.asked else float("nan")


def class_table(
    left_out: LeftOut, names: Sequence[str], classes: NDArray[np.int64], groups: Sequence[str]
) -> list[ClassFound]:
    """What was found of each class, in their order.

    Args:
        left_out: what the clips score
        names: (N,) of the classes
        classes: (V,) the class of each clip
        groups: (V,) the group of each clip
    """
    found = []
    for number, name in enumerate(names):
        own = left_out.classes == number
        of_class = {group for group, of in zip(groups, classes, strict=True) if of == number} - {""}
        attracted = int((left_out.named[~own] == number).sum())
        right = int(left_out.right[own].sum())
        found.append(ClassFound(name, int((classes == number).sum()), int(own.sum()), right, attracted, len(of_class)))
    return found


def confusions(left_out: LeftOut, names: Sequence[str]) -> list[Confusion]:
    """The pairs of classes that are confused, the worst first."""
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (left_out.classes, left_out.named), 1)
    pairs = [
        Confusion(names[one], names[other], int(counts[one, other]), int(counts[other, one]))
        for one in range(len(names))
        for other in range(one + 1, len(names))
    ]
    return sorted((pair for pair in pairs if pair.total), key=lambda pair: (-pair.total, pair.one, pair.other))


def mislabelled(left_out: LeftOut, paths: Sequence[str], names: Sequence[str]) -> list[Mislabelled]:
    """Clips that another class claims clearly.

    Such a clip scores against the other class rather as that class's own clips do than as strangers, and against its
    own class rather as strangers do: the middle between the medians of both divides them. Of a class that is seldom
    recognised nobody can tell, so it claims none and loses none.

    Args:
        left_out: what the clips score
        paths: (V,) of all clips
        names: (N,) of the classes
    """
    middles = np.array([_middle(left_out, number) for number in range(len(names))])
    found = []
    for place in np.flatnonzero(~left_out.right):
        label, other = int(left_out.classes[place]), int(left_out.named[place])
        scores = left_out.scores[place]
        if scores[other] >= middles[other] and scores[label] < middles[label]:
            found.append(Mislabelled(paths[int(left_out.rows[place])], names[label], names[other]))
    return found


def _middle(left_out: LeftOut, number: int) -> float:
    """What divides a class's own clips from strangers; NaN, which nothing passes, where nobody can tell."""
    own = left_out.classes == number
    if own.all() or not own.any() or left_out.right[own].mean() < CLEAR:
        return float("nan")
    scores = left_out.scores[:, number]
    return float((np.median(scores[own]) + np.median(scores[~own])) / 2)


def alike(vectors: NDArray[np.float32], least: float, paths: Sequence[str], labels: Sequence[str]) -> list[Alike]:
    """Pairs of clips that point nearly the same way, the nearest first.

    Args:
        vectors: (V, C) what describes each clip; 0 where nothing is known of it
        least: cosine of a pair
        paths: (V,)
        labels: (V,)
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    cosines = np.triu(unit @ unit.T, k=1)
    found = [
        Alike(paths[one], paths[other], (labels[one], labels[other]), float(cosines[one, other]))
        for one, other in zip(*np.nonzero(cosines >= least), strict=True)
    ]
    return sorted(found, key=lambda pair: (-pair.cosine, pair.one, pair.other))


def film_more(found: Sequence[ClassFound], curve: Floats) -> str:
    """Say which class to film more of, and whether more clips would help at all.

    Args:
        found: of each class
        curve: (K,) percent recognised by 1, 2, ... clips of each class
    """
    asked = [each for each in found if each.asked]
    unasked = [each for each in found if not each.asked]
    if unasked:
        names = ", ".join(each.name for each in unasked)
        return f"film more of {names}: of one clip nobody can tell whether it is recognised"
    half = (len(curve) + 1) // 2
    gain = float(curve[-1] - curve[half - 1]) if len(curve) else 0.0
    worst = min(asked, key=lambda each: (each.recall, -each.taken_for, each.clips, each.name))
    if worst.right == worst.asked:
        few = min(asked, key=lambda each: (each.clips, each.name))
        return f"every clip is recognised; to be surer, film more of {few.name} ({few.clips} clips)"
    text = f"film more of {worst.name}: {worst.right} of {worst.asked} of its clips are recognised"
    if worst.taken_for:
        text += f", and {worst.taken_for} of other classes are taken for it"
    if len(curve) > 1:
        text += f"; from {half} to {len(curve)} clips of each class it went {gain:+.1f} points" + (
            ", so more will help" if gain >= RISING else ", so other people or places will help more than takes alike"
        )
    return text
