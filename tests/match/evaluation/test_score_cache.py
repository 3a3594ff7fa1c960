"""Known scores: what was put in is looked up again, from memory and from a file; others are refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hcl.extract.system.errors import InputError
from hcl.match.config import EpisodeConfig, EvaluationConfig
from hcl.match.embeddings import Embeddings
from hcl.match.evaluation import predictions
from hcl.match.evaluation.evaluation import evaluate
from hcl.match.evaluation.score_table import ScoreTable

PLAN = EvaluationConfig()
Make, Write = Callable[..., Embeddings], Callable[..., Path]


def test_a_table_gives_back_every_score_and_nan_for_the_rest() -> None:
    rng = np.random.default_rng(0)
    pairs = rng.permutation([(query, support) for query in range(9) for support in range(9)])
    scores = rng.normal(size=(81, 3)).astype(np.float32)
    table = ScoreTable(9)
    assert np.isnan(table.take(pairs)).all() and not table.contains(pairs).any()
    for some in np.split(np.arange(60), [7, 8, 31]):
        table.add(pairs[some], scores[some])
    np.testing.assert_array_equal(table.contains(pairs), np.arange(81) < 60)
    np.testing.assert_array_equal(table.take(pairs[:60]), scores[:60])
    assert np.isnan(table.take(pairs[60:])).all()
    again = ScoreTable(9, table.pairs, table.scores)
    np.testing.assert_array_equal(again.take(pairs[:60]), scores[:60])


def test_kept_scores_are_not_computed_again(
    tmp_path: Path, write_embeddings: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, file = write_embeddings(tmp_path / "store.zarr"), tmp_path / "scores.zarr"
    scored: list[int] = []
    compute = predictions.score_pairs

    def counted(embeddings: Embeddings, pairs: np.ndarray, **settings: object) -> np.ndarray:
        scored.append(len(pairs))
        return compute(embeddings, pairs, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(predictions, "score_pairs", counted)
    first = evaluate(store, EpisodeConfig(episodes=20), PLAN, scores=file)
    again = evaluate(store, EpisodeConfig(episodes=20), PLAN, scores=file)
    assert len(scored) == 1
    assert first.outcomes[0].accuracies == again.outcomes[0].accuracies and first.spread == again.spread
    more = evaluate(store, EpisodeConfig(episodes=60), PLAN, scores=file)
    assert len(scored) == 2 and 0 < scored[1] < 30 * 30 - scored[0]
    assert more.outcomes[0].accuracies == evaluate(store, EpisodeConfig(episodes=60)).outcomes[0].accuracies


def test_scores_of_other_embeddings_or_settings_are_refused(
    tmp_path: Path, make_embeddings: Make, write_embeddings: Write
) -> None:
    store, file = write_embeddings(tmp_path / "store.zarr"), tmp_path / "scores.zarr"
    few = EpisodeConfig(episodes=3)
    evaluate(store, few, PLAN, scores=file)
    with pytest.raises(InputError, match=r"top_clips 10 there, 2 now.*name another file with --score-cache"):
        evaluate(store, few, PLAN, {"top_clips": 2}, scores=file)
    with pytest.raises(InputError, match="spatial True there, False now"):
        evaluate(store, few, EvaluationConfig(spatial=False), scores=file)
    other = write_embeddings(tmp_path / "other.zarr", make_embeddings(seed=1))
    with pytest.raises(InputError, match="embeddings [0-9a-f]+ there, [0-9a-f]+ now"):
        evaluate(other, few, PLAN, scores=file)
    evaluate(store, few, EvaluationConfig(aggregates=("max",)), scores=file)  # of no consequence to a pair


def test_damaged_scores_and_other_folders_are_refused(tmp_path: Path, write_embeddings: Write) -> None:
    store, file = write_embeddings(tmp_path / "store.zarr"), tmp_path / "scores.zarr"
    few = EpisodeConfig(episodes=3)
    with pytest.raises(InputError, match="hcl-embeddings"):
        evaluate(store, few, PLAN, scores=store)
    with pytest.raises(InputError, match="name another file with --score-cache"):
        evaluate(store, few, PLAN, scores=store / "zarr.json" / "scores.zarr")
    evaluate(store, few, PLAN, scores=file)
    chunk = next((file / "scores" / "c").rglob("0"))
    while chunk.is_dir():
        chunk = chunk / "0"
    chunk.write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"scores.zarr: damaged .*; remove it to score the pairs anew"):
        evaluate(store, few, PLAN, scores=file)
