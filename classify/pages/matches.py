"""The most telling queries of an evaluation: confident mistakes, confident hits and the narrowest decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.match.config import HCL, LEVELS
from hcl.match.embeddings import Embeddings
from hcl.match.episodes.aggregation import true_places
from hcl.match.episodes.drawing import Episodes
from hcl.match.evaluation.known_levels import known_levels, known_scores
from hcl.match.evaluation.results import Evaluation, Outcome
from hcl.match.scoring.clip_pairs import align_clips
from hcl.match.scoring.cosines import l2_normalise
from hcl.match.scoring.scores import match

KINDS = {  # what is shown, and how many of each
    "confident and wrong": 4,
    "confident and right": 3,
    "narrowest": 3,
}
MOST_OF_A_PAIR = 2  # queries of one class that are taken for the same class
CLIP_PAIRS = 3  # of a match that are drawn


@dataclass(frozen=True)
class ClipPair:
    """Two clips that were matched."""

    query: tuple[int, ...]  # frames
    support: tuple[int, ...]
    cosine: float


@dataclass(frozen=True)
class Side:
    """A class that a query was compared with, by the support of it that matches best."""

    place: int  # of the class in its episode
    label: str
    probability: float
    support: int  # row of the store
    of_supports: int
    levels: dict[str, float]  # score by level, mean over the supports of the class
    clip_pairs: tuple[ClipPair, ...]  # best first; none where the method has no clips


@dataclass(frozen=True)
class Match:
    """A query, the class that it was taken for, and the true or next best one."""

    kind: str  # of KINDS
    episode: int
    query: int  # row of the store
    label: str  # the true class
    is_right: bool
    named: Side
    rival: Side  # the true class where the query was taken for another one, else the second best


@dataclass(frozen=True)
class Choice:
    """A query that is to be shown."""

    kind: str
    episode: int
    place: int  # of the query in its episode


def telling_choices(probabilities: NDArray[np.float64], episodes: Episodes, labels: Sequence[str]) -> list[Choice]:
    """Choose queries that tell most: each video once, and few of the same pair of classes.

    Args:
        probabilities: (E, Q, N) of the classes
        episodes: that they are of
        labels: class of each row

    Returns:
        as many of each kind as KINDS says, or as there are, the most telling first
    """
    ordered = np.sort(probabilities, axis=-1)
    first, margin = ordered[..., -1], ordered[..., -1] - ordered[..., -2]
    named = probabilities.argmax(axis=-1)
    right = named == true_places(episodes)
    keys = {
        "confident and wrong": np.where(right, np.inf, -first),
        "confident and right": np.where(right, -first, np.inf),
        "narrowest": margin,
    }
    chosen: list[Choice] = []
    shown: set[int] = set()
    for kind, most in KINDS.items():
        pairs: Counter[tuple[str, str]] = Counter()  # of the true class and the one that was named
        for place in np.argsort(keys[kind], axis=None, kind="stable").tolist():
            episode, of_query = divmod(place, probabilities.shape[1])
            if pairs.total() == most or keys[kind][episode, of_query] == np.inf:
                break
            row = int(episodes.query[episode].reshape(-1)[of_query])
            pair = labels[row], labels[episodes.support[episode, named[episode, of_query], 0]]
            if row not in shown and pairs[pair] < MOST_OF_A_PAIR:
                shown.add(row)
                pairs[pair] += 1
                chosen.append(Choice(kind, episode, of_query))
    return chosen


def telling_matches(evaluation: Evaluation, outcome: Outcome, probabilities: NDArray[np.float64]) -> list[Match]:
    """Explain the most telling queries of an outcome.

    Args:
        evaluation: that the outcome is of
        outcome: of one number of shots
        probabilities: (E, Q, N) of the classes
    """
    choices = telling_choices(probabilities, evaluation.scored, evaluation.store.videos.label)
    return [_explain(evaluation, outcome, choice, probabilities[choice.episode, choice.place]) for choice in choices]


def _explain(evaluation: Evaluation, outcome: Outcome, choice: Choice, probabilities: NDArray[np.float64]) -> Match:
    episodes, labels = evaluation.scored, evaluation.store.videos.label
    query = int(episodes.query[choice.episode].reshape(-1)[choice.place])
    true = int(true_places(episodes)[choice.place])
    named, second = np.argsort(-probabilities, kind="stable")[:2].tolist()
    supports = episodes.support[choice.episode][:, : outcome.case.k_shot]
    sides = []
    for place in (named, second if named == true else true):
        rows = supports[place]
        side = Side(place, labels[rows[0]], float(probabilities[place]), int(rows[0]), len(rows), {}, ())
        sides.append(_with_levels(evaluation, query, rows, side) if evaluation.method == HCL else side)
    return Match(choice.kind, choice.episode, query, labels[query], named == true, *sides)


def _with_levels(evaluation: Evaluation, query: int, rows: NDArray[np.int64], side: Side) -> Side:
    """Add what each level gives to a query and the supports of a class, and the clips that match best."""
    store, scoring = evaluation.store, evaluation.scoring
    of_query, of_supports = store.embeddings(np.array([query])), store.embeddings(rows)
    with torch.inference_mode():
        scores = match(of_query, of_supports, **scoring.of_pairs)
        values = torch.stack((scores.global_[0], scores.temporal[0], scores.spatial[0]))  # (3, K)
    trained = [LEVELS.index(level) for level in store.trained_levels]
    best = int(values[trained].sum(dim=0).argmax())
    names = known_levels(store)
    known = known_scores(store, np.array([(query, row) for row in rows]), names).mean(axis=0)
    levels = dict(zip(LEVELS, values.mean(dim=1).tolist(), strict=True)) | dict(zip(names, known.tolist(), strict=True))
    pairs = clip_pairs(of_query, of_supports.rows(slice(best, best + 1)), CLIP_PAIRS)
    return replace(side, support=int(rows[best]), levels=levels, clip_pairs=pairs)


def clip_pairs(query: Embeddings, support: Embeddings, most: int) -> tuple[ClipPair, ...]:
    """The clips of two videos that match best (Eq. 3), best first.

    Args:
        query: of one video
        support: of one video
        most: pairs
    """
    with torch.inference_mode():
        unit = [l2_normalise(of.clips[0].float()) for of in (query, support)]
        pairs = align_clips(unit[0], unit[1], most)
    found = zip(pairs.query.tolist(), pairs.support.tolist(), pairs.cosines.tolist(), strict=True)
    return tuple(ClipPair(query.clip_frames[one], support.clip_frames[other], cosine) for one, other, cosine in found)


def rows_shown(matches: Sequence[Match]) -> list[int]:
    """The videos that some matches show, each once."""
    return sorted({row for each in matches for row in (each.query, each.named.support, each.rival.support)})
