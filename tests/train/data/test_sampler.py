"""Batches are balanced, and follow from seed and step alone."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hcl.extract.system.errors import InputError
from hcl.train.data.sampler import ClassBalancedSampler

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
