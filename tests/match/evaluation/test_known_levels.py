"""Scores by what is known without gradients, against loops."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from hcl.match.config import KNOWN_LEVELS
from hcl.match.evaluation.known_levels import domain_shift, known_levels, known_scores, pair_cosines
from hcl.match.store.embedding_store import EmbeddingStore

WriteKnown = Callable[..., EmbeddingStore]


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / lengths) if lengths else 0.0


@pytest.mark.parametrize(("videos", "pairs"), [(1, 1), (7, 30), (256, 50), (257, 400), (700, 900)])
def test_cosines_of_pairs_equal_loops(videos: int, pairs: int) -> None:
    vectors, rng = random(0, videos, 5), np.random.default_rng(0)
    vectors[rng.integers(videos)] = 0
    drawn = rng.integers(videos, size=(pairs, 2))
    drawn[-1] = videos - 1  # a video against itself, in the last part
    expected = [cosine(vectors[query].numpy(), vectors[support].numpy()) for query, support in drawn]
    np.testing.assert_allclose(pair_cosines(vectors, drawn), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("levels", [KNOWN_LEVELS, ("untrained_motion", "appearance"), ()])
@pytest.mark.parametrize("centred", [False, True])
def test_known_scores_equal_loops(write_known: WriteKnown, levels: tuple[str, ...], centred: bool) -> None:
    """Centred by the mean of the videos that are named, each of which counts once."""
    store = write_known()
    assert known_levels(store) == KNOWN_LEVELS
    pairs = np.array([(28, 3), (3, 28), (3, 3), (7, 12), (3, 9), (28, 9)])
    used = np.array([3, 7, 9, 12, 20])  # one that is in no pair; each counts once
    found = known_scores(store, pairs, levels, centred_by=np.repeat(used, 2) if centred else None)
    assert found.shape == (6, len(levels))
    for place, name in enumerate(levels):
        vectors = store.arrays([name], np.arange(30))[name].float().numpy()
        vectors = vectors - vectors[used].mean(axis=0) if centred else vectors
        expected = [cosine(vectors[query], vectors[support]) for query, support in pairs]
        np.testing.assert_allclose(found[:, place], expected, rtol=1e-4, atol=1e-5)


def test_a_store_without_these_arrays_has_no_such_levels(write_known: WriteKnown) -> None:
    assert known_levels(write_known(known={})) == ()
    some = {"untrained_motion": random(1, 30, 4), "untrained": random(2, 30, 2)}
    assert known_levels(write_known("some.zarr", known=some)) == ("untrained", "untrained_motion")


def test_the_domain_shift_is_the_squared_length_of_the_mean(write_known: WriteKnown) -> None:
    store = write_known()
    vectors = store.arrays(["untrained"], np.arange(30))["untrained"].numpy()
    expected = sum(float(value) ** 2 for value in vectors[[2, 4, 20]].mean(axis=0))
    assert domain_shift(store, np.array([4, 2, 4, 20, 4])) == pytest.approx(expected, rel=1e-5)  # each counts once
