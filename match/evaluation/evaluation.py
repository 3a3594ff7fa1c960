"""Score drawn or listed episodes from an embedding store: every combination of levels and the baseline in one pass."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.extract.system.errors import InputError
from hcl.match.config import BASELINE, HCL, LEVELS, EpisodeConfig, EvaluationConfig, ScoreConfig
from hcl.match.episodes.drawing import Episodes, draw_episodes, make_pool
from hcl.match.episodes.episode_file import EpisodeList
from hcl.match.episodes.pooling import distinct_pairs, true_places
from hcl.match.evaluation.predictions import (
    Case,
    Scored,
    baseline_scores,
    finished_episodes,
    level_scores,
    score_missing,
)
from hcl.match.evaluation.score_cache import read_scores, score_settings, write_scores
from hcl.match.evaluation.score_table import ScoreTable
from hcl.match.evaluation.statistics import Accuracy, accuracy_table, count_confusion
from hcl.match.methods.registry import BASELINES
from hcl.match.store.embedding_store import EmbeddingStore


@dataclass(frozen=True)
class Outcome:
    """How well the queries were recognised with some supports a class."""

    case: Case
    accuracies: dict[str, Accuracy]  # by score; the baseline first, the headline last
    predictions: dict[str, NDArray[np.int64]] = field(repr=False)  # (E, N * M) place of the class in its episode
    confusion: NDArray[np.int64]  # (K, K) true class by class that the headline score names

    @property
    def headline(self) -> str:
        """The score that stands for the method."""
        return list(self.accuracies)[-1]

    @property
    def per_class(self) -> NDArray[np.float64]:
        """(K,) percent of the queries of each class that the headline score recognises; NaN without queries."""
        with np.errstate(invalid="ignore"):
            return np.asarray(100 * np.diag(self.confusion) / self.confusion.sum(axis=1))


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation."""

    store: EmbeddingStore = field(repr=False)
    method: str
    episodes: EpisodeConfig  # as asked for
    plan: EvaluationConfig
    scoring: ScoreConfig
    drawn: Episodes = field(repr=False)  # those that were scored, rows of the store
    class_names: tuple[str, ...]
    class_sizes: tuple[int, ...]
    outcomes: tuple[Outcome, ...]  # of each number of shots and aggregate
    spread: dict[str, tuple[float, float]]  # mean and standard deviation of each level's scores
    duplicates: tuple[tuple[str, ...], ...] = ()  # byte-identical videos, by path

    @property
    def interrupted(self) -> bool:
        """Whether fewer episodes were scored than asked for."""
        return len(self.drawn) < self.episodes.episodes


def evaluate(
    path: Path,
    episodes: EpisodeConfig,
    plan: EvaluationConfig | None = None,
    scoring: Mapping[str, Any] | None = None,
    *,
    listed: EpisodeList | None = None,
    scores: Path | None = None,
) -> Evaluation:
    """Evaluate one store on one draw of episodes; all else as `evaluate_seeds`."""
    plan = plan or EvaluationConfig()
    found = evaluate_seeds(path, episodes, [episodes.seed], plan, scoring, listed=listed, scores=scores)
    return found[0]


def evaluate_seeds(
    path: Path,
    episodes: EpisodeConfig,
    seeds: Sequence[int],
    plan: EvaluationConfig,
    scoring: Mapping[str, Any] | None = None,
    *,
    listed: EpisodeList | None = None,
    scores: Path | None = None,
) -> list[Evaluation]:
    """Draw episodes from one split of an embedding store, once for each seed, and score them.

    Interrupted, it gives the episodes that were scored whole, and no further seeds.

    Args:
        path: the store
        episodes: what to draw; its number of supports gives way to the largest of the plan
        seeds: of the draws
        plan: how many supports count, and which split: "novel" for a result, "val" while choosing settings
        scoring: fields of ScoreConfig that differ from the settings the store was made with
        listed: episodes to score instead of drawn ones
        scores: file that keeps the scores of pairs for later evaluations

    Raises:
        InputError: if the store cannot be read, the episodes cannot be drawn or the scores are of something else
    """
    store = EmbeddingStore.open(path)
    method = choose_method(store, plan.method)
    chosen = ScoreConfig(**{**store.attributes.get("scoring", {}), **(scoring or {})})
    plan = replace(plan, aggregates=plan.aggregates or (chosen.aggregate,))
    settings = score_settings(store, chosen, spatial=plan.spatial)
    if scores is not None and method != HCL:
        raise InputError(
            f"--score-cache keeps the scores of {HCL}; {method} is scored anew each time, leave the option out"
        )
    if listed is not None and max(plan.shots) > listed.shape["k_shot"]:
        raise InputError(f"the listed episodes have {listed.shape['k_shot']} supports a class; lower --shot")
    known = read_scores(scores, store, settings) if scores else ScoreTable(len(store.videos))
    found: list[Evaluation] = []
    for seed in seeds:
        before = len(known)
        asked = replace(episodes, seed=seed, k_shot=max(plan.shots))
        found.append(_evaluate(store, method, asked, plan, chosen, known, listed=listed))
        if scores is not None and len(known) > before:
            write_scores(scores, known, settings)
        if found[-1].interrupted:
            break
    return found


