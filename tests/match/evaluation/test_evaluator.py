"""The evaluation of a whole store: honest, reproducible, and equal to a loop over match."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hcl.extract.system.errors import InputError
from hcl.match.config import ALL_LEVELS, BASELINE, EpisodeConfig, EvaluationConfig
from hcl.match.embeddings import Embeddings
from hcl.match.episodes.drawing import draw_episode
from hcl.match.episodes.episode_file import EpisodeList
from hcl.match.episodes.level_table import Case
from hcl.match.episodes.video_pool import make_pool
from hcl.match.evaluation import class_scoring
from hcl.match.evaluation.evaluator import Evaluator
from hcl.match.evaluation.results import Evaluation
from hcl.match.reports.report import as_text
from hcl.match.scoring.scores import match
from hcl.match.store.embedding_store import EmbeddingStore

CLASSES, SIZE, WIDTH, CLIPS = 6, 5, 16, ((0, 1), (0, 2), (1, 2))
MakeEmbeddings = Callable[..., Embeddings]
WriteEmbeddings = Callable[..., Path]
Edit = Callable[[Path, Callable[[dict[str, Any]], object]], None]
InterruptAfter = Callable[[int], AbstractContextManager[None]]


def run(path: Path, episodes: EpisodeConfig, plan: EvaluationConfig | None = None, **scoring: Any) -> Evaluation:
    return Evaluator(EmbeddingStore.open(path), plan, scoring).run(episodes)


@pytest.fixture
def store(tmp_path: Path, write_embeddings: WriteEmbeddings) -> Path:
    return write_embeddings(tmp_path / "store.zarr")


def accuracies_by_loops(
    given: Embeddings, config: EpisodeConfig, k_shot: int, aggregate: str, names: Iterable[str]
) -> dict[str, float]:
    labels = [f"class {row // SIZE}" for row in range(len(given))]
    pool = make_pool(np.arange(len(given)), labels, [""] * len(labels), config)
    right = dict.fromkeys(names, 0)
    reduced = torch.max if aggregate == "max" else torch.mean

    def length(level: str, rows: torch.Tensor) -> float:
        """Of the mean of a class's supports, where a score is a cosine."""
        if aggregate != "prototype" or level == "spatial":
            return 1.0
        of = match(given.rows(rows), given.rows(rows), top_clips=2, top_patches=3)
        maps = torch.nn.functional.normalize(given.patches.mean(dim=(1, 2))[rows], dim=1)
        tables = {"global": of.global_, "temporal": of.temporal, BASELINE: maps @ maps.T}
        return float(tables[level].mean()) ** 0.5

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
                    values = [float(reduced(parts[level])) / length(level, rows) for level in name.split("+")]
                    scores[name].append(sum(values))
            for name, values in scores.items():
                right[name] += int(np.argmax(values)) == way
    return {name: 100 * count / (config.episodes * config.n_way * config.n_query) for name, count in right.items()}


def test_accuracies_of_all_shots_and_aggregates_equal_loops_over_match(
    store: Path, make_embeddings: MakeEmbeddings
) -> None:
    config = EpisodeConfig(n_way=3, k_shot=3, n_query=2, episodes=8, seed=5)
    plan = EvaluationConfig(shots=(1, 3, 2), aggregates=("mean", "max", "prototype"))
    found = run(store, config, plan, top_clips=2, top_patches=3)
    assert [outcome.case for outcome in found.outcomes] == [
        Case(shot, aggregate) for shot in (1, 3, 2) for aggregate in ("mean", "max", "prototype")
    ]
    for outcome in found.outcomes:
        expected = accuracies_by_loops(
            make_embeddings(), config, outcome.case.k_shot, outcome.case.aggregate, outcome.accuracies
        )
        assert {name: value.accuracy for name, value in outcome.accuracies.items()} == pytest.approx(expected)
        assert list(expected)[0] == BASELINE and outcome.headline == ALL_LEVELS and len(expected) == 8


