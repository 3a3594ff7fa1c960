"""Score episodes over an embedding store: every combination of levels, and the ResNet without training, in one pass."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.video_table import Rows
from hcl.extract.pipeline.cluster.config import ClusterConfig
from hcl.extract.system.errors import InputError
from hcl.match.confidence.fitting import choose_temperatures, choose_threshold
from hcl.match.config import BASELINE, HCL, LEVELS, WEIGHTED, ZERO_SHOT, EpisodeConfig, EvaluationConfig, ScoreConfig
from hcl.match.episodes.aggregation import PROTOTYPE, true_places
from hcl.match.episodes.drawing import Episodes, EpisodeSet, draw_set
from hcl.match.episodes.episode_file import EpisodeList
from hcl.match.episodes.level_table import Case
from hcl.match.episodes.outside import draw_outside, refuse_none_outside
from hcl.match.evaluation.class_scoring import (
    ClassScores,
    LevelScores,
    combination_scores,
    level_table,
    method_scores,
    score_levels,
)
from hcl.match.evaluation.confidence import calibration_of, open_set_of
from hcl.match.evaluation.known_levels import has_zero_shot, known_levels, zero_shot_scores
from hcl.match.evaluation.level_weights import levels_to_centre, weigh
from hcl.match.evaluation.results import Evaluation, Outcome
from hcl.match.evaluation.score_cache import ScoreCache, read_scores, score_settings, write_scores
from hcl.match.evaluation.statistics import accuracy_table, count_confusion
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.scorer import choose_method

Spread = dict[str, tuple[float, float]]  # mean and standard deviation of scores over pairs, by level


class Evaluator:
    """Scores episodes over one store; pairs of videos that several draws share are scored once.

    Args:
        store: of the embeddings
        plan: how many supports count, and which split: "novel" for a result, "val" while choosing settings
        scoring: fields of ScoreConfig that differ from the settings the encoder was trained with
        score_cache: Zarr folder that keeps the scores of pairs for later evaluations
        cluster: whose workers score HCL's pairs; None: this machine

    Raises:
        InputError: if the store is of another method than the plan's, or the cached scores are of something else
    """

    def __init__(
        self,
        store: EmbeddingStore,
        plan: EvaluationConfig | None = None,
        scoring: Mapping[str, Any] | None = None,
        *,
        score_cache: str | Path | None = None,
        cluster: ClusterConfig | None = None,
    ) -> None:
        self._cluster = cluster
        plan = plan or EvaluationConfig()
        self.store, self.method = store, choose_method(store, plan.method)
        self._path = None if score_cache is None else Path(score_cache)
        self.scoring = ScoreConfig(**{**store.attributes.get("scoring", {}), **(scoring or {})})
        self.plan = replace(plan, aggregates=plan.aggregates or (self.scoring.aggregate,))
        if score_cache is not None and self.method != HCL:
            raise InputError(
                f"--score-cache keeps the scores of {HCL}; {self.method} is scored anew each time, leave the option out"
            )
        if self.method == HCL and not plan.spatial and store.trained_levels == ("spatial",):
            raise InputError(f"{store.path}: --no-spatial leaves out the one level that was trained; leave it out")
        self._settings = score_settings(store, self.scoring, spatial=plan.spatial)
        cached = read_scores(self._path, store, self._settings) if self._path else ScoreCache(len(store.videos))
        self._score_cache = cached

    def refuse(self, episodes: EpisodeConfig, episode_list: EpisodeList | None = None) -> None:
        """Refuse what `run` would refuse, before any of several stores is scored.

        Args: as of `run`

        Raises:
            InputError: if the episodes cannot be drawn
        """
        shape = replace(episodes, k_shot=max(self.plan.shots), episodes=1)
        chosen = self._choose(shape, episode_list)
        if self.plan.open_set:
            refuse_none_outside(tuple(chosen.class_sizes), chosen.episodes.query.shape[1], self.plan.split)

    def run(self, episodes: EpisodeConfig, episode_list: EpisodeList | None = None) -> Evaluation:
        """Score episodes that are drawn from the store, or listed ones.

        Interrupted, it gives the episodes that are scored whole.

        Args:
            episodes: what to draw; its number of supports gives way to the largest of the plan
            episode_list: scored in place of drawn ones; `episodes` then tells their shape

        Raises:
            InputError: if the episodes cannot be drawn, or the store lacks a video of the list
            KeyboardInterrupt: if not even the first episode is scored whole
        """
        episodes = replace(episodes, k_shot=max(self.plan.shots))
        chosen = self._choose(episodes, episode_list)
        cases = [Case(*both) for both in product(self.plan.shots, self.plan.aggregates)]
        scored, scores, spread = self._score(chosen.episodes, cases)
        names = tuple(chosen.class_sizes)
        outcomes = [_outcome(self.store, scored, case, scores[case], names) for case in cases]
        outcomes = [self._with_confidence(of, scored, list(scores[of.case].values())[-1], episodes) for of in outcomes]
        return Evaluation(
            self.store,
            self.method,
            episodes,
            self.plan,
            self.scoring,
            scored,
            names,
            tuple(chosen.class_sizes.values()),
            tuple(outcomes),
            spread,
            chosen.left_out,
        )

    def headline_scores(self, episodes: Episodes, aggregate: str) -> NDArray[np.float64]:
        """Score the classes of episodes by the score that stands for the method; all supports count.

        Args:
            episodes: rows of the store, E of them with Q queries
            aggregate: of the scores over supports

        Returns:
            (E, Q, N)

        Raises:
            KeyboardInterrupt: if Ctrl-C left some out
        """
        case = Case(episodes.support.shape[2], aggregate)
        if self.method != HCL:
            return method_scores(self.store, self.method, episodes, [case])[case]
        scored, scores, _ = self._score_levels(episodes, [case])
        if len(scored) < len(episodes):
            raise KeyboardInterrupt
        return list(scores[case].values())[-1]

    def _with_confidence(
        self, outcome: Outcome, episodes: Episodes, scores: NDArray[np.float64], config: EpisodeConfig
    ) -> Outcome:
        """Measure how far the headline scores (E, N * M, N) of episodes can be believed, where that is asked for."""
        case, videos, split = outcome.case, self.store.videos, self.plan.split
        config, episodes = replace(config, k_shot=case.k_shot), episodes.with_shots(case.k_shot)
        score = partial(self.headline_scores, aggregate=case.aggregate)
        if self.plan.calibration:
            temperatures = choose_temperatures(
                *(videos, split, episodes, config, score), trained=self.store.trained_classes
            )
            outcome = replace(outcome, calibration=calibration_of(scores, episodes, videos, temperatures))
        if self.plan.open_set:
            outside = draw_outside(
                *(videos, split, episodes, outcome.class_names),
                seed=config.seed,
                group_disjoint=config.group_disjoint,
            )
            both = np.concatenate((episodes.query, outside), axis=2)
            of_both = score(Episodes(episodes.support, both))  # at once: weights may follow from the pairs
            threshold = choose_threshold(
                *(videos, split, config, score, self.plan.reject), trained=self.store.trained_classes
            )
            outcome = replace(outcome, open_set=open_set_of(of_both, episodes, outside, videos, threshold))
        return outcome

    def _choose(self, episodes: EpisodeConfig, episode_list: EpisodeList | None) -> EpisodeSet:
        trained = left_out_classes(self.store, self.plan)
        if episode_list is not None:
            chosen = episode_list.find_in(self.store, self.plan.split)
            if met := [name for name in chosen.class_sizes if name in trained]:
                raise InputError(
                    f"{self.store.path}: the listed episodes hold classes that the run was trained on:"
                    f" {', '.join(met)}; draw others, or count them with --keep-trained-classes"
                )
            return chosen
        return draw_set(
            self.store.videos,
            self.plan.split,
            episodes,
            where=str(self.store.path),
            trained=trained,
            min_videos=self.plan.min_videos,
            copies=self.store.left_out(self.plan.split),
        )

    def _score(self, episodes: Episodes, cases: Sequence[Case]) -> tuple[Episodes, dict[Case, ClassScores], Spread]:
        """Score classes by the method and by what needs no training, which comes first: the backbone, and names.

        Returns:
            the episodes that are scored whole, the scores in each case, and the spread of the levels
        """
        spread: Spread = {}
        of_method: dict[Case, ClassScores] = {case: {} for case in cases}
        if self.method == HCL:
            episodes, of_method, spread = self._score_levels(episodes, cases)
        elif self.method != BASELINE:
            scores = method_scores(self.store, self.method, episodes, cases)
            of_method = {case: {self.method: scores[case]} for case in cases}
        untrained = method_scores(self.store, BASELINE, episodes, cases)
        by_name = {ZERO_SHOT: zero_shot_scores(self.store, episodes)} if has_zero_shot(self.store) else {}
        return episodes, {case: {BASELINE: untrained[case]} | by_name | of_method[case] for case in cases}, spread

    def _score_levels(
        self, episodes: Episodes, cases: Sequence[Case]
    ) -> tuple[Episodes, dict[Case, ClassScores], Spread]:
        """Score classes by HCL's levels, of the episodes that are scored whole; new scores are kept."""
        spatial, before = self.plan.spatial, len(self._score_cache)
        given: dict[str, Any] = {"spatial": spatial, "cluster": self._cluster}
        level_scores = score_levels(self.store, episodes, self.scoring, self._score_cache, **given)
        if self._path is not None and len(self._score_cache) > before:
            write_scores(self._path, self._score_cache, self._settings)
        if not (count := level_scores.finished):
            raise KeyboardInterrupt
        scores = self._score_classes(level_scores, episodes.support[:count], cases)
        return episodes.first(count), scores, _spread(level_scores.levels[level_scores.scored])

    def _score_classes(
        self, level_scores: LevelScores, support: Rows, cases: Sequence[Case]
    ) -> dict[Case, ClassScores]:
        """Score classes by the levels that need no gradients, by the paper's levels, and by the weighted sum of all."""
        known, rows = known_levels(self.store), np.unique(level_scores.pairs.pairs[level_scores.scored])
        table = level_table(
            *(self.store, level_scores, support, self.scoring),
            prototypes=any(case.aggregate == PROTOTYPE for case in cases),
            centred=levels_to_centre(self.store, rows) if known else (),
        )
        on_levels = {case: table.of_classes(case) for case in cases}
        weighted = weigh(self.store, table, rows, on_levels) if known else {}
        scores: dict[Case, ClassScores] = {}
        for case, of_classes in on_levels.items():
            scores[case] = {
                name: of_classes[..., place] for name, place in zip(known, table.places(known), strict=True)
            }
            scores[case] |= combination_scores(
                of_classes[..., : len(LEVELS)], spatial=self.plan.spatial, last=self.store.trained_levels
            )
            scores[case] |= {WEIGHTED: weighted[case]} if known else {}
        return scores


