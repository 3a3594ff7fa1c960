"""Weights of levels are found where there is a signal, chosen on classes that are not novel, and trusted near them."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hcl.extract.system.errors import InputError
from hcl.match.config import ALL_LEVELS, BASELINE, KNOWN_LEVELS, LEVELS, UNTRAINED_LEVELS, WEIGHTED
from hcl.match.embeddings import Embeddings
from hcl.match.episodes.aggregation import SupportPairs
from hcl.match.episodes.level_table import Case, LevelTable
from hcl.match.evaluation import class_scoring, level_weights
from hcl.match.evaluation.class_scoring import CENTRED
from hcl.match.evaluation.comparison import compare
from hcl.match.evaluation.evaluate import EvaluationRequest, evaluate
from hcl.match.evaluation.known_levels import domain_shift, known_scores
from hcl.match.evaluation.level_weights import (
    NEAR,
    PRIOR,
    LevelWeights,
    Weighing,
    choose_level_weights,
    fit_weights,
    levels_to_centre,
    trusted,
    weigh,
)
from hcl.match.reports import comparison_report
from hcl.match.reports.report import as_text
from hcl.match.reports.several_runs import over_runs
from hcl.match.store.embedding_store import EmbeddingStore

Edit = Callable[..., None]
MakeEmbeddings = Callable[..., Embeddings]
WriteKnown = Callable[..., EmbeddingStore]
DrawKnown = Callable[..., dict[str, Tensor]]
TRUTH = np.array([0, 1, 2])
ALL = (*LEVELS, *KNOWN_LEVELS)
TOGETHER = tuple(name for name in ALL if name not in UNTRAINED_LEVELS)  # whitened ones stand in for the untrained
SPLITS = ("base", "base", "val", "val", "novel", "novel")
EQUAL = {"weights": dict.fromkeys(ALL, 1.0), "chosen_on": "4 val classes", "is_own": True}


def drawn(signals: tuple[float, ...], *, episodes: int = 300, seed: int = 0) -> NDArray[np.float64]:
    """Scores (E, Q, N, L) of spread about 1, those of the true class higher by a signal."""
    scores = np.random.default_rng(seed).normal(size=(episodes, len(TRUTH), 3, len(signals)))
    for query, place in enumerate(TRUTH):
        scores[:, query, place] += signals
    return scores


def fit_to(scores: NDArray[np.float64], prior: tuple[float, ...] | None = None) -> NDArray[np.float64]:
    spread = scores.std(axis=(0, 1, 2))
    return fit_weights([scores], TRUTH, spread, np.ones(len(spread)) if prior is None else np.array(prior))


@pytest.mark.parametrize("carrier", [0, 1])
def test_the_level_with_the_signal_is_found(carrier: int) -> None:
    signals = (2.0, 0.0) if carrier == 0 else (0.0, 2.0)
    weights = fit_to(drawn(signals))
    assert weights[carrier] > 3 * weights[1 - carrier] > 0 and weights[carrier] > 1


def test_equal_signals_count_alike_and_the_stronger_one_more() -> None:
    equal, unequal = fit_to(drawn((1.0, 1.0), episodes=2000)), fit_to(drawn((1.0, 2.0), episodes=2000))
    assert equal[0] == pytest.approx(equal[1], rel=0.1) and unequal[1] > 1.3 * unequal[0]


def test_without_signal_the_ratios_are_those_of_the_prior() -> None:
    """Whether the scores of an episode's classes are all alike, or noise."""
    alike = np.repeat(drawn((0.0, 0.0, 0.0))[:, :, :1], 3, axis=2)
    for scores, tolerance in ((alike, 1e-3), (drawn((0.0,) * 3, episodes=3000), 0.25)):
        weights = fit_to(scores, (1.0, 0.5, 0.1)) * scores.std(axis=(0, 1, 2))
        np.testing.assert_allclose(weights / weights[0], (1.0, 0.5, 0.1), rtol=tolerance)


def test_scores_that_are_all_alike_count_nothing() -> None:
    scores = drawn((2.0, 1.0, 1.0))
    scores[..., 1] = 0.3
    weights, without = fit_to(scores, (1.0, 3.0, 0.5)), fit_to(scores[..., [0, 2]], (1.0, 0.5))
    assert weights[1] == 0
    np.testing.assert_allclose(weights[[0, 2]], without, rtol=1e-6)
    assert fit_to(np.full((4, 3, 3, 2), 0.5)).tolist() == [0, 0]