def test_the_patch_selection_is_the_stores_unless_it_is_given(store: Path, edit_attributes: Edit) -> None:
    """A store that says nothing of it is scored by Eq. 4 to the letter."""
    config = EpisodeConfig(n_way=3, episodes=20)
    plain = run(store, config)
    assert plain.scoring.patch_selection == "similarity"
    given = run(store, config, patch_selection="centred")
    with pytest.raises(InputError, match="--patch-selection must be one of"):
        run(store, config, patch_selection="best")
    edit_attributes(store, lambda attributes: attributes.update(scoring={"patch_selection": "centred"}))
    stored = run(store, config)
    assert stored.scoring.patch_selection == "centred" and stored.spread == given.spread
    assert given.spread["spatial"] != plain.spread["spatial"] and given.spread["global"] == plain.spread["global"]
    assert run(store, config, patch_selection="similarity").spread == plain.spread


def test_shots_asked_alone_or_together_are_the_same(store: Path) -> None:
    config = EpisodeConfig(n_way=3, episodes=40)
    together = run(store, config, EvaluationConfig(shots=(1, 4)))
    alone = run(store, config, EvaluationConfig(shots=(4,)))
    assert alone.outcomes[0].accuracies == together.outcomes[1].accuracies


def test_without_the_spatial_level_the_others_stay_the_same(store: Path) -> None:
    whole = run(store, EpisodeConfig(episodes=30)).outcomes[0]
    less = run(store, EpisodeConfig(episodes=30), EvaluationConfig(spatial=False)).outcomes[0]
    assert list(less.accuracies) == [BASELINE, "global", "temporal", "global+temporal"]
    assert all(whole.accuracies[name] == value for name, value in less.accuracies.items())


def test_the_untrained_baseline_alone_needs_nothing_else(store: Path) -> None:
    found = run(store, EpisodeConfig(episodes=30), EvaluationConfig(method=BASELINE)).outcomes[0]
    assert found.headline == BASELINE and list(found.accuracies) == [BASELINE]
    assert found.accuracies[BASELINE] == run(store, EpisodeConfig(episodes=30)).outcomes[0].accuracies[BASELINE]
    with pytest.raises(InputError, match="embeddings of hcl, not of trx; train with: hcl train CACHE --method trx, or"):
        run(store, EpisodeConfig(), EvaluationConfig(method="trx"))
    with pytest.raises(InputError, match="resnet is scored anew each time"):
        Evaluator(EmbeddingStore.open(store), EvaluationConfig(method=BASELINE), score_cache=Path("scores.zarr"))


def test_random_embeddings_score_at_chance(
    tmp_path: Path, make_embeddings: MakeEmbeddings, write_embeddings: WriteEmbeddings
) -> None:
    path = write_embeddings(tmp_path / "store.zarr", make_embeddings(signal=0.0))
    found = run(path, EpisodeConfig(episodes=3000))
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
        run(write_embeddings(tmp_path / name, which, label=labels), config)
        for name, which in (("a.zarr", few), ("b.zarr", other))
    ]
    assert results[0].spread == results[1].spread


def test_byte_identical_videos_never_meet(tmp_path: Path, write_embeddings: WriteEmbeddings) -> None:
    """With two videos a class, duplicates in one class leave it a single video."""
    duplicates = ("same", "same", "c", "d", "e", *(f"h{row}" for row in range(25)))
    path = write_embeddings(tmp_path / "store.zarr", content=duplicates)
    found = run(path, EpisodeConfig(episodes=20))
    assert found.left_out.duplicates == (("v0.mp4", "v1.mp4"),) and found.class_sizes == (4, 5, 5, 5, 5, 5)
    with pytest.raises(InputError, match=r"too few in class 0 \(4\)"):
        run(path, EpisodeConfig(episodes=1), EvaluationConfig(shots=(4,)))


