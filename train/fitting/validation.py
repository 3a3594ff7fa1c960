"""How well an encoder matches classes it was not trained on: measured after each epoch on the val classes alone."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.match.config import BASELINE, ScoreConfig
from hcl.match.episodes.aggregation import distinct_pairs, pool_supports, sum_name, true_places
from hcl.match.episodes.drawing import draw_for_choice
from hcl.match.episodes.level_table import Case
from hcl.match.evaluation.class_scoring import combination_scores, episode_scores
from hcl.match.fast_scoring.pair_scores import score_pairs
from hcl.match.methods.registry import find_method
from hcl.match.store.batch import EmbeddedBatch
from hcl.train.config import TrainConfig
from hcl.train.data.map_source import MapSource
from hcl.train.embedding import embedded_batches
from hcl.train.encoders.baseline_encoder import BaselineEncoder
from hcl.train.encoders.factory import Trainable
from hcl.train.encoders.untrained import MeanMaps
from hcl.train.losses.objective import trained_levels

CASE = Case(k_shot=1, aggregate="mean")


@dataclass(frozen=True)
class Validation:
    """A fixed list of episodes over the val classes; called with an encoder, it gives its accuracy in percent."""

    way: int
    measure: Callable[[Trainable], float]
    measure_untrained: Callable[[], float]

    def __call__(self, encoder: Trainable) -> float:
        return self.measure(encoder)

    @cached_property
    def untrained(self) -> float:
        """The accuracy in percent of the ImageNet ResNet without training, on the same episodes."""
        return self.measure_untrained()

    @property
    def case(self) -> str:
        """Which episodes these are, such as "3-way 1-shot"."""
        return f"{self.way}-way {CASE.k_shot}-shot"


def make_validation(source: MapSource, config: TrainConfig, scoring: ScoreConfig) -> Validation | None:
    """Prepare 1-shot episodes over the val classes, min(val_way, classes)-way.

    A val class is usable with two videos: a query and a support. Of HCL's levels those count whose losses are trained.

    Args:
        source: of the maps, on the encoder's device; its cache has the run's splits
        config: number of episodes, ways, seed and views to embed are read
        scoring: how HCL scores pairs

    Returns:
        the episodes and how they are measured, or None with fewer than two usable val classes
    """
    cache = source.cache
    counts = Counter(cache.videos.take(cache.rows("val")).label)
    rows = np.array([row for row in cache.rows("val") if counts[cache.videos.label[row]] > 1], dtype=np.int64)
    labels = cache.videos.take(rows).label
    usable = len(set(labels))
    if usable < 2:
        return None
    way, groups = min(config.val_way, usable), cache.videos.take(rows).group
    episodes = draw_for_choice(labels, groups, shot=1, way=way, episodes=config.val_episodes, seed=config.seed)
    if episodes is None:
        return None
    views = cache.resolve_views(config.test_views, "--test-views")
    table, truth, trained = distinct_pairs(episodes), true_places(episodes), trained_levels(config)
    spatial = "spatial" in trained

    def accuracy(scores: NDArray[np.float64]) -> float:
        return float(100 * (scores.argmax(axis=-1) == truth).mean())

    def validate(encoder: Trainable) -> float:
        embedded = concatenate(
            list(embedded_batches(encoder, source, rows, views=views, mean_maps=False, known_levels=False))
        )
        if isinstance(encoder, BaselineEncoder):
            return accuracy(episode_scores(encoder.scorer, embedded.arrays, episodes, CASE.k_shot))
        levels = score_pairs(embedded.embeddings(), table.pairs, **scoring.of_pairs, spatial=spatial)
        of_classes = pool_supports(levels.astype(np.float64), table.lookup, CASE.aggregate)
        scores = combination_scores(of_classes, spatial=spatial)
        return accuracy(scores[sum_name(trained)])

    def validate_untrained() -> float:
        embedded = concatenate(list(embedded_batches(MeanMaps(), source, rows)))
        arrays = {"mean_map": torch.from_numpy(embedded.mean_map)}
        return accuracy(episode_scores(find_method(BASELINE), arrays, episodes, CASE.k_shot))

    return Validation(way, validate, validate_untrained)


def concatenate(batches: Sequence[EmbeddedBatch]) -> EmbeddedBatch:
    """Make one batch of several, in their order."""
    arrays = {name: torch.cat([batch.arrays[name] for batch in batches]) for name in batches[0].arrays}
    return replace(batches[0], arrays=arrays, mean_map=np.concatenate([batch.mean_map for batch in batches]))
