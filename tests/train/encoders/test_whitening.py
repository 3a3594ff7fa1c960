"""Within-class whitening, and the choice of its shrinkage, against loops and laws."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from hcl.train.encoders.whitening import (
    SHRINKAGE,
    SHRINKAGES,
    WithinClass,
    choose_shrinkage,
    one_shot_accuracy,
)


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def labelled(seed: int, videos: int, width: int, classes: int, *, noise: float = 1.0) -> tuple[Tensor, Tensor]:
    """Vectors (V, n) around the centres of their classes, in mixed order, whose axes vary differently, and labels."""
    labels = 3 * (torch.arange(videos) % classes)
    vectors = random(seed, 3 * classes, width)[labels] + noise * random(seed + 1, videos, width)
    return vectors.double() * torch.linspace(0.3, 3, width).double(), labels


def metric_by_loops(vectors: Tensor, labels: Tensor, shrinkage: float, most: int) -> np.ndarray:
    """What whitening makes of an inner product: the inverse of the shrunk covariance in the kept directions, (n, n)."""
    values, width = vectors.numpy(), vectors.shape[1]
    centred = values - values.mean(axis=0)
    within = np.zeros((width, width))
    for row, label in zip(centred, labels.tolist(), strict=True):
        of_class = [other for other, its in zip(centred, labels.tolist(), strict=True) if its == label]
        difference = row - sum(of_class) / len(of_class)
        within += np.outer(difference, difference) / len(centred)
    variances, axes = np.linalg.eigh(centred.T @ centred)
    order = np.argsort(-variances)
    large = variances[order] > 1e-6 * variances.max()
    basis = axes[:, order[: min(most, max(1, large.sum()))]]
    kept = basis.T @ within @ basis
    shrunk = kept + max(shrinkage * np.trace(kept) / len(kept), 1e-12) * np.eye(len(kept))
    return basis @ np.linalg.inv(shrunk) @ basis.T


every_size = pytest.mark.parametrize(
    ("videos", "width", "classes", "most", "noise"),
    [
        (12, 5, 3, 200, 1.0),
        (6, 20, 2, 200, 1.0),  # fewer videos than dimensions
        (9, 4, 1, 200, 1.0),
        (30, 10, 5, 4, 1.0),
        (7, 1, 2, 200, 1.0),
        (12, 8, 4, 200, 0.0),  # videos of a class are identical
    ],
)


@every_size
@pytest.mark.parametrize("shrinkage", [0.1, 0.5])
def test_whitening_equals_loops(
    videos: int, width: int, classes: int, most: int, noise: float, shrinkage: float
) -> None:
    vectors, labels = labelled(0, videos, width, classes, noise=noise)
    found = WithinClass.of(vectors, labels, most=most).whitening(shrinkage)
    assert found.shape[0] == width and found.shape[1] <= min(most, width, videos)
    expected = metric_by_loops(vectors, labels, shrinkage, most)
    np.testing.assert_allclose((found @ found.T).numpy(), expected, rtol=1e-6, atol=1e-8 * np.abs(expected).max())


@every_size
def test_the_shrunk_covariance_of_whitened_vectors_is_the_identity(
    videos: int, width: int, classes: int, most: int, noise: float
) -> None:
    vectors, labels = labelled(1, videos, width, classes, noise=noise)
    whitening = WithinClass.of(vectors, labels, most=most).whitening(0.2)
    kept = whitening.shape[1]
    basis, _ = torch.linalg.qr(whitening)

    def within(values: Tensor) -> Tensor:
        apart = torch.stack(
            [row - values[labels == label].mean(dim=0) for row, label in zip(values, labels, strict=True)]
        )
        return apart.T @ apart / len(values)

    ridge = max(0.2 * float(within(vectors @ basis).trace()) / kept, 1e-12)
    shrunk = within(vectors @ whitening) + ridge * whitening.T @ whitening
    torch.testing.assert_close(shrunk, torch.eye(kept).double(), rtol=1e-6, atol=1e-6)


@every_size
def test_whitening_does_not_depend_on_the_order_of_videos(
    videos: int, width: int, classes: int, most: int, noise: float
) -> None:
    vectors, labels = labelled(2, videos, width, classes, noise=noise)
    order = torch.randperm(videos, generator=torch.Generator().manual_seed(0))
    first, second = (
        WithinClass.of(*given, most=most).whitening() for given in ((vectors, labels), (vectors[order], labels[order]))
    )
    product = first @ first.T
    torch.testing.assert_close(second @ second.T, product, rtol=1e-6, atol=1e-8 * product.abs().max().item())


def accuracy_by_loops(scores: np.ndarray, labels: list[int], groups: list[int]) -> float:
    """Each query against every choice of one support a class, one after the other."""
    of_queries = []
    for query, label in enumerate(labels):
        right = [row for row, its in enumerate(labels) if its == label and groups[row] != groups[query]]
        hits = []
        for support in right:
            found = 1.0
            for other in set(labels) - {label}:
                wrong = [scores[query][row] for row, its in enumerate(labels) if its == other]
                beaten = [
                    1.0 if scores[query][support] > score else 0.5 * (scores[query][support] == score)
                    for score in wrong
                ]
                found *= sum(beaten) / len(beaten)
            hits.append(found)
        if hits:
            of_queries.append(sum(hits) / len(hits))
    return sum(of_queries) / len(of_queries)


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("step", [0.0, 0.5])  # rounded scores are often alike
def test_one_shot_accuracy_is_that_of_all_choices_of_supports(classes: int, step: float) -> None:
    labels = np.arange(5 * classes) % classes
    groups = np.arange(5 * classes) % 7
    scores = random(1, len(labels), len(labels)).double().numpy()
    scores = np.round(scores / step) * step if step else scores
    found = one_shot_accuracy(scores, labels, groups)
    assert found == pytest.approx(accuracy_by_loops(scores, labels.tolist(), groups.tolist()))
    assert one_shot_accuracy(np.zeros_like(scores), labels, groups) == pytest.approx(0.5 ** (classes - 1))
    perfect = (labels[:, None] == labels).astype(float)
    assert one_shot_accuracy(perfect, labels, groups) == 1
    assert one_shot_accuracy(perfect, labels, np.where(labels == 0, 0, groups)) == 1  # class 0 has no query


def choice_by_loops(levels: list[Tensor], labels: list[int], groups: list[int]) -> float:
    """Hold out all threes of classes, whiten by the metric of the others, and count."""
    reached = dict.fromkeys(SHRINKAGES, 0.0)
    for held_out in combinations(sorted(set(labels)), 3):
        held = [row for row, label in enumerate(labels) if label in held_out]
        others = [row for row, label in enumerate(labels) if label not in held_out]
        for shrinkage in SHRINKAGES:
            total = np.zeros((len(held), len(held)))
            for vectors in levels:
                seen = vectors[others]
                metric = metric_by_loops(seen, torch.tensor([labels[row] for row in others]), shrinkage, 200)
                apart = (vectors[held] - seen.mean(dim=0)).numpy()
                products = apart @ metric @ apart.T
                cosines = products / np.sqrt(np.outer(products.diagonal(), products.diagonal()))
                total += cosines / cosines.std(ddof=1)
            reached[shrinkage] += accuracy_by_loops(total, [labels[row] for row in held], [groups[row] for row in held])
    return max(SHRINKAGES, key=lambda shrinkage: reached[shrinkage])


def world(seed: int, nuisance: float, *, classes: int = 6, videos: int = 4) -> tuple[list[Tensor], Tensor, list[str]]:
    """Two levels (V, 20) of classes, each filmed with the same people, who add `nuisance` times what a class does."""
    labels, people = (
        part.flatten() for part in torch.meshgrid(torch.arange(classes), torch.arange(videos), indexing="ij")
    )
    levels = []
    for level in range(2):
        centres, of_people = random(seed + level, classes, 20), random(seed + 10 + level, videos, 20)
        noise = 0.7 * random(seed + 20 + level, classes * videos, 20)
        levels.append((centres[labels] + nuisance * of_people[people] + noise).double())
    return levels, labels, [f"person {person}" for person in people.tolist()]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("nuisance", [0.0, 10.0])
def test_the_choice_is_that_of_loops(seed: int, nuisance: float) -> None:
    levels, labels, people = world(seed, nuisance)
    numbers = [int(person.split()[1]) for person in people]
    assert choose_shrinkage(levels, labels, people) == choice_by_loops(levels, labels.tolist(), numbers)


def test_what_persons_add_is_divided_away() -> None:
    """Where people differ far more than classes the covariance is shrunk least, else more."""
    chosen = [np.mean([choose_shrinkage(*world(seed, nuisance)) for seed in range(8)]) for nuisance in (0.0, 10.0)]
    assert chosen[1] < chosen[0] / 3


def test_the_choice_knows_neither_scale_nor_numbers_nor_other_names() -> None:
    levels, labels, people = world(0, 3.0)
    expected = choose_shrinkage(levels, labels, people)
    assert (
        choose_shrinkage([100 * levels[0] + 7, levels[1]], 3 * labels + 5, [f"{name}!" for name in people]) == expected
    )


@pytest.mark.parametrize("kind", ["three classes", "one video a class", "no videos differ"])
def test_too_little_to_choose_by_leaves_the_shrinkage_as_it_is(kind: str) -> None:
    levels, labels, people = world(0, 10.0, classes=3 if kind == "three classes" else 6)
    if kind == "one video a class":
        rows = torch.arange(0, len(labels), 4)
        levels, labels, people = [level[rows] for level in levels], labels[rows], [people[row] for row in rows]
    if kind == "no videos differ":
        assert choose_shrinkage([torch.ones_like(level) for level in levels], labels, people) in SHRINKAGES
    else:
        assert choose_shrinkage(levels, labels, people) == SHRINKAGE


def test_videos_of_unknown_groups_are_each_their_own() -> None:
    levels, labels, _ = world(1, 10.0)
    each = [f"film {row}" for row in range(len(labels))]
    expected = choose_shrinkage(levels, labels, each)
    assert choose_shrinkage(levels, labels, [""] * len(labels)) == expected
    assert choose_shrinkage(levels, labels, [f"class {label}" for label in labels]) == expected  # none has two groups


def test_of_many_classes_and_videos_some_choose() -> None:
    levels, labels, people = world(2, 10.0, classes=60, videos=8)
    chosen = choose_shrinkage(levels, labels, people)
    assert chosen in SHRINKAGES and chosen == choose_shrinkage(levels, labels, people)
