"""Scores at once are those of extract, embed and evaluate on the same videos: same pairs, all levels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import hcl
from hcl.classify.answers.confidence import calibrated_on_val, val_stores
from hcl.classify.answers.matcher import Matcher, Matching, support_shift
from hcl.classify.support.embedding import embed_supports, labelled_videos
from hcl.extract.config import ExtractConfig
from hcl.extract.pipeline.extraction import extract
from hcl.match.config import AGGREGATES, KNOWN_LEVELS, LEVELS, ScoreConfig
from hcl.match.episodes.drawing import Episodes
from hcl.match.evaluation.evaluator import Evaluator
from hcl.match.evaluation.known_levels import known_levels, known_scores
from hcl.match.evaluation.level_weights import LevelWeights, Weighing
from hcl.match.fast_scoring.pair_scores import score_pairs
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.train.runs.embed_cache import embed_cache


def evaluated(store: EmbeddingStore, queries: list[str], supports: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """What an evaluation makes of pairs, by their contents: (Q, V, L) of all levels, and (Q, V) their weighted sum."""
    rows = [[store.videos.content.index(each) for each in side] for side in (queries, supports)]
    pairs = np.array([(query, support) for query in rows[0] for support in rows[1]])
    scoring = ScoreConfig(**store.attributes["scoring"])
    levels = score_pairs(store.embeddings(np.arange(len(store.videos))), pairs, **scoring.of_pairs).astype(np.float64)
    known = known_scores(store, pairs, known_levels(store))
    shape = len(queries), len(supports)
    support = np.tile(rows[1], (shape[0], 1))[..., None]  # (Q, V, 1): each support is a class
    query = np.tile(np.array(rows[0])[:, None, None], (1, shape[1], 1))
    total = Evaluator(store).headline_scores(Episodes(support, query), scoring.aggregate)[:, 0]  # one support a class
    return np.concatenate((levels, known), axis=1).reshape(*shape, -1), total


@pytest.mark.usefixtures("text_model")
def test_scores_of_a_run_are_those_of_an_evaluation(
    small_videos: Path, trained_run: Path, small_config: ExtractConfig
) -> None:
    store = EmbeddingStore.open(trained_run / "embeddings.zarr")
    given = labelled_videos(small_videos / "novel")
    classifier = hcl.FewShotClassifier(
        trained_run, device="cpu", extraction=ExtractConfig(weights=small_config.weights)
    )
    queries, supports = [given[place] for place in (0, 4, 8)], [given[place] for place in (1, 2, 5, 6, 9, 10)]
    classifier.fit([each.video for each in supports], [each.label for each in supports])
    matcher = classifier.answerer.matcher
    assert classifier.embedder.run is not None
    assert "class_keys" in classifier.support_.batch.arrays and matcher.names == (*LEVELS, *known_levels(store))
    embedded = [classifier.embedder.embed_one(each.video) for each in queries]
    scores = [matcher.score(each.batch) for each in embedded]
    contents = [each.content for each in embedded]
    levels, total = evaluated(store, contents, list(classifier.support_.videos.content))
    np.testing.assert_allclose(np.concatenate([each.levels for each in scores]), levels, atol=2e-3)
    assert LevelWeights.of(store) is not None
    fitted = calibrated_on_val(store, matcher)
    assert fitted is not None and "of 3 val classes" in fitted.fitted_on and fitted.value > 0
    assert [each.path for each in val_stores(classifier.embedder.run)] == [store.path]
    if matcher.is_trusted:
        np.testing.assert_allclose(np.concatenate([each.total for each in scores]), total, rtol=5e-3, atol=5e-3)
    classes = np.concatenate([matcher.class_scores(each) for each in scores])
    for aggregate in AGGREGATES:
        like = Matcher(matcher.support, replace(matcher.matching, scoring=ScoreConfig(aggregate=aggregate)))
        growing = like.growing(scores[1], 0, np.array([1, 0, 2]))
        expected = [like.pooled(scores[1], np.array([1, 0, 2][:count])).total[0] for count in (1, 2)]
        np.testing.assert_allclose(growing[:2], expected)
    if matcher.is_trusted:  # prototypes and all
        place = {content: row for row, content in enumerate(store.videos.content)}
        support = np.array([[place[of] for of in classifier.support_.videos.content]]).reshape(1, 3, 2)
        episode = Episodes(support, np.array([[place[content]] for content in contents])[None])
        evaluator = Evaluator(store)
        expected = evaluator.headline_scores(episode, evaluator.scoring.aggregate)[0]
        np.testing.assert_allclose(classes, expected, rtol=5e-3, atol=5e-3)
    answers = list(classifier.answers([each.video for each in queries]))
    for answer, row, each in zip(answers, classes, scores, strict=True):
        assert [one.label for one in answer.ranked] == [classifier.classes_[place] for place in np.argsort(-row)]
        assert sum(one.probability for one in answer.ranked) == pytest.approx(1)
        best = answer.ranked[0]
        assert best.paper_sum == pytest.approx(sum(best.levels[level] for level in LEVELS), rel=1e-6)
        assert [score for _, score in best.supports] == sorted((score for _, score in best.supports), reverse=True)
        assert each.levels.shape == (1, 6, len(matcher.names))
    classifier.close()


def test_untrained_scores_are_those_of_a_store_of_the_supports_and_queries(
    small_videos: Path, small_config: ExtractConfig, tmp_path: Path
) -> None:
    """All videos of the store are supports here, so that it is centred by their mean."""
    config = replace(small_config, frames=4, split_policy="all-novel", views=1)
    extract(small_videos / "novel", tmp_path / "cache.zarr", config)
    embed_cache(tmp_path / "cache.zarr", tmp_path / "store.zarr")
    store = EmbeddingStore.open(tmp_path / "store.zarr")
    classifier = hcl.FewShotClassifier(device="cpu", extraction=config)
    given = labelled_videos(small_videos / "novel")
    support = embed_supports(classifier.embedder, given).support
    matcher = Matcher(support, Matching())
    levels, _ = evaluated(store, list(support.videos.content), list(support.videos.content))
    assert set(matcher.names) - set(LEVELS) == {*known_levels(store)} <= {*KNOWN_LEVELS}
    np.testing.assert_allclose(matcher.of_supports.levels, levels, atol=5e-3)
    one = matcher.score(support.take([3]).batch)
    np.testing.assert_allclose(one.total[0], matcher.of_supports.total[3], atol=1e-4)  # whatever else is asked
    classifier.close()


def test_a_sum_that_is_settled_on_pairs_weighs_them_as_it_weighs_others() -> None:
    rng = np.random.default_rng(0)
    names = ("global", "appearance", "untrained")
    columns, untrained = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))
    chosen = LevelWeights({"global": 2.0, "untrained": 0.5}, "2 val classes", is_own=False)
    near, far = (Weighing.settle(names, columns, untrained, chosen, shift) for shift in (0.1, 1.0))
    np.testing.assert_allclose(near.total(columns, untrained), 2 * columns[:, 0] + 0.5 * columns[:, 2])
    total = 2 * columns[:, 0] + 0.5 * columns[:, 2]
    beside = untrained[:, 0] / untrained.std()
    np.testing.assert_allclose(far.total(columns, untrained), 0.25 * total / total.std() + 0.75 * beside / beside.std())
    np.testing.assert_allclose(far.total(columns[:1], untrained[:1]), far.total(columns, untrained)[:1])
    alone = Weighing.settle(names, columns[:0], untrained[:0], None, None)  # nothing to tell a spread from
    np.testing.assert_allclose(alone.total(columns, untrained), columns @ [1.0, 0.6, 0.0])


def test_a_shift_is_told_by_videos_of_different_classes() -> None:
    generator = torch.Generator().manual_seed(0)
    centre, classes = torch.tensor([2.0, 0.0, 0.0]), np.arange(400) % 20
    vectors = centre + 3 * torch.randn(400, 3, generator=generator)
    naive = [
        float(a @ b)
        for row, a in enumerate(vectors[:40])
        for at, b in enumerate(vectors[:40])
        if classes[row] != classes[at]
    ]
    assert support_shift(vectors[:40].double(), classes[:40]) == pytest.approx(np.mean(naive), rel=1e-4)
    assert support_shift(vectors.double(), classes) == pytest.approx(4, rel=0.1)
    assert support_shift(vectors[:1].double(), classes[:1]) == pytest.approx(float(vectors[0] @ vectors[0]))
