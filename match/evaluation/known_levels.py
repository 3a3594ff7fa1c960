"""Scores by what is known of videos without gradients: the levels beside the paper's three, and names of classes.

Names are compared where a model embeds images and texts in one space, and no support is looked at. The class is the one
whose text is nearest to the mean of the frames' embeddings, by the cosine: Radford et al., Learning Transferable Visual
Models From Natural Language Supervision, 2021, section 3.1, with a video in place of an image.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hcl.extract.cache.video_table import Rows
from hcl.extract.system.errors import InputError
from hcl.match.config import KNOWN_LEVELS
from hcl.match.embeddings import ZERO_SHOT_AXES
from hcl.match.episodes.drawing import Episodes
from hcl.match.scoring.cosines import l2_normalise
from hcl.match.store.embedding_store import EmbeddingStore

QUERIES_AT_A_TIME = 256
IMAGE, TEXT = ZERO_SHOT_AXES  # arrays


def known_levels(store: EmbeddingStore) -> tuple[str, ...]:
    """The levels that a store has arrays for, in the order of KNOWN_LEVELS; none in a store of another method."""
    return tuple(name for name in KNOWN_LEVELS if name in store.names)


def known_scores(
    store: EmbeddingStore, pairs: Rows, levels: Sequence[str] = KNOWN_LEVELS, *, centred_by: Rows | None = None
) -> NDArray[np.float64]:
    """Score pairs of videos by the cosine of their vectors on each level.

    Args:
        store: that has an array for each level
        pairs: (n, 2) rows of a query and a support
        levels: some of KNOWN_LEVELS
        centred_by: rows of videos whose mean is subtracted first, where that of the base videos is of another domain

    Returns:
        (n, L), in [-1, 1]; a zero vector has cosine 0 with everything
    """
    used, local = np.unique(pairs, return_inverse=True)
    local = local.reshape(-1, 2)
    arrays = store.arrays(tuple(levels), used)
    means = {} if centred_by is None else store.arrays(tuple(levels), np.unique(centred_by))
    columns = []
    for name in levels:
        vectors = arrays[name].float()
        columns.append(pair_cosines(vectors - means[name].float().mean(dim=0) if means else vectors, local))
    return np.stack(columns, axis=1) if columns else np.empty((len(pairs), 0))


def pair_cosines(vectors: Tensor, pairs: Rows) -> NDArray[np.float64]:
    """The cosines of pairs of rows: (V, n) and (m, 2) to (m,)."""
    unit = l2_normalise(vectors)
    values = np.empty(len(pairs))
    order = np.argsort(pairs[:, 0], kind="stable")
    queries = pairs[order, 0]
    for start in range(0, len(unit), QUERIES_AT_A_TIME):
        low, high = np.searchsorted(queries, (start, start + QUERIES_AT_A_TIME))
        places = order[low:high]
        if len(places):
            table = (unit[start : start + QUERIES_AT_A_TIME] @ unit.T).numpy()
            values[places] = table[pairs[places, 0] - start, pairs[places, 1]]
    return values


def domain_shift(store: EmbeddingStore, rows: Rows) -> float:
    """How far the mean of some videos is from that of the base videos, in units of the base videos' spread.

    About 1 over the number of classes in the domain that the encoder was trained on, above 1 in another one.

    Args:
        store: whose array `untrained` is centred and scaled by the base videos
        rows: (V,) of the store; no label of theirs is read
    """
    vectors = store.arrays(("untrained",), np.unique(rows))["untrained"].double()
    return float(torch.linalg.vector_norm(vectors.mean(dim=0)) ** 2)


def has_zero_shot(store: EmbeddingStore) -> bool:
    """Whether a store has embeddings of images and of class texts from one model."""
    return {IMAGE, TEXT} <= set(store.names)


def zero_shot_scores(store: EmbeddingStore, episodes: Episodes) -> NDArray[np.float64]:
    """Score classes by the cosine of a query's mean image embedding with the embedding of the class's text.

    Args:
        store: that `has_zero_shot`
        episodes: rows of the store; of the supports, the class of the first is read

    Returns:
        (E, N * M, N), in [-1, 1]

    Raises:
        InputError: if the embeddings of images and of texts are of different widths
    """
    count, n_way, n_query = episodes.query.shape
    arrays = store.arrays((IMAGE, TEXT), np.arange(len(store.videos)))
    if arrays[IMAGE].ndim != 2 or arrays[IMAGE].shape != arrays[TEXT].shape:
        shapes = " and ".join(f"{name} {tuple(array.shape)}" for name, array in arrays.items())
        raise InputError(f"{store.path}: {shapes} are not of one model; write the store anew with: hcl embed")
    images, texts = (l2_normalise(arrays[name].double()).numpy() for name in (IMAGE, TEXT))
    queries, classes = images[episodes.query.reshape(count, n_way * n_query)], texts[episodes.support[:, :, 0]]
    return np.asarray(np.einsum("eqd,end->eqn", queries, classes))
