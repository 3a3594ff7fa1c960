"""The scores of HCL's baselines against loops over their papers' definitions, and laws that all of them keep."""

from collections.abc import Callable
from math import exp, log, sqrt

import pytest
import torch
from torch import Tensor

from hcl.match.config import METHODS
from hcl.match.embeddings import Arrays
from hcl.match.methods.frames import bimhm, otam, trx
from hcl.match.methods.matcher import bound, make_matcher
from hcl.match.methods.registry import BASELINES, Method
from hcl.match.methods.video import matchingnet, protonet
from hcl.match.methods.video.mean_map import mean_map_scores

WIDTH, FRAMES = 5, 4
SIZES = [(1, 2, 1), (3, 2, 2), (2, 4, 3)]  # queries, classes, supports a class
SHAPES = {
    "mean_map": (7,),
    "global": (WIDTH,),
    "frames": (FRAMES, WIDTH),
    **{f"{kind}_2": (6, WIDTH) for kind in ("keys", "values")},
    **{f"{kind}_3": (4, WIDTH) for kind in ("keys", "values")},
    "abstract_key": (WIDTH,),
    "segments": (FRAMES, WIDTH + 1),
    "frame_keys": (FRAMES, WIDTH),
    "frame_values": (FRAMES, WIDTH),
    "latents_2": (6, WIDTH // 2),
}
LEARNED = ("maml", "fomaml", "pal", "tarn", "hyrsm")  # compared with loops in test_matchers.py


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scorer(name: str) -> Method:
    """A method that is ready to score; the first weights of its matcher are in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        matcher = make_matcher(BASELINES[name], FRAMES, WIDTH)
    return bound(BASELINES[name], None if matcher is None else matcher.double().eval())


def some_arrays(method: str, *leading: int, seed: int = 0) -> dict[str, Tensor]:
    names = BASELINES[method].axes
    return {name: random(seed + place, *leading, *SHAPES[name]) for place, name in enumerate(names)}


def dot(left: Tensor, right: Tensor) -> float:
    return sum(float(x) * float(y) for x, y in zip(left, right, strict=True))


def cosine(left: Tensor, right: Tensor) -> float:
    return dot(left, right) / sqrt(dot(left, left) * dot(right, right))


def resnet_by_loops(query: Arrays, supports: Arrays) -> list[float]:
    maps = supports["mean_map"]
    return [sum(cosine(query["mean_map"], one) for one in of_class) / len(of_class) for of_class in maps]


def protonet_by_loops(query: Arrays, supports: Arrays) -> list[float]:
    scores = []
    for of_class in supports["global"]:
        prototype = [sum(float(one[axis]) for one in of_class) / len(of_class) for axis in range(WIDTH)]
        scores.append(-sum((float(query["global"][axis]) - prototype[axis]) ** 2 for axis in range(WIDTH)))
    return scores


def matchingnet_by_loops(query: Arrays, supports: Arrays) -> list[float]:
    weights = [[exp(cosine(query["global"], one) / 0.1) for one in of_class] for of_class in supports["global"]]
    return [log(sum(of_class) / sum(map(sum, weights))) for of_class in weights]


def soft_minimum(values: list[float]) -> float:
    return -0.1 * log(sum(exp(-value / 0.1) for value in values))


def alignment_by_loops(table: list[list[float]]) -> float:
    """Fill in the table cell by cell, with a column of zeros at each end."""
    padded = [[0.0, *row, 0.0] for row in table]
    last = len(padded[0]) - 1
    sums = [[0.0] * (last + 1) for _ in padded]
    for row in range(len(padded)):
        for column in range(1, last + 1):
            if row == 0:
                sums[0][column] = padded[0][column] + sums[0][column - 1]
                continue
            before = [sums[row - 1][column - 1], sums[row][column - 1]]
            if column in (1, last):
                before.append(sums[row - 1][column])
            sums[row][column] = padded[row][column] + soft_minimum(before)
    return sums[-1][-1]


def otam_by_loops(query: Arrays, supports: Arrays) -> list[float]:
    def distance(one: Tensor) -> float:
        table = [[1 - cosine(q, s) for s in one] for q in query["frames"]]
        turned = [list(column) for column in zip(*table, strict=True)]
        return (alignment_by_loops(table) + alignment_by_loops(turned)) / 2

    return [-sum(distance(one) for one in of_class) / len(of_class) for of_class in supports["frames"]]


def bimhm_by_loops(query: Arrays, supports: Arrays) -> list[float]:
    def distance(one: Tensor) -> float:
        there = sum(min(1 - cosine(q, s) for s in one) for q in query["frames"])
        return there + sum(min(1 - cosine(q, s) for q in query["frames"]) for s in one)

    return [-sum(distance(one) for one in of_class) / len(of_class) for of_class in supports["frames"]]


def cmn_by_loops(query: Arrays, supports: Arrays) -> list[float]:
    keys = supports["abstract_key"]
    return [max(cosine(query["abstract_key"], key) for key in of_class) for of_class in keys]


def rebuilding_distance(asking: Arrays, given: Arrays, keys: str, values: str, place: int) -> float:
    """The mean squared distance of a query's values to what attention rebuilds of them from one class."""
    videos = zip(given[keys][place], given[values][place], strict=True)
    known = [pair for video in videos for pair in zip(*video, strict=True)]
    total = 0.0
    for key, wanted in zip(asking[keys], asking[values], strict=True):
        weights = [exp(dot(key, other) / sqrt(WIDTH)) for other, _ in known]
        rebuilt = sum(w * value for w, (_, value) in zip(weights, known, strict=True)) / sum(weights)
        total += float(((wanted - rebuilt) ** 2).sum())
    return total / len(asking[keys])


def trx_by_loops(query: Arrays, supports: Arrays) -> list[float]:
    def distance(size: int, place: int) -> float:
        return rebuilding_distance(query, supports, f"keys_{size}", f"values_{size}", place)

    return [-(distance(2, place) + distance(3, place)) / 2 for place in range(len(supports["keys_2"]))]


def ctx_by_loops(query: Arrays, supports: Arrays) -> list[float]:
    count = len(supports["frame_keys"])
    return [-rebuilding_distance(query, supports, "frame_keys", "frame_values", place) for place in range(count)]


def strm_by_loops(query: Arrays, supports: Arrays) -> list[float]:
    scores = []
    for place, latents in enumerate(supports["latents_2"].flatten(1, 2)):
        nearest = [min(sqrt(float(((q - s) ** 2).sum())) for s in latents) for q in query["latents_2"]]
        matching = -rebuilding_distance(query, supports, "keys_2", "values_2", place)
        scores.append(matching - 0.1 * sum(nearest) / len(nearest))
    return scores


BY_LOOPS: dict[str, Callable[[Arrays, Arrays], list[float]]] = {
    "resnet": resnet_by_loops,
    "protonet": protonet_by_loops,
    "matchingnet": matchingnet_by_loops,
    "otam": otam_by_loops,
    "trx": trx_by_loops,
    "bimhm": bimhm_by_loops,
    "cmn": cmn_by_loops,
    "ctx": ctx_by_loops,
    "strm": strm_by_loops,
}
every_method = pytest.mark.parametrize("method", BASELINES)


def test_every_method_but_hcl_is_a_baseline_of_declared_arrays() -> None:
    assert ("hcl", *BASELINES) == METHODS and set(BASELINES) == {*BY_LOOPS, *LEARNED}
    for method in BASELINES.values():
        assert {name: len(axes) for name, axes in method.axes.items()} == {
            name: 1 + len(SHAPES[name]) for name in method.axes
        }


@pytest.mark.parametrize("method", BY_LOOPS)
@pytest.mark.parametrize(("queries", "n_way", "k_shot"), SIZES)
def test_scores_equal_loops(method: str, queries: int, n_way: int, k_shot: int) -> None:
    asked, given = some_arrays(method, queries), some_arrays(method, n_way, k_shot, seed=50)
    by_loops = [BY_LOOPS[method]({name: array[q] for name, array in asked.items()}, given) for q in range(queries)]
    expected = torch.tensor(by_loops, dtype=torch.float64)
    torch.testing.assert_close(BASELINES[method].class_scores(asked, given), expected)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 3), (3, 1), (2, 5), (8, 8)])
