"""Windows over a stream of maps equal slices of all maps; lengths cover the supports; nothing grows with time."""

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from hcl.classify.spotting.windows import (
    DEFAULT_LENGTHS,
    MappedSample,
    sliding_windows,
    stride_in_segments,
    window_lengths,
)
from hcl.extract.decoding.sampling import Grid


class Counted(np.ndarray):
    """An array that can be counted while it lives."""


def maps_of(grid: int, number: int) -> np.ndarray:
    return np.full((2, 3), 100 * grid + number, np.float16).view(Counted)


def samples(counts: list[int]) -> Iterator[MappedSample]:
    for number in range(max(counts)):
        for grid, count in enumerate(counts):
            if number < count:
                yield MappedSample(grid, number, maps_of(grid, number))


@pytest.mark.parametrize("stride", [0.01, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("counts", [[3, 2], [4, 8], [19, 7]])
def test_windows_equal_slices_of_all_maps(stride: float, counts: list[int]) -> None:
    grids = [Grid(1.0, 4), Grid(3.0, 8)]
    expected = []
    for place, (grid, count) in enumerate(zip(grids, counts, strict=True)):
        step = stride_in_segments(stride, grid.frames)
        for first in range(0, count - grid.frames + 1, step):
            maps = np.stack([maps_of(place, first + k) for k in range(grid.frames)])
            expected.append((first * grid.length / grid.frames, grid.length, maps))
    found = list(sliding_windows(samples(counts), grids, stride=stride))
    assert len(found) == len(expected)
    for start, length, maps in expected:
        same = [each for each in found if each.start == start and each.end == pytest.approx(start + length)]
        assert any(each.maps.shape == maps.shape and (each.maps == maps).all() for each in same)


@pytest.mark.parametrize(
    ("stride", "frames", "step"), [(0.25, 8, 2), (0.01, 8, 1), (1.0, 8, 8), (0.5, 1, 1), (0.3, 8, 2)]
)
def test_a_stride_is_whole_segments(stride: float, frames: int, step: int) -> None:
    assert stride_in_segments(stride, frames) == step


def test_windows_of_an_hour_hold_the_maps_of_one_window_of_each_length() -> None:
    alive: weakref.WeakValueDictionary[int, Counted] = weakref.WeakValueDictionary()

    def hour() -> Iterator[MappedSample]:
        for number in range(3600):
            maps = maps_of(0, number % 7)
            alive[number] = maps
            yield MappedSample(0, number, maps)

    most, count = 0, 0
    for _ in sliding_windows(hour(), [Grid(8.0, 8)], stride=0.25):
        gc.collect(0)
        most, count = max(most, len(alive)), count + 1
    assert count == (3600 - 8) // 2 + 1 and most <= 10


def test_lengths_lie_between_short_and_long_supports() -> None:
    durations = np.random.default_rng(0).uniform(1.5, 6.0, 50).tolist()
    lengths = window_lengths(durations)
    low, high = np.quantile(durations, (0.1, 0.9))
    assert lengths[0] == pytest.approx(low, abs=0.01) and lengths[-1] == pytest.approx(high, abs=0.01)
    assert all(1 < long / short < 1.51 for short, long in zip(lengths, lengths[1:], strict=False))
    assert window_lengths([2.0, 2.0, 2.0]) == (2.0,) and window_lengths([3.0]) == (3.0,)
    assert window_lengths([]) == window_lengths([0.0, -1.0]) == DEFAULT_LENGTHS
    assert window_lengths([0.01, 0.02]) == (0.2,)
