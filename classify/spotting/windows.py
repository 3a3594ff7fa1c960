"""Sliding windows: how long they are, where they lie, and what each shows of a stream of maps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcl.extract.decoding.sampling import Grid

DEFAULT_LENGTHS = (1.0, 2.0, 4.0)  # seconds, where nothing is known of the supports
RATIO = 1.5  # of one length to the next: an action is at most 1.22 times as long, or as short, as the nearest window
EXTREMES = (0.1, 0.9)  # quantiles of the supports' durations between which windows lie
SHORTEST = 0.2  # seconds


@dataclass(frozen=True)
class MappedSample:
    """The map of an instant of a grid."""

    grid: int
    number: int
    maps: NDArray[np.float16]  # (P, C)


@dataclass(frozen=True)
class Window:
    """A part of a long video, as a clip of its own."""

    start: float  # seconds
    end: float
    maps: NDArray[np.float16]  # (T, P, C)


def window_lengths(durations: Sequence[float]) -> tuple[float, ...]:
    """Choose lengths between the short and the long supports, each RATIO times the one before it.

    Args:
        durations: of the supports, in seconds; those that are not above 0 are left out

    Returns:
        ascending seconds, to a hundredth; DEFAULT_LENGTHS where no duration is known
    """
    known = [duration for duration in durations if duration > 0]
    if not known:
        return DEFAULT_LENGTHS
    low, high = (max(SHORTEST, float(value)) for value in np.quantile(known, EXTREMES))
    count = int(np.ceil(np.log(high / low) / np.log(RATIO) - 1e-9)) + 1
    spread = np.geomspace(low, high, count) if count > 1 else np.array([np.sqrt(low * high)])
    return tuple(round(float(length), 2) for length in spread)


def stride_in_segments(stride: float, frames: int) -> int:
    """The step of windows in whole segments of the grid.

    Args:
        stride: as a share of the window's length
        frames: T, segments of a window

    Returns:
        the nearest number of segments from 1 to T
    """
    return min(frames, max(1, round(stride * frames)))


def sliding_windows(samples: Iterable[MappedSample], grids: Sequence[Grid], *, stride: float) -> Iterator[Window]:
    """Put the maps of instants together to windows; each is given as soon as its last instant is there.

    A window's last middle lies in the video; its end may pass the video's by half a segment. No more than one window of
    each length is held.

    Args:
        samples: those of each grid in order
        grids: one for each length
        stride: as a share of the window's length
    """
    held: list[deque[NDArray[np.float16]]] = [deque(maxlen=grid.frames) for grid in grids]
    for sample in samples:
        grid, of_grid = grids[sample.grid], held[sample.grid]
        of_grid.append(sample.maps)
        first = sample.number - grid.frames + 1
        if first >= 0 and first % stride_in_segments(stride, grid.frames) == 0:
            start = first * grid.segment
            yield Window(start, start + grid.length, np.stack(of_grid))
