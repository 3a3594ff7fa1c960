"""Comparisons: the same episodes for all, paired differences against loops, and honest words."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hcl.extract.system.errors import InputError
from hcl.match.config import BASELINE, EpisodeConfig, EvaluationConfig
from hcl.match.embeddings import Embeddings
from hcl.match.episodes.aggregation import true_places
from hcl.match.evaluation.comparison import INDISTINCT, compare
from hcl.match.evaluation.evaluate import EvaluationRequest
from hcl.match.evaluation.evaluator import Evaluator
from hcl.match.store.embedding_store import EmbeddingStore

Make, Write = Callable[..., Embeddings], Callable[..., Path]
CONFIG = EpisodeConfig(episodes=150, n_query=2)
REQUEST = EvaluationRequest(episodes=CONFIG)


@pytest.fixture
def stores(tmp_path: Path, make_embeddings: Make, write_embeddings: Write) -> dict[str, Path]:
    return {
        name: write_embeddings(tmp_path / name, make_embeddings(signal=signal, seed=seed))
        for name, signal, seed in (("strong", 2.0, 0), ("weak", 0.1, 1), ("duplicate", 2.0, 0))
    }


def test_differences_equal_a_loop_over_the_queries(stores: dict[str, Path]) -> None:
    plan = EvaluationConfig(shots=(1, 2))
    found = compare(stores, EvaluationRequest(episodes=CONFIG, plan=plan))
    alone = {name: Evaluator(EmbeddingStore.open(path), plan).run(CONFIG) for name, path in stores.items()}
    for difference in found.differences:
        number = plan.shots.index(difference.case.k_shot)
        of = {name: evaluation.outcomes[number] for name, evaluation in alone.items()}
        truth = true_places(alone["strong"].scored)
        first = of["strong"].predictions[of["strong"].headline] == truth
        if difference.name == "untrained":
            other = of["strong"].predictions[BASELINE] == truth
        else:
            other = of[difference.name].predictions[of[difference.name].headline] == truth
        by_episode = [
            sum(int(b) - int(a) for a, b in zip(row_a, row_b, strict=True)) / len(row_a)
            for row_a, row_b in zip(first, other, strict=True)
        ]
        assert difference.value.accuracy == pytest.approx(100 * sum(by_episode) / len(by_episode))
        error = 196 * np.std(by_episode, ddof=1) / np.sqrt(len(by_episode))
        assert difference.value.ci95 == pytest.approx(error)
    assert {difference.first for difference in found.differences} == {"strong"}
    assert len(found.differences) == 2 * 3 and [entry.name for entry in found.entries] == ["untrained", *stores]


def test_a_run_and_its_duplicate_are_not_distinguishable_and_a_weak_one_is_worse(stores: dict[str, Path]) -> None:
    verdicts = {difference.name: difference for difference in compare(stores, REQUEST).differences}
    assert verdicts["duplicate"].verdict == INDISTINCT and verdicts["duplicate"].value.bootstrap95 == (0, 0)
    assert verdicts["weak"].verdict == "worse" and verdicts["weak"].value.accuracy < -20
    swapped = {"weak": stores["weak"], "strong": stores["strong"]}
    assert {d.name: d.verdict for d in compare(swapped, REQUEST).differences}["strong"] == "better"


def test_plain_types_hold_every_entry_and_difference(stores: dict[str, Path]) -> None:
    plan = EvaluationConfig(shots=(1, 2), aggregates=("mean", "max"))
    found = compare(stores, EvaluationRequest(episodes=CONFIG, plan=plan))
    read = json.loads(json.dumps(found.to_dict()))
    assert len(read["entries"]) == 4 and len(read["differences"]) == 4 * 3
    for told, difference in zip(read["differences"], found.differences, strict=True):
        assert (told["run"], told["minus"], told["verdict"]) == (difference.name, "strong", difference.verdict)
        assert (told["k_shot"], told["aggregate"]) == (difference.case.k_shot, difference.case.aggregate)
        assert told["accuracy"] == difference.value.accuracy


def test_runs_over_other_videos_cannot_be_compared(
    stores: dict[str, Path], tmp_path: Path, write_embeddings: Write
) -> None:
    names = tuple(f"w{row}.mp4" for row in range(30))
    other = write_embeddings(tmp_path / "other", path=names)
    with pytest.raises(InputError, match=r"other: no video 'v\d+.mp4', which the episodes name"):
        compare({"strong": stores["strong"], "other": other}, REQUEST)
    with pytest.raises(InputError, match="a comparison needs 2 runs or stores, got 1"):
        compare({"strong": stores["strong"]}, REQUEST)