def test_weights_make_up_for_the_scale_of_scores() -> None:
    scores = drawn((1.0, 0.5, 2.0))
    np.testing.assert_allclose(fit_to(scores * [10, 1, 0.1]), fit_to(scores) / [10, 1, 0.1], rtol=1e-3)


def test_several_numbers_of_supports_are_fitted_together() -> None:
    """Each counts as much as the other: twice the same scores say the same, and two weights lie between."""
    first, second = drawn((2.0, 0.2)), drawn((0.2, 2.0), seed=1)
    spread, prior = np.ones(2), np.ones(2)
    ratios = [
        weights[0] / weights[1]
        for weights in (fit_weights(given, TRUTH, spread, prior) for given in ([first], [first, second], [second]))
    ]
    assert ratios[0] > ratios[1] > ratios[2]
    twice = fit_weights([first, first], TRUTH, spread, prior)
    np.testing.assert_allclose(twice, fit_weights([first], TRUTH, spread, prior), rtol=1e-6)


def test_trust_falls_with_the_distance_beyond_what_is_near() -> None:
    assert trusted(0) == trusted(NEAR / 2) == trusted(NEAR) == 1
    assert trusted(2 * NEAR) == pytest.approx(1 / 2) and trusted(10 * NEAR) == pytest.approx(1 / 10)


