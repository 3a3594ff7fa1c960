"""Batches are balanced, and follow from seed and step alone."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hcl.extract.system.errors import InputError
from hcl.train.data.sampler import ClassBalancedSampler, draw_evenly

MakeSampler = Callable[..., ClassBalancedSampler]


@pytest.mark.parametrize(("classes", "videos"), [(2, 1), (3, 2), (4, 5), (9, 2)])
def test_every_batch_is_balanced_and_without_repetition(
    sampler: MakeSampler, labels: NDArray[np.int64], classes: int, videos: int
) -> None:
    made = sampler(classes_per_batch=classes, videos_per_class=videos)
    assert made.classes_per_batch == min(classes, 4) and made.batch_size == min(classes, 4) * videos
    for step in range(20):
        samples = made.samples(step)
        assert len(set(samples.tolist())) == len(samples) == made.batch_size
        _, counts = np.unique(labels[samples], return_counts=True)
        assert (counts == videos).all()


def test_a_step_draws_the_same_whatever_came_before(sampler: MakeSampler) -> None:
    forwards, backwards = sampler(), sampler()
    expected = [forwards.samples(step) for step in range(6)]
    for step in reversed(range(6)):
        np.testing.assert_array_equal(backwards.samples(step), expected[step])
    assert any((sampler(seed=1).samples(step) != expected[step]).any() for step in range(6))
    assert any((expected[step] != expected[0]).any() for step in range(1, 6))


def test_every_class_and_video_is_drawn_in_time(sampler: MakeSampler, labels: NDArray[np.int64]) -> None:
    samples = np.concatenate([sampler().samples(step) for step in range(60)])
    assert set(samples.tolist()) == set(range(len(labels)))


def test_views_are_drawn_for_each_sample_from_those_that_there_are(sampler: MakeSampler) -> None:
    views = [sampler().views(step, 3) for step in range(20)]
    assert all(of_step.shape == (6,) for of_step in views) and set(np.concatenate(views).tolist()) == {0, 1, 2}
    assert not sampler().views(5, 1).any()
    np.testing.assert_array_equal(sampler().views(7, 3), views[7])


def test_classes_with_too_few_videos_are_left_out_by_name(sampler: MakeSampler) -> None:
    labels = np.array([0, 0, 1, 2, 2, 2], dtype=np.int64)
    made = sampler(labels)
    assert (made.left_out, made.classes_per_batch) == (("jump", "wave"), 2)
    assert not set(made.samples(0).tolist()) & {2}
    with pytest.raises(InputError, match=r"found 1 \(run 2, jump 1, sit 3, wave 0\); .*lower --videos-per-class"):
        sampler(labels, videos_per_class=3)


def test_one_set_is_drawn_as_if_there_were_no_sets(sampler: MakeSampler, labels: NDArray[np.int64]) -> None:
    """By numpy's plain draws: classes first, then videos class by class."""
    for step in range(10):
        rng = np.random.default_rng([0, step])
        expected = [
            rng.choice(np.flatnonzero(labels == label), size=2, replace=False)
            for label in rng.choice(4, size=3, replace=False)
        ]
        for sets in (None, np.full_like(labels, 3)):
            np.testing.assert_array_equal(sampler(sets=sets).samples(step), np.concatenate(expected))


def of_sizes(*classes: int, videos: int = 2) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels and sets of videos: so many classes in each set."""
    sets = np.repeat(np.arange(len(classes)), np.array(classes) * videos)
    return np.repeat(np.arange(sum(classes)), videos), sets


@pytest.mark.parametrize(
    ("classes", "drawn", "of_each"),
    [
        ((3, 9), 4, {(2, 2)}),
        ((3, 9), 8, {(3, 5)}),  # the smaller set gives all it has
        ((3, 9), 5, {(2, 3), (3, 2)}),  # who gives one more is drawn
        ((1, 9), 2, {(1, 1)}),
        ((3, 9), 99, {(3, 9)}),
        ((4, 4, 4), 4, {(2, 1, 1), (1, 2, 1), (1, 1, 2)}),
    ],
)
def test_each_step_takes_its_classes_evenly_from_the_sets(
    classes: tuple[int, ...], drawn: int, of_each: set[tuple[int, ...]]
) -> None:
    labels, sets = of_sizes(*classes)
    names = [f"class {number}" for number in range(sum(classes))]
    made = ClassBalancedSampler(labels, names, classes_per_batch=drawn, videos_per_class=2, seed=0, sets=sets)
    counts, seen = set(), set[int]()
    for step in range(60):
        samples = made.samples(step)
        np.testing.assert_array_equal(samples, made.samples(step))
        assert len(set(samples.tolist())) == len(samples) == made.batch_size
        counts.add(tuple((np.bincount(sets[samples], minlength=len(classes)) // 2).tolist()))
        seen |= set(labels[samples].tolist())
    assert counts == of_each and seen == set(range(sum(classes)))


def test_videos_of_a_class_in_two_sets_come_evenly_from_both() -> None:
    """Class 0 has one video in set 0 and five in set 1; classes 1 and 2 are in one set each."""
    labels = np.array([0] * 6 + [1] * 3 + [2] * 3, dtype=np.int64)
    sets = np.array([0] + [1] * 5 + [0] * 3 + [1] * 3, dtype=np.int64)
    made = ClassBalancedSampler(labels, "abc", classes_per_batch=3, videos_per_class=2, seed=0, sets=sets)
    for step in range(10):
        samples = made.samples(step)
        assert sorted(sets[samples[labels[samples] == 0]]) == [0, 1]
        assert np.bincount(sets[samples]).tolist() == [3, 3]


@pytest.mark.parametrize("sizes", [(1,), (5,), (1, 1), (1, 7), (4, 4), (0, 3), (2, 9, 5), (1, 1, 1, 30)])
def test_draws_are_even_as_far_as_the_groups_reach(sizes: tuple[int, ...]) -> None:
    """A group that gives less than another by more than one gives all it has."""
    ends = np.cumsum(sizes)
    groups = [np.arange(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    for count in range(sum(sizes) + 1):
        drawn = draw_evenly(groups, count, np.random.default_rng(count))
        counts = [len(set(drawn.tolist()) & set(group.tolist())) for group in groups]
        assert len(drawn) == sum(counts) == count
        assert all(given == size or given >= max(counts) - 1 for given, size in zip(counts, sizes, strict=True))
