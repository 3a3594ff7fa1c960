"""The evaluation of a whole store: honest, reproducible, and equal to a loop over match."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hcl.extract.system.errors import InputError
from hcl.match.config import ALL_LEVELS, BASELINE, EpisodeConfig, EvaluationConfig
from hcl.match.embeddings import Embeddings
from hcl.match.episodes.drawing import draw_episode, make_pool
from hcl.match.episodes.episode_file import EpisodeList
from hcl.match.evaluation import predictions
from hcl.match.evaluation.evaluation import evaluate, evaluate_seeds
from hcl.match.evaluation.predictions import Case
from hcl.match.pairwise.pair_scores import score_pairs
from hcl.match.reports.report import as_text
from hcl.match.scoring.scores import match
from hcl.match.store.embedding_store import EmbeddingStore

CLASSES, SIZE, WIDTH, CLIPS = 6, 5, 16, ((0, 1), (0, 2), (1, 2))
MakeEmbeddings = Callable[..., Embeddings]
WriteEmbeddings = Callable[..., Path]


@pytest.fixture
def store(tmp_path: Path, write_embeddings: WriteEmbeddings) -> Path:
    return write_embeddings(tmp_path / "store.zarr")


def test_a_store_gives_back_what_was_written(store: Path, make_embeddings: MakeEmbeddings) -> None:
    found, expected = EmbeddingStore.open(store).embeddings(np.array([3, 1])), make_embeddings()
    assert found.clip_frames == CLIPS and found.patches.dtype == torch.float16
    for name in ("global_", "clips", "patches", "class_keys"):
        torch.testing.assert_close(getattr(found, name).float(), getattr(expected, name)[[3, 1]], rtol=0, atol=0)


def accuracies_by_loops(
    given: Embeddings, config: EpisodeConfig, k_shot: int, aggregate: str, names: Iterable[str]
) -> dict[str, float]:
    labels = [f"class {row // SIZE}" for row in range(len(given))]
    pool = make_pool(np.arange(len(given)), labels, [""] * len(labels), config)
    right = dict.fromkeys(names, 0)
    reduced = torch.mean if aggregate == "mean" else torch.max
    for index in range(config.episodes):
        support, query = draw_episode(pool, config, index)
        for way, row in ((way, row) for way, rows in enumerate(query) for row in rows):
            scores: dict[str, list[float]] = {name: [] for name in right}
            for supports in support:
                rows = torch.tensor(supports[:k_shot])
                of = match(given.rows(torch.tensor([row])), given.rows(rows), top_clips=2, top_patches=3)
                maps = given.patches.mean(dim=(1, 2))
                parts = {
                    "global": of.global_[0],
                    "temporal": of.temporal[0],
                    "spatial": of.spatial[0],
                    BASELINE: torch.cosine_similarity(maps[row][None], maps[rows]),
                }
                for name in right:
                    scores[name].append(sum(float(reduced(parts[level])) for level in name.split("+")))
            for name, values in scores.items():
                right[name] += int(np.argmax(values)) == way
    return {name: 100 * count / (config.episodes * config.n_way * config.n_query) for name, count in right.items()}


def test_accuracies_of_all_shots_and_aggregates_equal_loops_over_match(
    store: Path, make_embeddings: MakeEmbeddings
) -> None:
    config = EpisodeConfig(n_way=3, k_shot=3, n_query=2, episodes=8, seed=5)
    plan = EvaluationConfig(shots=(1, 3, 2), aggregates=("mean", "max"))
    found = evaluate(store, config, plan, {"top_clips": 2, "top_patches": 3})
    assert [outcome.case for outcome in found.outcomes] == [
        Case(shot, aggregate) for shot in (1, 3, 2) for aggregate in ("mean", "max")
    ]
    for outcome in found.outcomes:
        expected = accuracies_by_loops(
            make_embeddings(), config, outcome.case.k_shot, outcome.case.aggregate, outcome.accuracies
        )
        assert {name: value.accuracy for name, value in outcome.accuracies.items()} == pytest.approx(expected)
        assert list(expected)[0] == BASELINE and outcome.headline == ALL_LEVELS and len(expected) == 8


def test_shots_asked_alone_or_together_are_the_same(store: Path) -> None:
    config = EpisodeConfig(n_way=3, episodes=40)
    together = evaluate(store, config, EvaluationConfig(shots=(1, 4)))
    alone = evaluate(store, config, EvaluationConfig(shots=(4,)))
    assert alone.outcomes[0].accuracies == together.outcomes[1].accuracies


def test_without_the_spatial_level_the_others_stay_the_same(store: Path) -> None:
    whole = evaluate(store, EpisodeConfig(episodes=30)).outcomes[0]
    less = evaluate(store, EpisodeConfig(episodes=30), EvaluationConfig(spatial=False)).outcomes[0]
    assert list(less.accuracies) == [BASELINE, "global", "temporal", "global+temporal"]
    assert all(whole.accuracies[name] == value for name, value in less.accuracies.items())


def test_listed_episodes_score_as_the_drawn_ones_do(store: Path) -> None:
    plan = EvaluationConfig(shots=(1, 2))
    drawn = evaluate(store, EpisodeConfig(episodes=20, seed=3), plan)
    listed = EpisodeList.of(drawn.drawn, drawn.store.videos)
    again = evaluate(store, EpisodeConfig(**listed.shape), plan, listed=listed)
    assert [of.accuracies for of in again.outcomes] == [of.accuracies for of in drawn.outcomes]
    with pytest.raises(InputError, match="the listed episodes have 2 supports a class; lower --shot"):
        evaluate(store, EpisodeConfig(**listed.shape), EvaluationConfig(shots=(3,)), listed=listed)


def test_several_seeds_are_several_evaluations(store: Path) -> None:
    found = evaluate_seeds(store, EpisodeConfig(episodes=20), [4, 0], EvaluationConfig())
    alone = [evaluate(store, EpisodeConfig(episodes=20, seed=seed)) for seed in (4, 0)]
    assert [of.outcomes[0].accuracies for of in found] == [of.outcomes[0].accuracies for of in alone]


def test_an_interrupt_leaves_the_episodes_that_are_scored_whole(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluate(store, EpisodeConfig(episodes=30))
    slices = iter(range(9))

    def interrupted(*args: Any, **settings: Any) -> np.ndarray:
        if next(slices) == 3:
            raise KeyboardInterrupt
        return score_pairs(*args, **settings)

    monkeypatch.setattr(predictions, "PAIRS_PER_SLICE", 40)
    monkeypatch.setattr(predictions, "score_pairs", interrupted)
    found = evaluate(store, EpisodeConfig(episodes=30), scores=tmp_path / "scores.zarr")
    count = len(found.drawn)
    assert found.interrupted and 0 < count < 30
    assert f"{count} of 30 episodes" in as_text(found)
    few = evaluate(store, EpisodeConfig(episodes=count))
    for name, predicted in found.outcomes[0].predictions.items():
        np.testing.assert_array_equal(predicted, whole.outcomes[0].predictions[name][:count])
    assert few.outcomes[0].accuracies == found.outcomes[0].accuracies
    monkeypatch.setattr(predictions, "score_pairs", score_pairs)
    resumed = evaluate(store, EpisodeConfig(episodes=30), scores=tmp_path / "scores.zarr")
    assert resumed.outcomes[0].accuracies == whole.outcomes[0].accuracies


def test_an_interrupt_before_the_first_episode_is_an_interrupt(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> np.ndarray:
        raise KeyboardInterrupt

    monkeypatch.setattr(predictions, "score_pairs", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(store, EpisodeConfig(episodes=3))


def test_the_untrained_baseline_alone_needs_nothing_else(store: Path) -> None:
    found = evaluate(store, EpisodeConfig(episodes=30), EvaluationConfig(method=BASELINE)).outcomes[0]
    assert found.headline == BASELINE and list(found.accuracies) == [BASELINE]
    assert found.accuracies[BASELINE] == evaluate(store, EpisodeConfig(episodes=30)).outcomes[0].accuracies[BASELINE]
    with pytest.raises(InputError, match="embeddings of hcl, not of otam; train with: hcl train CACHE --method otam"):
        evaluate(store, EpisodeConfig(), EvaluationConfig(method="otam"))
    with pytest.raises(InputError, match="resnet is scored anew each time"):
        evaluate(store, EpisodeConfig(), EvaluationConfig(method=BASELINE), scores=Path("scores.zarr"))


def test_random_embeddings_score_at_chance(
    tmp_path: Path, make_embeddings: MakeEmbeddings, write_embeddings: WriteEmbeddings
) -> None:
    path = write_embeddings(tmp_path / "store.zarr", make_embeddings(signal=0.0))
    found = evaluate(path, EpisodeConfig(episodes=3000))
    for value in found.outcomes[0].accuracies.values():
        low, high = value.bootstrap95
        assert low - 3 < 20 < high + 3


def test_no_label_of_a_query_reaches_its_score(
    tmp_path: Path, make_embeddings: MakeEmbeddings, write_embeddings: WriteEmbeddings
) -> None:
    """Other class keys for the queries of an episode change nothing: Eq. 5 takes the support's."""
    found = make_embeddings(signal=0.5)
    config = EpisodeConfig(n_way=2, episodes=1)
    pool = make_pool(np.arange(10), ["a"] * 5 + ["b"] * 5, [""] * 10, config)
    _, query = draw_episode(pool, config, 0)
    keys = found.class_keys.clone()
    keys[query.ravel()] = 100 * torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(9))
    labels = ("a",) * 5 + ("b",) * 5
    few = found.rows(slice(0, 10))
    other = Embeddings(few.global_, few.clips, few.patches, CLIPS, keys[:10])
    results = [
        evaluate(write_embeddings(tmp_path / name, which, label=labels), config)
        for name, which in (("a.zarr", few), ("b.zarr", other))
    ]
    assert results[0].spread == results[1].spread