def scores_of(store: EmbeddingStore, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    """Some pairs, drawn scores of the paper's levels, those of the known levels, and the rows."""
    rng = np.random.default_rng(seed)
    pairs = np.array([(query, support) for query in range(0, 30, 3) for support in range(30) if support != query])
    levels = rng.normal(size=(len(pairs), 3)) * [0.1, 1, 5]
    return pairs, levels, known_scores(store, pairs), np.unique(pairs)


def weighted_scores(store: EmbeddingStore, pairs: Any, levels: Any, known: Any, rows: Any) -> NDArray[np.float64]:
    """The weighted sums (n,) of pairs, each an episode of its own."""
    centred = levels_to_centre(store, rows)
    columns = (levels, known, known_scores(store, pairs, centred, centred_by=rows))
    names = (*ALL, *(CENTRED + name for name in centred))
    lookup = np.arange(len(pairs)).reshape(-1, 1, 1, 1)
    none = SupportPairs(np.empty((0, 2), np.int64), np.empty((len(pairs), 1, 0), np.int64))
    table = LevelTable(names, np.concatenate(columns, axis=1), lookup, np.empty((0, len(names))), none)
    case = Case(1, "prototype")  # of one support: itself
    return weigh(store, table, rows, {case: table.of_classes(case)})[case].ravel()


def test_without_weights_all_levels_count_by_the_fixed_ratios(write_known: WriteKnown) -> None:
    store = write_known()
    pairs, levels, known, rows = scores_of(store)
    columns = [*levels.T.copy(), *known.T]
    counted = [(name, column) for name, column in zip(ALL, columns, strict=True) if name in TOGETHER]
    expected = sum(PRIOR[name] * column / np.std(column) for name, column in counted)
    np.testing.assert_allclose(weighted_scores(store, pairs, levels, known, rows), expected, rtol=1e-6)
    levels[:, 2] = np.nan  # left out
    without = weighted_scores(store, pairs, levels, known, rows)
    np.testing.assert_allclose(
        without, expected - PRIOR["spatial"] * columns[2] / np.std(columns[2]), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize(("is_own", "shift"), [(True, 50.0), (False, 0.0)])
def test_weights_of_this_store_or_of_one_nearby_are_trusted(
    write_known: WriteKnown, draw_known: DrawKnown, is_own: bool, shift: float
) -> None:
    weights = dict(zip(ALL, (1.0, 0.5, 0.0, 2.0, 0.1, 0.9, 0.3, 0.2, 0.05, 0.4, 0.7, 1.1, 0.6, 0.8, 1.2), strict=True))
    known = draw_known()
    known["untrained"] = known["untrained"] - known["untrained"].mean(dim=0) + shift
    store = write_known(known=known, level_weights=EQUAL | {"weights": weights, "is_own": is_own})
    pairs, levels, scores, rows = scores_of(store)
    expected = np.concatenate((levels, scores), axis=1) @ list(weights.values())
    np.testing.assert_allclose(weighted_scores(store, pairs, levels, scores, rows), expected, rtol=1e-6)


def test_a_level_that_is_not_named_counts_nothing(write_known: WriteKnown) -> None:
    store = write_known(level_weights=EQUAL | {"weights": {"motion": 2.0, "invented": 3.0}})
    pairs, levels, known, rows = scores_of(store)
    np.testing.assert_allclose(weighted_scores(store, pairs, levels, known, rows), 2 * known[:, 1], rtol=1e-6)


@pytest.mark.parametrize("still", [False, True])
def test_far_from_their_domain_the_untrained_levels_rank(
    write_known: WriteKnown, draw_known: DrawKnown, still: bool
) -> None:
    """They are centred by the videos' own mean. In videos of one frame nothing moves: such levels say nothing."""
    known = draw_known()
    known["untrained"] = known["untrained"] + 50
    if still:
        known |= {name: known[name] * 0 for name in UNTRAINED_LEVELS if name.endswith(("motion", "change"))}
    store = write_known(known=known, level_weights=EQUAL | {"is_own": False})
    pairs, levels, scores, rows = scores_of(store)
    found = weighted_scores(store, pairs, levels, scores, rows)
    alone = known_scores(store, pairs, UNTRAINED_LEVELS, centred_by=rows)
    moving = [column for column in alone.T if column.any()]
    assert len(moving) == (2 if still else 6)
    untrained = sum(column / column.std() for column in moving)
    trust = NEAR / domain_shift(store, rows)
    plain = np.concatenate((levels, scores), axis=1).sum(axis=1)
    assert trust < 1e-3
    expected = trust * plain / plain.std() + (1 - trust) * untrained / untrained.std()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)
    assert np.corrcoef(found, untrained)[0, 1] > 0.999


def test_weights_of_zero_say_nothing_far_from_their_domain(write_known: WriteKnown, draw_known: DrawKnown) -> None:
    known = draw_known()
    known["untrained"] = known["untrained"] + 1
    store = write_known(known=known, level_weights={"weights": {}, "chosen_on": "", "is_own": False})
    assert np.isfinite(weighted_scores(store, *scores_of(store))).all()


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ([], "are damaged"),
        ({"weights": 3, "chosen_on": "", "is_own": True}, "are damaged"),
        ({"weights": {"global": "much"}, "chosen_on": "", "is_own": True}, "are damaged"),
        ({"weights": {"global": None}, "chosen_on": "", "is_own": True}, "are damaged"),
        ({"weights": {"global": 1.0}, "is_own": True}, "are damaged"),
        ({"weights": {"global": -1.0}, "chosen_on": "", "is_own": True}, "are not all finite and 0 or more"),
        ({"weights": {"motion": "inf"}, "chosen_on": "", "is_own": True}, "are not all finite and 0 or more"),
    ],
)
def test_damaged_weights_are_refused_with_the_remedy(write_known: WriteKnown, stored: Any, message: str) -> None:
    store = write_known(level_weights=stored)
    with pytest.raises(InputError, match=f"known.zarr: its level_weights {message}.*write it anew with: hcl embed"):
        evaluate(store, way=2, episodes=5)


def test_weights_are_read_back_as_they_were_written(write_known: WriteKnown) -> None:
    weights = LevelWeights({"global": 1.5, "motion": 0.0}, "4 val classes", is_own=False)
    assert LevelWeights.of(write_known(level_weights=weights.to_dict())) == weights
    assert LevelWeights.of(write_known()) is None


def test_an_evaluation_shows_the_known_levels_and_the_weighted_sum_last(
    write_known: WriteKnown, draw_known: DrawKnown
) -> None:
    """Of which the weighted sum is right where the only level with a weight is."""
    known = draw_known(motion=20.0, appearance=0.0)
    only = {"weights": {"motion": 1.0}, "chosen_on": "4 val classes", "is_own": True}
    accuracies = evaluate(write_known(known=known, level_weights=only), way=5, episodes=60).outcomes[0].accuracies
    assert list(accuracies)[-1] == WEIGHTED and {BASELINE, ALL_LEVELS, *ALL} < set(accuracies)
    assert accuracies[WEIGHTED].accuracy == accuracies["motion"].accuracy == 100 > accuracies["appearance"].accuracy
    without = evaluate(write_known("without.zarr", known={}), way=5, episodes=60).outcomes[0].accuracies
    assert not {WEIGHTED, *KNOWN_LEVELS} & set(without)
    for name in without:
        assert accuracies[name] == without[name]  # the paper's levels are what they were