def choose_method(store: EmbeddingStore, wanted: str | None) -> str:
    """The method of a store; any store also serves the untrained baseline."""
    if wanted not in (None, BASELINE, store.method):
        raise InputError(
            f"{store.path}: embeddings of {store.method}, not of {wanted};"
            f" train with: hcl train CACHE --method {wanted}"
        )
    return wanted or store.method


def _evaluate(
    store: EmbeddingStore,
    method: str,
    episodes: EpisodeConfig,
    plan: EvaluationConfig,
    scoring: ScoreConfig,
    known: ScoreTable,
    *,
    listed: EpisodeList | None,
) -> Evaluation:
    asked = draw_from(store, plan.split, episodes) if listed is None else find_listed(store, plan.split, listed)
    drawn = asked.drawn
    cases = [Case(*both) for both in product(plan.shots, plan.aggregates)]
    named: dict[Case, Scored] = {case: {} for case in cases}
    spread: dict[str, tuple[float, float]] = {}
    if method == HCL:
        pairs = distinct_pairs(drawn)
        score_missing(store, pairs, scoring, known, spatial=plan.spatial)
        if not (count := finished_episodes(pairs, known)):
            raise KeyboardInterrupt
        drawn, levels = drawn.first(count), known.take(pairs.pairs)
        named = {case: level_scores(levels, pairs.lookup[:count], case, spatial=plan.spatial) for case in cases}
        spread = _spread(levels[known.contains(pairs.pairs)])
    elif method != BASELINE:
        found = baseline_scores(store, BASELINES[method], drawn, cases)
        named = {case: {method: found[case]} for case in cases}
    baseline = baseline_scores(store, BASELINES[BASELINE], drawn, cases)
    names = tuple(asked.class_sizes)
    return Evaluation(
        store,
        method,
        episodes,
        plan,
        scoring,
        drawn,
        names,
        tuple(asked.class_sizes.values()),
        tuple(_outcome(store, drawn, case, {BASELINE: baseline[case]} | named[case], names) for case in cases),
        spread,
        asked.duplicates,
    )


@dataclass(frozen=True)
class Asked:
    """The episodes that a store is asked, and what they were drawn from."""

    drawn: Episodes  # rows of the store
    class_sizes: dict[str, int]  # videos of each class, by name
    duplicates: tuple[tuple[str, ...], ...] = ()  # byte-identical videos, by path; of each set one can be drawn


def find_listed(store: EmbeddingStore, split: str, listed: EpisodeList) -> Asked:
    """Find the videos of listed episodes in a store.

    Raises:
        InputError: if one is missing there
    """
    return Asked(listed.rows(store, split), dict(sorted(Counter(listed.labels).items())))


def draw_from(store: EmbeddingStore, split: str, episodes: EpisodeConfig) -> Asked:
    """Draw episodes from one split of a store."""
    rows = store.videos.rows(split)
    if not len(rows):
        held = ", ".join(sorted(set(store.videos.split))) or "no videos"
        raise InputError(f"{store.path}: no videos of split {split!r}, it holds {held}; choose with --split")
    duplicates, rows = drop_duplicates(store, rows)
    labels = [store.videos.label[row] for row in rows]
    pool = make_pool(rows, labels, [store.videos.group[row] for row in rows], episodes)
    sizes = {name: len(members) for name, members in zip(pool.class_names, pool.rows, strict=True)}
    return Asked(draw_episodes(pool, episodes), sizes, duplicates)


def drop_duplicates(
    store: EmbeddingStore, rows: NDArray[np.int64]
) -> tuple[tuple[tuple[str, ...], ...], NDArray[np.int64]]:
    """Keep one of several byte-identical videos: its duplicate as a support would give a query away.

    Returns:
        the paths of each set of duplicates, and the rows that remain
    """
    duplicates: dict[str, list[int]] = {}
    for row in rows:
        duplicates.setdefault(store.videos.content[row] or f"row {row}", []).append(int(row))
    sets = [members for members in duplicates.values() if len(members) > 1]
    kept = np.array([members[0] for members in duplicates.values()], dtype=np.int64)
    return tuple(tuple(store.videos.path[row] for row in members) for members in sets), kept


def _spread(levels: NDArray[np.float64]) -> dict[str, tuple[float, float]]:
    scored = {name: column for name, column in zip(LEVELS, levels.T, strict=True) if not np.isnan(column).any()}
    return {name: (float(column.mean()), float(column.std())) for name, column in scored.items()}


def _outcome(store: EmbeddingStore, drawn: Episodes, case: Case, named: Scored, names: tuple[str, ...]) -> Outcome:
    predictions = {name: scores.argmax(axis=-1) for name, scores in named.items()}
    truth = true_places(drawn)
    correct = {name: found == truth for name, found in predictions.items()}
    numbers = {name: number for number, name in enumerate(names)}
    of_rows = np.array([numbers.get(label, -1) for label in store.videos.label])
    confusion = count_confusion(drawn, list(predictions.values())[-1], of_rows, len(names))
    accuracies = accuracy_table(correct, drawn.query, store.videos.label, store.videos.group)
    return Outcome(case, accuracies, predictions, confusion)
