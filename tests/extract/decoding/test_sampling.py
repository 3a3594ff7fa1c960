"""Sampled frames are those that an extraction takes of a clip; neighbours equal a loop; memory does not grow."""

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from hcl.extract.decoding.sampling import Grid, Sample, StreamEnd, TimedFrame, nearest, sample_stream
from hcl.extract.decoding.views import difference_image, frames_around
from hcl.extract.video.frames import middle_frames


def picture(number: int) -> np.ndarray:
    return np.full((2, 2, 3), number % 256, np.uint8)


def frames_at(stamps: list[float]) -> Iterator[TimedFrame]:
    for number, seconds in enumerate(stamps):
        yield TimedFrame(number, seconds, lambda number=number: picture(number))


def sampled(stamps: list[float], grids: list[Grid], *, motion: bool = True, last: float = 0.1) -> list[Sample]:
    messages = list(sample_stream(frames_at(stamps), grids, motion=motion, is_brightened=False, last=lambda: last))
    assert isinstance(messages[-1], StreamEnd)
    return [message for message in messages if isinstance(message, Sample)]


@pytest.mark.parametrize(
    ("rate", "length", "frames"), [(30, 2.0, 8), (25, 1.6, 8), (24, 4.0, 8), (10, 2.0, 4), (50, 1.28, 8)]
)
def test_windows_that_begin_with_a_frame_see_what_an_extraction_of_the_clip_sees(
    rate: int, length: float, frames: int
) -> None:
    grid, count = Grid(length, frames), round(length * rate)
    found = {sample.number: sample for sample in sampled([k / rate for k in range(4 * count)], [grid])}
    for first in range(0, 2 * frames, frames // 2):
        offset = first * count // frames
        if first * count % frames:  # the window begins between two frames
            continue
        chosen = middle_frames(count, frames)
        around = frames_around(chosen, count)
        for place, (middle, (before, after)) in enumerate(zip(chosen, around, strict=True)):
            sample = found[first + place]
            assert sample.frames == tuple(offset + number for number in (middle, before, after))
            expected = difference_image(picture(offset + before), picture(offset + after))
            np.testing.assert_array_equal(sample.images, np.stack((picture(offset + middle), expected)))


@pytest.mark.parametrize("motion", [True, False])
def test_samples_of_a_varying_rate_equal_a_loop_over_all_frames(motion: bool) -> None:
    rng = np.random.default_rng(0)
    stamps = np.cumsum(rng.uniform(0.001, 0.3, 80)).round(3).tolist()
    grids = [Grid(1.0, 8), Grid(3.0, 4)]
    end = stamps[-1] + 0.5
    found = sampled(stamps, grids, motion=motion, last=0.5)
    assert all(len(sample.images) == (2 if motion else 1) for sample in found)
    for place, grid in enumerate(grids):
        expected = []
        for number in range(10_000):
            if grid.instant(number) + 1e-3 >= end:
                break
            shown = max([k for k, s in enumerate(stamps) if s <= grid.instant(number) + 1e-3], default=0)
            around = by_loop(stamps, shown, -grid.reach), by_loop(stamps, shown, grid.reach)
            expected.append((number, (shown, *around) if motion else (shown,)))
        assert [(sample.number, sample.frames) for sample in found if sample.grid == place] == expected


def by_loop(stamps: list[float], place: int, shift: float) -> int:
    best = place
    for other, seconds in enumerate(stamps):
        if (other - place) * shift <= 0:
            continue
        ahead, held = abs(seconds - stamps[place] - shift), abs(stamps[best] - stamps[place] - shift)
        nearer = round(ahead, 6) < round(held, 6)
        tied = round(ahead, 6) == round(held, 6) and (other - place) % 2 == 0
        if best == place or nearer or tied:
            best = other
    return best


@pytest.mark.parametrize("step", [0.4, 0.5, 1.0, 1.49, 1.5, 1.51, 2.5, 3.5, 7.0])
def test_at_a_constant_rate_the_nearest_frame_is_as_an_extraction_rounds(step: float) -> None:
    stamps = [k / 16 for k in range(40)]
    assert nearest(stamps, 20, step / 16) == 20 + max(1, round(step))
    assert nearest(stamps, 20, -step / 16) == 20 - max(1, round(step))
    assert (nearest(stamps, 0, -1.0), nearest(stamps, 39, 1.0)) == (0, 39)


def test_an_hour_of_video_holds_a_few_frames_at_a_time() -> None:
    alive: weakref.WeakSet[TimedFrame] = weakref.WeakSet()

    def hour() -> Iterator[TimedFrame]:
        for number in range(3600 * 5):
            frame = TimedFrame(number, number / 5, lambda number=number: picture(number))
            alive.add(frame)
            yield frame

    most, count = 0, 0
    for message in sample_stream(
        hour(), [Grid(8.0, 8), Grid(30.0, 8)], motion=True, is_brightened=False, last=lambda: 0.2
    ):
        most, count = max(most, len(alive)), count + isinstance(message, Sample)
    gc.collect()
    assert count == 3600 + 3600 * 8 // 30 and most < 30


def test_a_still_picture_and_a_single_frame_are_shown_to_the_end() -> None:
    assert [sample.frames for sample in sampled([0.0], [Grid(1.0, 4)], last=1.0)] == [(0, 0, 0)] * 4
    still = sampled([0.0, 1.0], [Grid(1.0, 4)], last=0.5)
    assert [sample.frames for sample in still] == [(0, 0, 1)] * 4 + [(1, 0, 1)] * 2


def test_wrong_grids_and_empty_streams_are_refused() -> None:
    for length, frames in ((0.0, 8), (-1.0, 8), (1.0, 0)):
        with pytest.raises(ValueError, match="no grid of"):
            Grid(length, frames)
    with pytest.raises(ValueError, match="without frames"):
        list(sample_stream(iter([]), [Grid(1.0, 2)], motion=False, is_brightened=False, last=lambda: 1.0))