TRAINED = ("global", "spatial")


@pytest.fixture
def write_trained(write_known: WriteKnown, edit_attributes: Edit) -> WriteKnown:
    """A function that writes a store whose temporal level was not trained, and knows the class of every video."""

    def write(name: str, **given: Any) -> EmbeddingStore:
        store = write_known(name, **given)
        edit_attributes(store.path, lambda attributes: attributes.update(trained_levels=list(TRAINED)))
        return EmbeddingStore.open(store.path)

    return write


def test_a_level_that_was_not_trained_counts_in_no_headline(
    write_known: WriteKnown,
    write_trained: WriteKnown,
    draw_known: DrawKnown,
    make_embeddings: Callable[..., Embeddings],
) -> None:
    """Neither with weights nor without, nor without known levels; all combinations are still reported."""
    noise, signal = make_embeddings(signal=0.0), make_embeddings(signal=50.0)
    of_temporal = replace(noise, clips=signal.clips)
    plain = {name: torch.zeros_like(values) for name, values in draw_known().items()}
    for name, weights in (("weights.zarr", EQUAL), ("ratios.zarr", None)):
        store = write_trained(name, embeddings=of_temporal, known=plain, level_weights=weights)
        found = evaluate(store, way=5, episodes=60).outcomes[0]
        assert found.headline == WEIGHTED and found.accuracies["temporal"].accuracy == 100
        assert found.accuracies[WEIGHTED].accuracy < 60, name
        pairs, levels, known, rows = scores_of(store)
        other = levels.copy()
        other[:, 1] = -7 * levels[::-1, 1]
        np.testing.assert_array_equal(*(weighted_scores(store, pairs, of, known, rows) for of in (levels, other)))
    bare = evaluate(write_trained("bare.zarr", embeddings=of_temporal, known={}), way=5, episodes=60)
    outcome = bare.outcomes[0]
    assert outcome.headline == "global+spatial" and len(outcome.accuracies) == 8
    right = (outcome.predictions["global+spatial"] == np.arange(5)).mean()
    assert np.trace(outcome.confusion) / outcome.confusion.sum() == pytest.approx(right)
    assert "trained without the losses of temporal" in as_text(bare)
    assert evaluate(bare.store, way=5, episodes=60, spatial=False).outcomes[0].headline == "global"
    assert "trained without" not in as_text(evaluate(write_known("all.zarr"), way=5, episodes=5))


def test_weights_are_chosen_among_the_trained_levels(write_trained: WriteKnown) -> None:
    store = write_trained("some.zarr", splits=("val",) * 6)
    chosen = choose_level_weights(store)
    assert chosen is not None and tuple(chosen.weights) == (*TRAINED, *KNOWN_LEVELS)


@pytest.mark.parametrize("named", [[], ["clips"], "global", None])
def test_trained_levels_that_nobody_knows_are_refused(
    write_known: WriteKnown, edit_attributes: Edit, named: Any
) -> None:
    store = write_known()
    edit_attributes(store.path, lambda attributes: attributes.update(trained_levels=named))
    with pytest.raises(InputError, match="its trained_levels are .*, expected some of global, temporal, spatial"):
        evaluate(store.path, way=2, episodes=5)


def test_the_one_level_that_counts_is_not_left_out(write_known: WriteKnown, edit_attributes: Edit) -> None:
    store = write_known()
    edit_attributes(store.path, lambda attributes: attributes.update(trained_levels=["spatial"]))
    assert evaluate(store.path, way=2, episodes=5).outcomes[0].headline == WEIGHTED
    with pytest.raises(InputError, match="--no-spatial leaves out the one level that was trained; leave it out"):
        evaluate(store.path, way=2, episodes=5, spatial=False)


