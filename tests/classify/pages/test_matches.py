"""Which queries are shown, and what is said of their matches."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hcl.classify.pages.matches import KINDS, MOST_OF_A_PAIR, clip_pairs, telling_choices, telling_matches
from hcl.match.confidence.calibration import probabilities
from hcl.match.embeddings import Embeddings
from hcl.match.episodes.drawing import Episodes
from hcl.match.evaluation.evaluate import evaluate
from hcl.match.scoring.scores import match


def test_the_most_confident_and_the_narrowest_come_first() -> None:
    """Two episodes of two classes, one query each: rows 0 to 3 are queries, 4 and 5 supports of "a" and "b"."""
    episodes = Episodes(np.array([[[4], [5]]] * 2), np.array([[[0], [1]], [[2], [3]]]))
    of_first = np.array([[[0.9, 0.1], [0.8, 0.2]], [[0.51, 0.49], [0.05, 0.95]]])
    chosen = telling_choices(of_first, episodes, ["a", "b", "a", "b", "a", "b"])
    assert [(each.kind, each.episode, each.place) for each in chosen] == [
        ("confident and wrong", 0, 1),
        ("confident and right", 1, 1),
        ("confident and right", 0, 0),
        ("confident and right", 1, 0),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_each_video_once_and_few_of_a_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = [f"class {row // 10}" for row in range(30)]
    support = np.stack([rng.permutation(10)[:1] + 10 * np.arange(3)[:, None] for _ in range(50)])
    query = np.stack([rng.permutation(10)[:2] + 10 * np.arange(3)[:, None] for _ in range(50)])
    episodes = Episodes(support, query)
    chances = probabilities(rng.normal(size=(50, 6, 3)))
    chosen = telling_choices(chances, episodes, labels)
    rows = [query[each.episode].reshape(-1)[each.place] for each in chosen]
    assert len(set(rows)) == len(rows)
    for kind, most in KINDS.items():
        of_kind = [each for each in chosen if each.kind == kind]
        pairs = [(each.place // 2, int(chances[each.episode, each.place].argmax())) for each in of_kind]
        assert 0 < len(of_kind) <= most and max(map(pairs.count, pairs)) <= MOST_OF_A_PAIR
        assert all((true == named) == (kind == "confident and right") for true, named in pairs if kind != "narrowest")


def test_clip_pairs_are_those_of_a_naive_search(make_embeddings: Callable[..., Embeddings]) -> None:
    found = make_embeddings()
    one, other = found.rows(slice(0, 1)), found.rows(slice(7, 8))
    pairs = clip_pairs(one, other, 2)
    table = torch.nn.functional.cosine_similarity(one.clips[0][:, None], other.clips[0][None], dim=-1)
    best = sorted(((float(row.max()), place, int(row.argmax())) for place, row in enumerate(table)), reverse=True)[:2]
    assert [(pair.query, pair.support) for pair in pairs] == [
        (one.clip_frames[left], other.clip_frames[right]) for _, left, right in best
    ]
    assert [pair.cosine for pair in pairs] == pytest.approx([cosine for cosine, *_ in best], abs=1e-6)


def test_the_levels_of_a_match_are_those_of_the_scores(
    tmp_path: Path, write_embeddings: Callable[..., Path], make_embeddings: Callable[..., Embeddings]
) -> None:
    found = make_embeddings(signal=0.1)
    evaluation = evaluate(write_embeddings(tmp_path / "store.zarr", found), way=3, shot=2, episodes=30)
    outcome = evaluation.outcomes[0]
    matches = telling_matches(evaluation, outcome, probabilities(outcome.scores))
    assert matches and {each.is_right for each in matches} == {True, False}
    for each in matches:
        rows = evaluation.scored.support[each.episode, each.named.place]
        scores = match(found.rows(slice(each.query, each.query + 1)), found.rows(torch.from_numpy(rows)))
        assert each.named.levels["global"] == pytest.approx(float(scores.global_.mean()), abs=1e-3)
        assert each.named.levels["spatial"] == pytest.approx(float(scores.spatial.mean()), abs=1e-2)
        assert each.named.support == rows[int(scores.total()[0].argmax())] and each.named.of_supports == 2
        assert each.is_right == (each.named.label == each.label)
        assert each.is_right or each.rival.label == each.label
        assert each.named.probability >= each.rival.probability