def test_byte_identical_videos_never_meet(tmp_path: Path, write_embeddings: WriteEmbeddings) -> None:
    """With two videos a class, duplicates in one class leave it a single video."""
    duplicates = ("same", "same", "c", "d", "e", *(f"h{row}" for row in range(25)))
    path = write_embeddings(tmp_path / "store.zarr", content=duplicates)
    found = evaluate(path, EpisodeConfig(episodes=20))
    assert found.duplicates == (("v0.mp4", "v1.mp4"),) and found.class_sizes == (4, 5, 5, 5, 5, 5)
    assert "v0.mp4 = v1.mp4" in as_text(found)
    with pytest.raises(InputError, match=r"too few in class 0 \(4\)"):
        evaluate(path, EpisodeConfig(episodes=1), EvaluationConfig(shots=(4,)))


def test_confusion_and_classes_add_up(store: Path) -> None:
    found = evaluate(store, EpisodeConfig(n_way=4, n_query=2, episodes=50))
    outcome = found.outcomes[0]
    assert outcome.confusion.sum() == 50 * 4 * 2
    overall = 100 * np.trace(outcome.confusion) / outcome.confusion.sum()
    assert overall == pytest.approx(outcome.accuracies[ALL_LEVELS].accuracy)
    np.testing.assert_allclose(
        outcome.per_class, 100 * np.diag(outcome.confusion) / outcome.confusion.sum(axis=1), rtol=1e-12
    )