def test_known_levels_of_an_evaluation_equal_loops(write_known: WriteKnown) -> None:
    store = write_known()
    for aggregate in ("mean", "max"):
        found = evaluate(store, way=3, shot=2, queries=2, episodes=10, aggregate=aggregate)
        outcome = found.outcomes[0]
        pairs = np.array([(query, support) for query in range(30) for support in range(30)])
        tables = dict(zip(KNOWN_LEVELS, known_scores(store, pairs).T.reshape(-1, 30, 30), strict=True))
        for name, table in tables.items():
            for number, predicted in enumerate(outcome.predictions[name]):
                support, query = found.scored.support[number], found.scored.query[number].ravel()
                pooled = [[getattr(np, aggregate)(table[row, rows]) for rows in support] for row in query]
                assert np.argmax(pooled, axis=1).tolist() == predicted.tolist()


def test_an_interrupted_evaluation_scores_what_is_finished(
    write_known: WriteKnown, interrupt_after: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_scoring, "PAIRS_PER_SLICE", 20)
    store = write_known(level_weights=EQUAL)
    whole = evaluate(store, way=3, shot=1, episodes=40).outcomes[0].predictions
    with interrupt_after(100):
        cut = evaluate(store, way=3, shot=1, episodes=40).outcomes[0].predictions
    count = len(cut[WEIGHTED])
    assert 0 < count < 40
    for name in (WEIGHTED, *KNOWN_LEVELS):
        np.testing.assert_array_equal(cut[name], whole[name][:count])


def test_the_level_that_tells_val_classes_apart_gets_the_weight(
    write_known: WriteKnown, draw_known: DrawKnown, make_embeddings: MakeEmbeddings
) -> None:
    known = draw_known(**dict.fromkeys(KNOWN_LEVELS, 0.0) | {"motion": 8.0})
    noise = make_embeddings(signal=0.0)
    chosen = choose_level_weights(write_known(embeddings=noise, known=known, splits=("val",) * 4 + ("novel",) * 2))
    assert chosen is not None and (chosen.chosen_on, chosen.is_own) == ("4 val classes", True)
    assert tuple(chosen.weights) == ALL
    spread = {name: float(known_scores_of(known, name).std()) for name in KNOWN_LEVELS}
    shares = {name: chosen.weights[name] * spread[name] for name in KNOWN_LEVELS}
    assert shares["motion"] > 3 * max(share for name, share in shares.items() if name != "motion")