def test_alignments_of_any_table_equal_loops(rows: int, columns: int) -> None:
    tables = random(1, 3, rows, columns).abs()
    expected = [alignment_by_loops(table.tolist()) for table in tables]
    found = otam.alignment_distance(tables, 0.1)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_alignment_of_far_videos_in_float32_is_finite() -> None:
    """The sums of exponentials that the recurrence is made of would be 0 in float32."""
    tables = torch.full((1, 32, 32), 2.0, requires_grad=True)
    distance = otam.alignment_distance(tables, 0.1)
    assert 55 < distance.item() < 64
    distance.sum().backward()
    assert torch.isfinite(tables.grad).all()  # type: ignore[arg-type]


@every_method
def test_batches_of_episodes_are_scored_as_one_by_one(method: str) -> None:
    asked, given = some_arrays(method, 2, 3, 4), some_arrays(method, 2, 3, 3, 2, seed=50)
    found = scorer(method).class_scores(asked, given)
    assert found.shape == (2, 3, 4, 3)
    for outer, inner in [(0, 0), (0, 2), (1, 1)]:
        one = [{name: array[outer, inner] for name, array in arrays.items()} for arrays in (asked, given)]
        torch.testing.assert_close(found[outer, inner], scorer(method).class_scores(*one))


def test_blocks_of_episodes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, given = some_arrays("trx", 7, 2), some_arrays("trx", 7, 3, 2, seed=50)
    whole = BASELINES["trx"].class_scores(asked, given)
    monkeypatch.setattr(trx, "REBUILT_BYTES", 2 * 3 * 2 * 6 * WIDTH * 8)  # two episodes
    torch.testing.assert_close(BASELINES["trx"].class_scores(asked, given), whole)


