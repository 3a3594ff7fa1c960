"""Maps of videos: PCA by the definition, t-SNE where it is installed, vectors of every method."""

import importlib.util

import numpy as np
import pytest

from hcl.classify.pages.embedding_map import neighbour_map, principal_map


def groups(seed: int = 0) -> np.ndarray:
    """Three groups of eight vectors, far from each other."""
    rng = np.random.default_rng(seed)
    return np.repeat(10 * rng.normal(size=(3, 6)), 8, axis=0) + rng.normal(size=(24, 6))


def test_the_principal_map_is_that_of_the_covariance() -> None:
    vectors = groups()
    places, shares = principal_map(vectors)
    values, directions = np.linalg.eigh(np.cov(vectors.T))
    expected = (vectors - vectors.mean(axis=0)) @ directions[:, ::-1][:, :2]
    np.testing.assert_allclose(np.abs(places), np.abs(expected), atol=1e-9)
    assert shares == pytest.approx(tuple(values[::-1][:2] / values.sum()))


@pytest.mark.parametrize("vectors", [np.zeros((5, 3)), np.arange(4.0)[:, None], np.eye(2)])
def test_few_directions_make_a_flat_map(vectors: np.ndarray) -> None:
    places, shares = principal_map(vectors)
    assert places.shape == (len(vectors), 2) and np.isfinite(places).all() and 0 <= sum(shares) <= 1 + 1e-9


def test_neighbours_stay_neighbours() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed; it comes with the sklearn extra")
    places = neighbour_map(groups())
    assert places is not None
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1) + 1e9 * np.eye(24)
    assert (distances.argmin(axis=1) // 8 == np.arange(24) // 8).all()


def test_no_map_of_neighbours_without_scikit_learn_or_of_few_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    assert neighbour_map(np.eye(3)) is None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert neighbour_map(groups()) is None