def test_the_untrained_levels_alone_are_kept_where_all_together_are_behind_them(
    write_known: WriteKnown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fit of all levels is spoilt: then what was learned counts nothing."""
    store = write_known(splits=("val",) * 6)
    places = [ALL.index(name) for name in UNTRAINED_LEVELS]

    def spoilt(of_classes: Any, truth: Any, spread: np.ndarray, prior: np.ndarray) -> np.ndarray:
        weights = fit_weights(of_classes, truth, spread, prior)
        return weights * (1 if np.flatnonzero(spread).tolist() == places else -1)

    chosen = choose_level_weights(store)
    assert chosen is not None and {name for name, value in chosen.weights.items() if value > 0} == set(TOGETHER)
    monkeypatch.setattr(level_weights, "fit_weights", spoilt)
    chosen = choose_level_weights(store)
    assert chosen is not None and {name for name, value in chosen.weights.items() if value > 0} == set(UNTRAINED_LEVELS)


@pytest.mark.parametrize(("untrained", "kept"), [(0.49, TOGETHER), (0.5, TOGETHER), (0.501, UNTRAINED_LEVELS)])
def test_they_are_kept_as_soon_as_they_are_ahead(
    write_known: WriteKnown, monkeypatch: pytest.MonkeyPatch, untrained: float, kept: tuple[str, ...]
) -> None:
    of_fits = {len(TOGETHER): 0.5, len(UNTRAINED_LEVELS): untrained}  # by the number of levels that count

    def accuracy(of_classes: Any, truth: Any, weights: np.ndarray) -> float:
        return of_fits[int((weights > 0).sum())]

    monkeypatch.setattr(level_weights, "weighted_accuracy", accuracy)
    chosen = choose_level_weights(write_known(splits=("val",) * 6))
    assert chosen is not None and {name for name, value in chosen.weights.items() if value > 0} == set(kept)


def known_scores_of(known: dict[str, Tensor], name: str) -> Tensor:
    unit = known[name] / known[name].norm(dim=1, keepdim=True)
    return unit @ unit.T


def test_novel_classes_have_no_say_in_the_weights(
    write_known: WriteKnown, draw_known: DrawKnown, make_embeddings: Callable[..., Embeddings], tmp_path: Path
) -> None:
    """Val classes have: with other arrays of theirs the weights are others."""
    embeddings, known = make_embeddings(), draw_known()

    def chosen(name: str, changed: slice) -> LevelWeights | None:
        arrays = {key: array.clone() for key, array in (embeddings.arrays() | known).items()}
        for array in arrays.values():
            array[changed] = array[changed].flip(0) * -3 + 1
        of_levels = {key: arrays.pop(key) for key in known}
        store = write_known(
            *(f"{name}.zarr",),
            embeddings=Embeddings.of_arrays(arrays, embeddings.clip_frames),
            known=of_levels,
            splits=SPLITS,
        )
        return choose_level_weights(store)

    plain = chosen("plain", slice(0, 0))
    assert plain is not None and plain.chosen_on == "2 val classes"
    assert chosen("novel", slice(20, 30)) == plain == chosen("base", slice(0, 10)) != chosen("val", slice(10, 20))


@pytest.mark.parametrize(
    ("splits", "without", "chosen_on"),
    [
        (SPLITS, (), "2 val classes"),
        (("base", "base", "val", "novel", "novel", "novel"), (), "3 base and val classes"),
        (("base", "base", "val", "novel", "novel", "novel"), ("class 0",), "2 base and val classes"),
        (("base", "base", "val", "novel", "novel", "novel"), ("class 0", "class 1"), None),  # the run's own
        (("novel",) * 6, (), None),
        (("val",) * 6, ("class 1",), "5 val classes"),
    ],
)
def test_weights_are_chosen_on_what_was_not_trained_on(
    write_known: WriteKnown, splits: tuple[str, ...], without: tuple[str, ...], chosen_on: str | None
) -> None:
    chosen = choose_level_weights(write_known(splits=splits), without=without)
    assert (chosen.chosen_on if chosen else None) == chosen_on


def test_it_is_said_where_something_without_training_is_ahead(
    write_known: WriteKnown, draw_known: DrawKnown, make_embeddings: MakeEmbeddings
) -> None:
    """In the report of one run, of several, and in a comparison; and nothing where the headline leads."""
    strong = make_embeddings(signal=50.0)
    known = draw_known(**dict.fromkeys(KNOWN_LEVELS, 0.0) | {"appearance": 50.0})
    only = {"chosen_on": "4 val classes", "is_own": True}
    behind, ahead = (
        write_known(f"{level}.zarr", embeddings=strong, known=known, level_weights=only | {"weights": {level: 1.0}})
        for level in ("motion", "appearance")
    )
    says = "without training, ResNet features, no training .* is ahead here: 100.0 % against"
    found, leading = (evaluate(store, way=5, episodes=60) for store in (behind, ahead))
    for text, expected in (
        (as_text(found), True),
        (over_runs([found, found]), True),
        (as_text(leading), False),
        (over_runs([leading, leading]), False),
    ):
        assert bool(re.search(says, text)) == expected and ("is ahead" in text) == expected
    both = compare({"first": behind, "second": ahead}, EvaluationRequest.of(episodes=60))
    told = comparison_report.as_text(both).splitlines()[-1]
    assert re.match(r"without training, ImageNet ResNet \(100.0 %, 1-shot\) is ahead of first \(\d\d.\d %\)$", told)


@pytest.mark.parametrize("spread", [0.1, 1.0, 7.0])
def test_where_nothing_was_trained_motion_counts_twice_and_patches_nothing(spread: float) -> None:
    names = (*LEVELS, "untrained", "untrained_motion", "untrained_difference_motion")
    columns = spread * np.arange(1, 7) * np.random.default_rng(0).normal(size=(50, 6))
    weighing = Weighing.settle(names, columns, np.empty((50, 0)), None, None)
    np.testing.assert_allclose(weighing.weights * columns.std(axis=0), [1, 1, 0, 1, 2, 2])


def test_levels_of_the_paper_alone_count_alike_without_weights() -> None:
    columns = np.random.default_rng(0).normal(size=(50, 3))
    weighing = Weighing.settle(LEVELS, columns, np.empty((50, 0)), None, None)
    np.testing.assert_allclose(weighing.weights * columns.std(axis=0), [1, 1, 1])
