"""Scores by what is known without gradients, against loops."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from hcl.extract.system.errors import InputError
from hcl.match.config import KNOWN_LEVELS
from hcl.match.episodes.drawing import Episodes
from hcl.match.evaluation.known_levels import (
    domain_shift,
    has_zero_shot,
    known_levels,
    known_scores,
    pair_cosines,
    zero_shot_scores,
)
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


def test_zero_shot_scores_equal_loops_and_read_no_support_but_its_class(write_known: WriteKnown) -> None:
    images, texts = random(0, 30, 7), random(1, 6, 7).repeat_interleave(5, dim=0)
    texts[:5] = 0  # a class without a text: the cosine with it is 0
    store = write_known(known={"image_embedding": images, "class_text": texts})
    assert has_zero_shot(store) and not has_zero_shot(write_known("none.zarr", known={}))
    support = np.array([[[0, 1], [5, 6], [29, 28]], [[11, 10], [16, 17], [3, 4]]])  # (E, N, K)
    query = np.array([[[2, 3], [7, 9], [25, 26]], [[12, 13], [15, 19], [0, 1]]])  # (E, N, M)
    found = zero_shot_scores(store, Episodes(support, query))
    assert found.shape == (2, 6, 3)
    for episode in range(2):
        for place, row in enumerate(query[episode].ravel()):
            expected = [cosine(images[row].numpy(), texts[first].numpy()) for first in support[episode, :, 0]]
            np.testing.assert_allclose(found[episode, place], expected, rtol=1e-5, atol=1e-6)
    swapped = zero_shot_scores(store, Episodes(support[:, :, ::-1].copy(), query))
    np.testing.assert_array_equal(swapped, found)


def test_images_and_texts_of_different_models_are_refused(write_known: WriteKnown) -> None:
    store = write_known(known={"image_embedding": random(0, 30, 7), "class_text": random(1, 30, 6)})
    episodes = Episodes(np.array([[[0], [5]]]), np.array([[[1], [6]]]))
    with pytest.raises(InputError, match=r"image_embedding \(30, 7\) and class_text \(30, 6\) are not of one model"):
        zero_shot_scores(store, episodes)