def test_a_video_that_an_earlier_split_has_is_not_drawn(tmp_path: Path, write_embeddings: WriteEmbeddings) -> None:
    splits = ("base",) * 5 + ("val",) * 5 + ("novel",) * 20
    content = ("a", *(f"h{row}" for row in range(1, 9)), "b", "a", "b", "c", "c", *(f"h{row}" for row in range(14, 30)))
    path = write_embeddings(tmp_path / "store.zarr", split=splits, content=content)
    found = run(path, EpisodeConfig(n_way=4, episodes=50))
    assert found.left_out.copies == ("novel v10.mp4 = base v0.mp4", "novel v11.mp4 = val v9.mp4")
    assert found.left_out.duplicates == (("v12.mp4", "v13.mp4"),) and found.class_sizes == (2, 5, 5, 5)
    assert not {10, 11, 13} & {*found.scored.query.ravel().tolist(), *found.scored.support.ravel().tolist()}
    assert "left out, 2 val or novel videos that are byte-identical" in as_text(found)
    assert found.to_dict()["left_out"]["copies"] == list(found.left_out.copies)
    everything = EpisodeList(("v10.mp4", "v12.mp4"), ("class 2", "class 2"), ("", ""), found.scored)
    with pytest.raises(InputError, match=r"left out, novel v10\.mp4 = base v0\.mp4; draw the episodes anew"):
        everything.find_in(found.store, "novel")


def test_confusion_and_classes_add_up(store: Path) -> None:
    found = run(store, EpisodeConfig(n_way=4, n_query=2, episodes=50))
    outcome = found.outcomes[0]
    assert outcome.confusion.sum() == 50 * 4 * 2
    overall = 100 * np.trace(outcome.confusion) / outcome.confusion.sum()
    assert overall == pytest.approx(outcome.accuracies[ALL_LEVELS].accuracy)
    np.testing.assert_allclose(
        outcome.per_class, 100 * np.diag(outcome.confusion) / outcome.confusion.sum(axis=1), rtol=1e-12
    )


def test_an_absent_split_is_refused(store: Path) -> None:
    with pytest.raises(InputError, match="no videos of split 'val', it holds novel; choose with --split"):
        run(store, EpisodeConfig(), EvaluationConfig(split="val"))


def test_listed_episodes_score_as_the_drawn_ones_do(store: Path) -> None:
    evaluator = Evaluator(EmbeddingStore.open(store), EvaluationConfig(shots=(1, 2)))
    drawn = evaluator.run(EpisodeConfig(episodes=20, seed=3))
    listed = EpisodeList.of(drawn.scored, drawn.store.videos)
    again = evaluator.run(EpisodeConfig(**listed.shape), listed)
    assert [of.accuracies for of in again.outcomes] == [of.accuracies for of in drawn.outcomes]


def test_draws_of_one_evaluator_are_those_of_several(store: Path) -> None:
    evaluator = Evaluator(EmbeddingStore.open(store))
    for seed in (4, 0):
        config = EpisodeConfig(episodes=20, seed=seed)
        assert evaluator.run(config).outcomes[0].accuracies == run(store, config).outcomes[0].accuracies


def test_an_interrupt_leaves_the_episodes_that_are_scored_whole(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupt_after: InterruptAfter, said: list[str]
) -> None:
    config, cached = EpisodeConfig(episodes=30), tmp_path / "scores.zarr"
    whole = run(store, config)
    monkeypatch.setattr(class_scoring, "PAIRS_PER_SLICE", 40)
    with interrupt_after(130):
        found = Evaluator(EmbeddingStore.open(store), score_cache=cached).run(config)
    count = len(found.scored)
    assert found.interrupted and 0 < count < 30 and [line for line in said if line.startswith("interrupted")]
    few = run(store, EpisodeConfig(episodes=count))
    for name, predicted in found.outcomes[0].predictions.items():
        np.testing.assert_array_equal(predicted, whole.outcomes[0].predictions[name][:count])
    assert few.outcomes[0].accuracies == found.outcomes[0].accuracies
    resumed = Evaluator(EmbeddingStore.open(store), score_cache=cached).run(config)
    assert resumed.outcomes[0].accuracies == whole.outcomes[0].accuracies


def test_an_interrupt_before_the_first_episode_is_an_interrupt(store: Path, interrupt_after: InterruptAfter) -> None:
    with interrupt_after(0), pytest.raises(KeyboardInterrupt):
        run(store, EpisodeConfig(episodes=3))
