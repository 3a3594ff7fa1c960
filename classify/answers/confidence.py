"""How sure an answer is: a temperature for probabilities, and a threshold below which a query is of no class.

Both are fitted on val classes of the run, in episodes like the support set; without any, on the supports themselves,
each left out in its turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcl.classify.answers.matcher import Floats, Matcher
from hcl.classify.answers.val_episodes import ValScores, score_val_episodes
from hcl.extract.system.errors import InputError
from hcl.match.confidence.calibration import fit_temperature
from hcl.match.confidence.open_set import clips_needed, rejection_threshold
from hcl.train.runs.run_folder import Run

UNCALIBRATED = "nothing: probabilities are uncalibrated (no val classes, and no class of two supports)"


@dataclass(frozen=True)
class Confidence:
    """What turns scores of classes into probabilities and into "none of these"."""

    temperature: float
    calibrated_on: str  # such as "4 val classes"
    reference: float  # the mean score of supports against those of other classes
    threshold: float | None = None  # of `of`, above which a query is accepted; None: every one is
    rejection_on: str = ""  # what the threshold was chosen on

    def of(self, class_scores: Floats) -> float:
        """How much nearer a query is to its class (N,) than supports of different classes are to each other."""
        return float(class_scores.max()) - self.reference

    def accepts(self, confidence: float) -> bool:
        """Whether a query is of one of the classes."""
        return self.threshold is None or confidence > self.threshold


def fit_confidence(matcher: Matcher, run: Run | None, reject: float | None) -> Confidence:
    """Fit both on what there is.

    Args:
        matcher: with its supports
        run: whose val classes are used where its level weights count as they are
        reject: share of videos of no class that may pass; None: none is rejected

    Raises:
        InputError: if the share cannot be known from so few videos
    """
    support = matcher.support
    of_val: ValScores | None = None
    if run is not None and matcher.is_trusted:
        shots = round(len(support) / len(support.class_names))
        of_val = score_val_episodes(run, way=len(support.class_names), shots=shots)
    temperature, calibrated_on = fit_to_val(of_val) if of_val is not None else fit_to_supports(matcher)
    reference = between_classes(matcher.of_supports.total, support.classes)
    if reject is None:
        return Confidence(temperature, calibrated_on, reference)
    threshold, rejection_on = _threshold(matcher, of_val, reject)
    return Confidence(temperature, calibrated_on, reference, threshold, rejection_on)


def fit_to_val(scores: ValScores) -> tuple[float, str]:
    """The temperature of val episodes, and what they were drawn from."""
    truth = np.broadcast_to(np.arange(scores.inside.shape[2]), scores.inside.shape[:2])
    clips = len(np.unique(scores.inside_rows))
    return fit_temperature(scores.inside, truth, videos=clips), f"{scores.classes} val classes of the run"


def fit_to_supports(matcher: Matcher) -> tuple[float, str]:
    """The temperature of the supports, each left out in its turn, where a class has others."""
    scores, truth = left_out_scores(matcher)
    if not len(truth) or scores.shape[1] < 2:
        return 1.0, UNCALIBRATED
    return fit_temperature(scores, truth), f"{len(truth)} supports, each left out in its turn"


def left_out_scores(matcher: Matcher) -> tuple[Floats, NDArray[np.int64]]:
    """The class scores (n, N) of each support, left out of its class, which has others, and its class (n,)."""
    classes, total = matcher.support.classes, matcher.of_supports.total
    counts = np.bincount(classes)
    rows = np.flatnonzero(counts[classes] > 1)
    pool = np.mean if matcher.matching.scoring.aggregate == "mean" else np.max
    scores = np.empty((len(rows), len(counts)))
    for place, row in enumerate(rows):
        for number in range(len(counts)):
            members = np.flatnonzero(classes == number)
            scores[place, number] = pool(total[row, members[members != row]])
    return scores, classes[rows]


def between_classes(total: Floats, classes: NDArray[np.int64]) -> float:
    """The mean score of supports against supports of other classes: (V, V) and (V,); 0 where there is one class."""
    other = classes[:, None] != classes[None]
    return float(total[other].mean()) if other.any() else 0.0


def left_out_classes(matcher: Matcher) -> Floats:
    """The confidence (V,) of each support where its whole class is left out."""
    classes, total = matcher.support.classes, matcher.of_supports.total
    pooled = matcher.class_scores(total)  # (V, N)
    confidences = np.empty(len(classes))
    for row, number in enumerate(classes):
        kept = classes != number
        reference = between_classes(total[np.ix_(kept, kept)], classes[kept])
        confidences[row] = np.delete(pooled[row], number).max() - reference
    return confidences


def _threshold(matcher: Matcher, of_val: ValScores | None, reject: float) -> tuple[float, str]:
    support = matcher.support
    if of_val is not None and len(np.unique(of_val.outside_rows)) >= clips_needed(reject):
        clips = of_val.outside_rows.ravel()
        chosen = rejection_threshold(of_val.outside.ravel(), reject, clips=clips)
        return chosen, f"{len(np.unique(clips))} videos of val classes of the run"
    if len(support.class_names) < 3:
        raise InputError(
            f"--reject {reject:g}: what is of no class is learned by leaving a class out, which takes 3 classes, and"
            f" the support set has {len(support.class_names)}; add classes, or leave --reject out"
        )
    try:
        threshold = rejection_threshold(left_out_classes(matcher), reject)
    except InputError as error:
        raise InputError(f"--reject {reject:g}: {error}") from error
    return threshold, f"{len(support)} supports, each class left out in its turn"
