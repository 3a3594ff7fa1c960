"""Maps of videos in two dimensions, of what a method knows of each: PCA, and t-SNE where scikit-learn is installed."""

from __future__ import annotations

import importlib.util

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.match.config import BASELINE, HCL
from hcl.match.methods.registry import find_method
from hcl.match.scoring.cosines import l2_normalise
from hcl.match.store.embedding_store import EmbeddingStore

FEWEST = 4  # videos of a map
PERPLEXITY = 30.0


def video_vectors(store: EmbeddingStore, rows: NDArray[np.int64], method: str) -> NDArray[np.float64]:
    """One vector a video, of unit length: the global embedding, or the mean of what a method scores from.

    Args:
        store: of the embeddings
        rows: (V,) of the store
        method: whose arrays are taken; that of the store, or the ResNet without training

    Returns:
        (V, D)
    """
    if method == HCL:
        values = [store.embeddings(rows).global_]
    elif method == BASELINE:
        values = [torch.from_numpy(store.mean_map[rows])]
    else:
        arrays = store.arrays(tuple(find_method(method).axes), rows)
        values = [array.float().reshape(len(rows), -1, array.shape[-1]).mean(dim=1) for array in arrays.values()]
    vectors = torch.cat([l2_normalise(value.float()) for value in values], dim=1)
    return np.asarray(l2_normalise(vectors).double().numpy())


def principal_map(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Project vectors onto the two directions in which they differ most.

    Args:
        vectors: (V, D), V at least 2

    Returns:
        (V, 2), and the share of the variance along each of the two, from 0 to 1
    """
    centred = vectors - vectors.mean(axis=0)
    left, sizes, right = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(vectors), 2))
    count = min(2, len(sizes))
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])[:count]  # the same on every machine
    places[:, :count] = left[:, :count] * sizes[:count] * signs
    total = float((sizes**2).sum())
    shares = [float(size**2) / total if total else 0.0 for size in sizes[:2]] + [0.0, 0.0]
    return places, (shares[0], shares[1])


def neighbour_map(vectors: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Place vectors so that neighbours stay neighbours (van der Maaten, Hinton: Visualizing Data using t-SNE, 2008).

    Args:
        vectors: (V, D)

    Returns:
        (V, 2); None where scikit-learn is not installed, or there are too few vectors
    """
    if len(vectors) < FEWEST or importlib.util.find_spec("sklearn") is None:
        return None
    from sklearn.manifold import TSNE  # an extra

    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    start = principal_map(vectors)[0]
    spread = start[:, 0].std()
    start = (1e-4 * start / spread if spread > 0 else start).astype(np.float32)
    return np.asarray(TSNE(init=start, perplexity=perplexity, random_state=0).fit_transform(vectors), dtype=np.float64)
