"""How well an encoder matches classes it was not trained on, measured after each epoch on the val classes alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from hcl.extract.cache.base import FrameMapCache
from hcl.match.config import ALL_LEVELS, HCL, ScoreConfig
from hcl.match.episodes.drawing import draw_episodes
from hcl.match.episodes.pooling import distinct_pairs, true_places
from hcl.match.evaluation.predictions import Case, combination_scores, episode_scores
from hcl.match.methods.registry import find_method
from hcl.match.pairwise.pair_scores import score_pairs
from hcl.match.store.batch import EmbeddedBatch
from hcl.train.config import TrainConfig
from hcl.train.embedding import embedded_batches, views_to_embed
from hcl.train.encoders.factory import Trainable

CASE = Case(k_shot=1, aggregate="mean")


def make_validation(
    cache: FrameMapCache, splits: Mapping[str, str], config: TrainConfig, scoring: ScoreConfig, device: torch.device
) -> Callable[[Trainable], float] | None:
    """Prepare 1-shot episodes over the val classes, min(5, classes)-way.

    A val class is usable with two videos: a query and a support.

    Args:
        cache: of maps
        splits: of the classes
        config: number of episodes, ways, seed and views to embed are read
        scoring: how HCL scores pairs
        device: of the encoder

    Returns:
        a function from an encoder to its accuracy in percent, or None with fewer than two usable val classes
    """
    labels = cache.videos.label
    of_val = [int(row) for row in cache.rows() if splits[labels[row]] == "val"]
    counts = {name: sum(labels[row] == name for row in of_val) for name in {labels[row] for row in of_val}}
    rows = np.array([row for row in of_val if counts[labels[row]] > 1], dtype=np.int64)
    usable = sum(count > 1 for count in counts.values())
    if usable < 2:
        return None
    way = min(config.val_way, usable)
    drawn = draw_episodes([labels[row] for row in rows], way=way, episodes=config.val_episodes, seed=config.seed)
    views = views_to_embed(cache, config.test_views)
    table, truth = distinct_pairs(drawn), true_places(drawn)

    def validate(encoder: Trainable) -> float:
        embedded = joined(list(embedded_batches(encoder, cache, rows, device, views=views)))
        if encoder.method != HCL:
            scores = episode_scores(find_method(encoder.method), embedded.arrays, drawn, CASE.k_shot)
        else:
            levels = score_pairs(embedded.embeddings(), table.pairs, **scoring.of_pairs).astype(np.float64)
            scores = combination_scores(levels, table.lookup, CASE)[ALL_LEVELS]
        return float(100 * (scores.argmax(axis=-1) == truth).mean())

    return validate


def joined(parts: Sequence[EmbeddedBatch]) -> EmbeddedBatch:
    """Put several batches behind one another."""
    arrays = {name: torch.cat([part.arrays[name] for part in parts]) for name in parts[0].arrays}
    return replace(parts[0], arrays=arrays, mean_map=np.concatenate([part.mean_map for part in parts]))
