"""Score drawn episodes from stored embeddings: every combination of levels and the untrained baseline in one pass."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.extract.errors import InputError
from hcl.extract.progress import progress_bar
from hcl.match.class_scores import score_levels
from hcl.match.config import EpisodeConfig, ScoreConfig
from hcl.match.episodes import Episodes, Pool, draw_episodes, make_pool
from hcl.match.pooling import ALL_LEVELS, LEVELS, combine_levels, distinct_pairs, pool_supports, true_places
from hcl.match.statistics import Accuracy, bootstrap_intervals, episode_half_width
from hcl.match.store import EmbeddingStore

BASELINE = "resnet"
PAIRS_PER_BLOCK = 4096  # of the baseline: 32 MB of maps at a time


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation."""

    store: Path
    origin: dict[str, Any]  # what the store says of itself
    fold: str
    episodes: EpisodeConfig
    scoring: ScoreConfig
    class_names: tuple[str, ...]
    class_sizes: tuple[int, ...]
    accuracies: dict[str, Accuracy]  # of the seven combinations of levels and of the baseline
    per_class: dict[str, float]  # percent of the queries of each class that all levels together recognise
    confusion: NDArray[np.int64]  # (K, K) true class by predicted class
    spread: dict[str, tuple[float, float]]  # mean and standard deviation of each level's scores
    duplicates: tuple[tuple[str, ...], ...] = field(default=())  # byte-identical videos, by path


def evaluate(
    path: Path,
    episodes: EpisodeConfig,
    scoring: Mapping[str, Any] | None = None,
    *,
    fold: str = "novel",
    progress: bool = False,
) -> Evaluation:
    """Draw episodes from one fold of an embedding store and score them.

    Args:
        path: the store
        episodes: what to draw
        scoring: fields of ScoreConfig that differ from the settings the store was made with
        fold: "novel" for a result, "val" while choosing settings
        progress: show a bar

    Raises:
        InputError: if the store cannot be read or the episodes cannot be drawn
    """
    store = EmbeddingStore.open(path)
    chosen = ScoreConfig(**{**store.attributes.get("scoring", {}), **(scoring or {})})
    rows = store.videos.rows(fold)
    if not len(rows):
        held = ", ".join(sorted(set(store.videos.fold))) or "no videos"
        raise InputError(f"{path}: no videos of fold {fold!r}, it holds {held}; choose with --fold")
    duplicates, rows = set_twins_aside(store, rows)
    labels = [store.videos.label[row] for row in rows]
    pool = make_pool(rows, labels, [store.videos.group[row] for row in rows], episodes)
    drawn = draw_episodes(pool, episodes)
    class_scores, spread = _class_scores(store, drawn, chosen, progress=progress)
    predictions = {name: scores.argmax(axis=-1) for name, scores in class_scores.items()}  # (E, N * M)
    truth = true_places(drawn)
    confusion = _confusion(store, pool, drawn, predictions[ALL_LEVELS])
    return Evaluation(
        store=path,
        origin=store.attributes,
        fold=fold,
        episodes=episodes,
        scoring=chosen,
        class_names=pool.class_names,
        class_sizes=tuple(len(members) for members in pool.rows),
        accuracies=_accuracies(
            store, drawn, {name: found == truth for name, found in predictions.items()}, episodes.seed
        ),
        per_class={
            name: float(100 * confusion[place, place] / max(1, confusion[place].sum()))
            for place, name in enumerate(pool.class_names)
        },
        confusion=confusion,
        spread=spread,
        duplicates=duplicates,
    )


def set_twins_aside(
    store: EmbeddingStore, rows: NDArray[np.int64]
) -> tuple[tuple[tuple[str, ...], ...], NDArray[np.int64]]:
    """Keep one of several byte-identical videos: its twin as a support would give a query away.

    Returns:
        the paths of each set of twins, and the rows that remain
    """
    twins: dict[str, list[int]] = {}
    for row in rows:
        twins.setdefault(store.videos.content[row] or f"row {row}", []).append(int(row))
    sets = [members for members in twins.values() if len(members) > 1]
    kept = np.array([members[0] for members in twins.values()], dtype=np.int64)
    return tuple(tuple(store.videos.path[row] for row in members) for members in sets), kept


def _class_scores(
    store: EmbeddingStore, drawn: Episodes, scoring: ScoreConfig, *, progress: bool
) -> tuple[dict[str, NDArray[np.float64]], dict[str, tuple[float, float]]]:
    """Score every query against every class of its episode.

    Returns:
        (E, N * M, N) scores by name, and the spread of each level's scores over the distinct pairs
    """
    table = distinct_pairs(drawn)
    used, local = np.unique(table.pairs, return_inverse=True)
    with progress_bar(len(table.pairs), "pair", "score", shown=progress) as bar:
        pairs = local.reshape(table.pairs.shape)
        levels = score_levels(store.embeddings(used), pairs, table.lookup, scoring, bar.update)
    named = combine_levels(levels.of_classes)
    baseline = _map_cosines(store.mean_map, table.pairs)
    named[BASELINE] = pool_supports(baseline[:, None], table.lookup, scoring.aggregate)[..., 0]
    columns = dict(zip(LEVELS, levels.of_pairs.T, strict=True))
    return named, {name: (float(column.mean()), float(column.std())) for name, column in columns.items()}


def _map_cosines(mean_map: NDArray[np.float32], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Cosines of mean ResNet maps: what an untrained network knows (Table 1, row 1)."""
    maps = mean_map / np.maximum(np.linalg.norm(mean_map, axis=1, keepdims=True), 1e-12)
    cosines = np.empty(len(pairs))
    for start in range(0, len(pairs), PAIRS_PER_BLOCK):
        block = pairs[start : start + PAIRS_PER_BLOCK]
        cosines[start : start + PAIRS_PER_BLOCK] = (maps[block[:, 0]] * maps[block[:, 1]]).sum(axis=1)
    return cosines


def _accuracies(
    store: EmbeddingStore, drawn: Episodes, correct: dict[str, NDArray[np.bool_]], seed: int
) -> dict[str, Accuracy]:
    """The accuracy of each score with its intervals."""
    videos, place = np.unique(drawn.query.ravel(), return_inverse=True)
    counts = np.asarray(np.bincount(place.ravel()), dtype=np.float64)
    sums = np.stack(
        [np.bincount(place.ravel(), weights=found.ravel()).astype(np.float64) for found in correct.values()]
    )
    labels = [store.videos.label[video] for video in videos]
    intervals = bootstrap_intervals(sums, counts, labels, [store.videos.group[video] for video in videos], seed)
    return {
        name: Accuracy(float(100 * found.mean()), episode_half_width(found), (float(low), float(high)))
        for (name, found), (low, high) in zip(correct.items(), intervals, strict=True)
    }


def _confusion(store: EmbeddingStore, pool: Pool, drawn: Episodes, predicted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count true against predicted classes: (K, K)."""
    numbers = {name: number for number, name in enumerate(pool.class_names)}
    of_rows = np.array([numbers.get(label, -1) for label in store.videos.label])
    in_episode = of_rows[drawn.support[:, :, 0]]  # (E, N)
    true = of_rows[drawn.query].reshape(len(drawn.query), -1)
    named = np.take_along_axis(in_episode, predicted, axis=1)
    counts = np.zeros((len(numbers), len(numbers)), dtype=np.int64)
    np.add.at(counts, (true, named), 1)
    return counts