def left_out_classes(store: EmbeddingStore, plan: EvaluationConfig) -> tuple[str, ...]:
    """The classes that do not test a store's encoder, since it was trained on them; none where they are asked for."""
    return () if plan.keep_trained_classes or plan.split == "base" else store.trained_classes


def _spread(levels: NDArray[np.float64]) -> Spread:
    """Mean and standard deviation of each level's scores, (n, 3) of pairs; a level that was left out has none."""
    columns = {name: column for name, column in zip(LEVELS, levels.T, strict=True) if not np.isnan(column).any()}
    return {name: (float(column.mean()), float(column.std())) for name, column in columns.items()}


def _outcome(
    store: EmbeddingStore, episodes: Episodes, case: Case, scores: ClassScores, names: tuple[str, ...]
) -> Outcome:
    predictions = {name: of_classes.argmax(axis=-1) for name, of_classes in scores.items()}
    truth = true_places(episodes)
    correct = {name: predicted == truth for name, predicted in predictions.items()}
    numbers = {name: number for number, name in enumerate(names)}
    of_rows = np.array([numbers.get(label, -1) for label in store.videos.label])
    confusion = count_confusion(episodes, list(predictions.values())[-1], of_rows, len(names))
    accuracies = accuracy_table(correct, episodes.query, store.videos.label, store.videos.group)
    return Outcome(case, accuracies, predictions, confusion, names, list(scores.values())[-1])
