"""Episodes over the val classes of a run that are like a support set, and how their queries are scored."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.video_table import Rows
from hcl.match.config import HCL, ScoreConfig
from hcl.match.episodes.aggregation import PROTOTYPE
from hcl.match.episodes.drawing import Episodes, draw_for_choice
from hcl.match.episodes.level_table import Case
from hcl.match.evaluation.class_scoring import level_table, score_levels
from hcl.match.evaluation.level_weights import LevelWeights, levels_to_centre, weigh
from hcl.match.evaluation.score_cache import ScoreCache
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE
from hcl.train.runs.run_folder import CHOICE, Run

EPISODES = 60
SEED = 0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ValScores:
    """Scores of E episodes of N val classes: a query of each class, and as many of classes outside."""

    inside: Floats  # (E, N, N) of the query of each class by the classes
    inside_rows: Rows  # (E, N) which videos these are
    outside: Floats  # (E, m) confidences of queries of no class
    outside_rows: Rows  # (E, m)
    classes: int  # val classes


def score_val_episodes(run: Run, *, way: int, shots: int, episodes: int = EPISODES) -> ValScores | None:
    """Draw and score episodes over the val videos that a run's store, or that of its choice, holds.

    Args:
        run: with level weights of its own
        way: N, or one less than the val classes where there are fewer
        shots: K, as far as classes have the videos
        episodes: E

    Returns:
        None where the run has fewer than three val classes of two videos
    """
    for folder in (run.folder / STORE, run.folder / CHOICE / STORE):
        if folder.is_dir():
            store = EmbeddingStore.open(folder)
            scored = _score(store, way, shots, episodes)
            if scored is not None:
                return scored
    return None


def _score(store: EmbeddingStore, way: int, shots: int, episodes: int) -> ValScores | None:
    rows = val_rows(store)
    labels = store.videos.take(rows).label
    counts = Counter(labels)
    usable = np.array([row for row, label in zip(rows, labels, strict=True) if counts[label] > 1], dtype=np.int64)
    names = store.videos.take(usable).label
    classes = len(set(names))
    weights = LevelWeights.of(store)
    if classes < 3 or store.method != HCL or weights is None:
        return None
    shots = max(1, min(shots, min(Counter(names).values()) - 1))
    groups = store.videos.take(usable).group
    drawn = draw_for_choice(names, groups, shot=shots, way=min(way, classes - 1), episodes=episodes)
    if drawn is None:
        return None
    support, query = usable[drawn.support], usable[drawn.query]
    outside = _outside(store, usable, support)
    together = np.concatenate((query, outside[..., None], support), axis=2)  # (E, N, 1 + 1 + K)
    scores = class_scores(store, Episodes(support, together))  # (E, N * (2 + K), N)
    scores = scores.reshape(len(support), support.shape[1], -1, support.shape[1])
    other = ~np.eye(support.shape[1], dtype=bool)
    reference = scores[:, :, 2:].mean(axis=2)[:, other].mean(axis=1)  # (E,) supports against other classes
    confidences = scores[:, :, 1].max(axis=-1) - reference[:, None]
    return ValScores(scores[:, :, 0], query[..., 0], confidences, outside, classes)


def val_rows(store: EmbeddingStore) -> Rows:
    """The rows of val videos that can be drawn: none that the run was trained on, of equal ones the first."""
    videos = store.videos
    copies = {row for rows in videos.duplicates() for row in rows.tolist()[1:]}
    left_out = {*copies, *videos.in_earlier_split}
    chosen = [
        row for row in videos.rows("val") if row not in left_out and videos.label[row] not in store.trained_classes
    ]
    return np.array(chosen, dtype=np.int64)


def class_scores(store: EmbeddingStore, episodes: Episodes) -> Floats:
    """Score classes (E, Q, N) by the store's weighted sum of all levels, supports put together as it says."""
    scoring = ScoreConfig(**store.attributes.get("scoring", {}))
    spatial = "spatial" in store.trained_levels
    scored = score_levels(store, episodes, scoring, ScoreCache(len(store.videos)), spatial=spatial)
    rows, case = np.unique(scored.pairs.pairs), Case(episodes.support.shape[2], scoring.aggregate)
    table = level_table(
        *(store, scored, episodes.support, scoring),
        prototypes=scoring.aggregate == PROTOTYPE,
        centred=levels_to_centre(store, rows),
    )
    return weigh(store, table, rows, [case])[case]


def _outside(store: EmbeddingStore, rows: Rows, support: NDArray[np.int64]) -> NDArray[np.int64]:
    """Draw as many videos of other classes as each episode has classes: (E, N)."""
    labels = np.array(store.videos.label, dtype=str)
    drawn = np.empty(support.shape[:2], dtype=np.int64)
    for index, of_classes in enumerate(support):
        free = rows[~np.isin(labels[rows], labels[of_classes[:, 0]])]
        rng = np.random.default_rng([SEED, index])
        drawn[index] = rng.choice(free, drawn.shape[1], replace=len(free) < drawn.shape[1])
    return drawn
