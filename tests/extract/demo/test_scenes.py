"""The frames of a drawn video: alike for one generator, as announced, and moving."""

import itertools

import numpy as np

from hcl.extract.demo.backgrounds import PLACES
from hcl.extract.demo.classes import CLASSES
from hcl.extract.demo.scenes import draw_video


def test_same_generator_draws_the_same_frames() -> None:
    drawn = [list(draw_video(CLASSES[9], PLACES[2], np.random.default_rng(4)).frames) for _ in range(2)]
    other = next(draw_video(CLASSES[9], PLACES[2], np.random.default_rng(5)).frames)
    assert all((one == two).all() for one, two in zip(*drawn, strict=True))
    assert other.shape != drawn[0][0].shape or (other != drawn[0][0]).any()


def test_frames_are_as_announced_and_move() -> None:
    video = draw_video(CLASSES[0], PLACES[0], np.random.default_rng(0))
    frames = list(video.frames)
    assert 1.4 * video.rate < len(frames) < 4 * video.rate
    assert {frame.shape for frame in frames} == {(video.height, video.width, 3)}
    assert all((one != two).any() for one, two in itertools.pairwise(frames))