@every_method
def test_the_order_of_a_class_and_of_classes_does_not_matter(method: str) -> None:
    asked, given = some_arrays(method, 3), some_arrays(method, 3, 4, seed=50)
    scores = scorer(method).class_scores(asked, given)
    mixed = {name: array[:, [2, 0, 3, 1]] for name, array in given.items()}
    torch.testing.assert_close(scorer(method).class_scores(asked, mixed), scores)
    if method in ("maml", "fomaml"):  # whose classes are outputs, each with first weights of its own
        return
    turned = {name: array[[1, 2, 0]] for name, array in given.items()}
    torch.testing.assert_close(scorer(method).class_scores(asked, turned), scores[:, [1, 2, 0]])


@every_method
def test_scores_of_pairs_are_what_pairwise_says(method: str) -> None:
    asked, given = some_arrays(method, 3), some_arrays(method, 2, 3, seed=50)
    scores = scorer(method).class_scores(asked, given)
    pairs = [scorer(method).class_scores(asked, {name: a[:, [k]] for name, a in given.items()}) for k in range(3)]
    same = torch.allclose(torch.stack(pairs).mean(dim=0), scores)
    assert same == BASELINES[method].pairwise


@pytest.mark.parametrize(
    "method", [name for name in BASELINES if name != "tarn"]
)  # which has yet to learn what is near
def test_a_video_fits_its_own_class_best(method: str) -> None:
    given = some_arrays(method, 4, 1)
    asked = {name: array[:, 0] for name, array in given.items()}
    assert scorer(method).class_scores(asked, given).argmax(dim=1).tolist() == [0, 1, 2, 3]


@every_method
def test_gradients_are_right_and_finite(method: str) -> None:
    asked, given = some_arrays(method, 1), some_arrays(method, 2, 2, seed=50)
    names, values = list(asked), [*asked.values(), *given.values()]

    def scores(*tensors: Tensor) -> Tensor:
        parts = (dict(zip(names, part, strict=True)) for part in (tensors[: len(names)], tensors[len(names) :]))
        return scorer(method).class_scores(*parts)

    if method != "fomaml":  # which leaves out a part of the gradient
        assert torch.autograd.gradcheck(scores, [value.requires_grad_() for value in values])
    zeros = [torch.zeros_like(value, requires_grad=True) for value in values]
    scores(*zeros).sum().backward()
    assert all(torch.isfinite(zero.grad).all() for zero in zeros if zero.grad is not None)


def test_what_the_papers_promise() -> None:
    """Prototypes are means, attention sums to 1, alignment knows the order of frames, set matching does not."""
    asked, given = random(0, 3, WIDTH), random(1, 2, 4, WIDTH)
    one = given.mean(dim=1, keepdim=True)
    torch.testing.assert_close(protonet.prototype_scores(asked, given), protonet.prototype_scores(asked, one))
    attention = matchingnet.attention_scores(asked, given).exp().sum(dim=-1)
    torch.testing.assert_close(attention, torch.ones_like(attention))
    frames = random(2, 1, FRAMES, WIDTH)
    both = torch.stack([frames, frames.flip(1)])  # (2, 1, T, D): itself and itself backwards
    in_order, backwards = otam.alignment_scores(frames, both)[0]
    assert in_order > backwards
    torch.testing.assert_close(
        bimhm.set_scores(frames, both), torch.zeros(1, 2, dtype=torch.float64), atol=1e-6, rtol=0
    )
    unequal = random(3, 2, 1, FRAMES + 2, WIDTH)  # classes whose videos have more frames
    there, back = bimhm.set_scores(frames, unequal)[0, 0], bimhm.set_scores(unequal[0], frames[None])[0, 0]
    torch.testing.assert_close(there, back)
    torch.testing.assert_close(mean_map_scores(asked, 3 * given), mean_map_scores(asked, given))
