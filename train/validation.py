"""How well an encoder matches classes it was not trained on, measured after each epoch on the val classes alone."""

from collections.abc import Callable, Mapping

import numpy as np
import torch

from hcl.extract.stored_cache import StoredCache
from hcl.match.class_scores import score_levels
from hcl.match.config import EpisodeConfig, ScoreConfig
from hcl.match.embeddings import Embeddings
from hcl.match.episodes import draw_episodes, make_pool
from hcl.match.pooling import ALL_LEVELS, combine_levels, distinct_pairs, true_places
from hcl.train.config import TrainConfig
from hcl.train.embedding import embedded_batches
from hcl.train.encoder import VideoEncoder


def make_validation(
    cache: StoredCache, folds: Mapping[str, str], config: TrainConfig, scoring: ScoreConfig, device: torch.device
) -> Callable[[VideoEncoder], float] | None:
    """Prepare 1-shot episodes over the val classes, min(5, classes)-way.

    A val class is usable with two videos: a query and a support.

    Args:
        cache: of maps
        folds: of the classes
        config: number of episodes, ways and seed are read
        scoring: how episodes are scored
        device: of the encoder

    Returns:
        a function from an encoder to its accuracy in percent, or None with fewer than two usable val classes
    """
    labels = cache.videos.label
    of_val = [int(row) for row in cache.rows() if folds[labels[row]] == "val"]
    counts = {name: sum(labels[row] == name for row in of_val) for name in {labels[row] for row in of_val}}
    rows = np.array([row for row in of_val if counts[labels[row]] > 1], dtype=np.int64)
    usable = sum(count > 1 for count in counts.values())
    if usable < 2:
        return None
    drawing = EpisodeConfig(n_way=min(config.val_way, usable), episodes=config.val_episodes, seed=config.seed)
    pool = make_pool(np.arange(len(rows)), [labels[row] for row in rows], [""] * len(rows), drawing)
    drawn = draw_episodes(pool, drawing)
    table = distinct_pairs(drawn)

    def validate(encoder: VideoEncoder) -> float:
        embeddings = joined([batch.embeddings() for batch in embedded_batches(encoder, cache, rows, device)])
        levels = score_levels(embeddings, table.pairs, table.lookup, scoring)
        scores = combine_levels(levels.of_classes)[ALL_LEVELS]
        return float(100 * (scores.argmax(axis=-1) == true_places(drawn)).mean())

    return validate


def joined(parts: list[Embeddings]) -> Embeddings:
    """Put the embeddings of several batches behind one another."""
    keys = [part.class_keys for part in parts if part.class_keys is not None]
    return Embeddings(
        torch.cat([part.global_ for part in parts]),
        torch.cat([part.clips for part in parts]),
        torch.cat([part.patches for part in parts]),
        parts[0].clip_frames,
        torch.cat(keys) if keys else None,
    )