def test_an_absent_split_is_refused(store: Path) -> None:
    with pytest.raises(InputError, match="no videos of split 'val', it holds novel; choose with --split"):
        evaluate(store, EpisodeConfig(), EvaluationConfig(split="val"))


def test_damage_is_named(store: Path) -> None:
    (store / "patches" / "c" / "2" / "0" / "0" / "0").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"array 'patches' is damaged.*hcl embed"):
        evaluate(store, EpisodeConfig(episodes=50))


def test_a_store_is_replaced_only_by_a_store(
    store: Path, tmp_path: Path, make_embeddings: MakeEmbeddings, write_embeddings: WriteEmbeddings
) -> None:
    write_embeddings(store, make_embeddings(10), label=("a",) * 10)
    assert len(EmbeddingStore.open(store).videos) == 10
    (tmp_path / "notes").mkdir()
    with pytest.raises(InputError, match="not a Zarr v3 store"):
        write_embeddings(tmp_path / "notes")


def test_patches_beyond_half_precision_are_refused(
    tmp_path: Path, make_embeddings: MakeEmbeddings, write_embeddings: WriteEmbeddings
) -> None:
    found = make_embeddings(10)
    huge = Embeddings(found.global_, found.clips, found.patches * 1e6, CLIPS)
    with pytest.raises(InputError, match="pass the range of float16"):
        write_embeddings(tmp_path / "store.zarr", huge)
    assert not (tmp_path / "store.zarr").exists()
