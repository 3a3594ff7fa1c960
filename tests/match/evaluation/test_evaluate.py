"""Evaluations in one call, as values, plain types and a table."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from hcl.extract.system.errors import InputError
from hcl.match.config import BASELINE, EpisodeConfig, EvaluationConfig
from hcl.match.episodes.episode_file import EpisodeList
from hcl.match.evaluation.evaluate import EvaluationRequest, evaluate, evaluate_request
from hcl.match.evaluation.evaluator import Evaluator
from hcl.match.evaluation.results import Evaluation
from hcl.match.store.embedding_store import EmbeddingStore


def test_one_call_does_what_an_evaluator_does(path: Path) -> None:
    store = EmbeddingStore.open(path)
    plan = EvaluationConfig(shots=(2,), aggregates=("max",))
    config = EpisodeConfig(n_way=3, n_query=2, episodes=20, seed=5, group_disjoint=True)
    expected = Evaluator(store, plan, {"top_clips": 2}).run(config)
    for place in (store, path, str(path)):
        found = evaluate(
            *(place,),
            **{"way": 3, "queries": 2, "episodes": 20, "seed": 5, "shot": 2},
            group_disjoint=True,
            aggregate="max",
            top_clips=2,
        )
        assert found.to_dict() == expected.to_dict() and found.scoring.top_clips == 2


def test_listed_episodes_take_the_place_of_drawn_ones(evaluation: Evaluation) -> None:
    listed = EpisodeList.of(evaluation.scored, evaluation.store.videos)
    again = evaluate(evaluation.store, episodes=listed, shot=(1, 3))
    assert [of.accuracies for of in again.outcomes] == [of.accuracies for of in evaluation.outcomes]
    with pytest.raises(InputError, match="the listed episodes have 3 supports a class; lower --shot"):
        evaluate(evaluation.store, episodes=listed, shot=4)


def test_a_misspelt_setting_is_named(path: Path) -> None:
    with pytest.raises(TypeError, match="no setting of an evaluation: top_clip$"):
        evaluate(path, top_clip=3)


def test_several_seeds_are_several_evaluations(path: Path) -> None:
    found = evaluate_request(EmbeddingStore.open(path), EvaluationRequest.of(episodes=20, seeds=(4, 0)))
    alone = [evaluate(path, episodes=20, seed=seed) for seed in (4, 0)]
    assert [of.outcomes[0].accuracies for of in found] == [of.outcomes[0].accuracies for of in alone]


def test_plain_types_hold_what_programs_ask_for(evaluation: Evaluation, path: Path) -> None:
    read = json.loads(json.dumps(evaluation.to_dict()))
    assert set(read["levels"]["global+temporal+spatial"]) == {"accuracy", "ci95", "bootstrap95"}
    assert len(read["levels"]) == 7 and 0 <= read["baseline"]["accuracy"] <= 100
    assert [outcome["shot"] for outcome in read["outcomes"]] == [1, 3] and read["shot"] == 1
    assert read["split"] == "novel" and set(read["origin"]) == {"schema", "version", "method", "origin", "identity"}
    assert read == json.loads(json.dumps(evaluate(path, episodes=30, shot=(1, 3)).to_dict()))


def test_a_class_without_queries_has_no_accuracy(path: Path) -> None:
    values = evaluate(path, way=2, episodes=1).to_dict()["per_class"].values()
    assert sum(value is None for value in values) == 4


def test_the_most_confused_classes_come_first(evaluation: Evaluation) -> None:
    outcome = evaluation.outcomes[0]
    shares = 100 * outcome.confusion / outcome.confusion.sum(axis=1, keepdims=True)
    np.fill_diagonal(shares, 0)
    pairs = outcome.most_confused
    assert len(pairs) == 10
    assert [share for *_, share in pairs] == pytest.approx(sorted(shares[shares > 0], reverse=True)[:10])
    for true, predicted, share in pairs:
        places = evaluation.class_names.index(true), evaluation.class_names.index(predicted)
        assert share == pytest.approx(shares[places])


def test_a_table_has_a_row_for_every_score_of_every_case(evaluation: Evaluation) -> None:
    pytest.importorskip("pandas", reason="the table extra is not installed")
    rows = evaluation.to_pandas().to_dict("records")
    assert len(rows) == 2 * 8 and [(row["shot"], row["score"]) for row in rows][8] == (3, BASELINE)
    for row in rows:
        outcome = next(of for of in evaluation.outcomes if of.case.k_shot == row["shot"])
        value = outcome.accuracies[row["score"]]
        assert (row["accuracy"], row["ci95"], row["low95"], row["high95"]) == (
            *(value.accuracy, value.ci95),
            *value.bootstrap95,
        )


def test_without_pandas_the_remedy_is_named(evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r"needs pandas: pip install pandas, or .hcl\[table\]"):
        evaluation.to_pandas()
