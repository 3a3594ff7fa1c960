"""Which frames of a stream are sampled, and when: the middles of equal segments of time, and the frames around each.

A clip's frames are the middles of T equal segments. Windows over a long video whose starts lie on segments share these
middles, so that a grid of instants for each length of window serves all windows of that length.

Only so many frames are held as lie between a sampled frame and the frames around it, however long the stream is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hcl.extract.decoding.views import images_of

TOLERANCE = 1e-3  # seconds: containers round time stamps, Matroska to a millisecond


@dataclass(frozen=True)
class Grid:
    """Instants of a stream: the middles of segments, of which `frames` make a window."""

    length: float  # of a window, in seconds
    frames: int  # T

    def __post_init__(self) -> None:
        if self.length <= 0 or self.frames < 1:
            raise ValueError(f"no grid of {self.length = } seconds and {self.frames = }")

    @property
    def segment(self) -> float:
        """Seconds from one instant to the next."""
        return self.length / self.frames

    def instant(self, number: int) -> float:
        """The middle of a segment, in seconds."""
        return (number + 0.5) * self.segment

    @property
    def reach(self) -> float:
        """Seconds from a frame to those around it: a quarter of a segment, as in an extraction."""
        return self.segment / 4


class TimedFrame:
    """A decoded frame, which becomes a small picture only where it is needed.

    Args:
        number: counted from 0
        seconds: when it is shown
        resize: gives its picture (size, size, 3) uint8 RGB
    """

    def __init__(self, number: int, seconds: float, resize: Callable[[], NDArray[np.uint8]]) -> None:
        self.number, self.seconds, self._resize = number, seconds, resize

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """(size, size, 3)"""
        return self._resize()


@dataclass(frozen=True)
class Sample:
    """What an instant of a grid shows."""

    grid: int  # which of the grids
    number: int  # of the instant
    frames: tuple[int, ...]  # the frame, and those before and after it where motion is shown
    images: NDArray[np.uint8]  # (I, size, size, 3): the frame, and its difference image where motion is shown


@dataclass(frozen=True)
class StreamEnd:
    """What follows the last sample."""

    seconds: float  # when the last frame ends
    frame_count: int


def sample_stream(
    frames: Iterable[TimedFrame],
    grids: Sequence[Grid],
    *,
    motion: bool,
    is_brightened: bool,
    last: Callable[[], float],
) -> Iterator[Sample | StreamEnd]:
    """Sample a stream at the instants of some grids; each instant shows the last frame that began by then.

    Args:
        frames: in the order in which they are shown, one or more
        grids: of instants; the samples of each come in order
        motion: whether a difference image goes with each frame
        is_brightened: whether dark frames are
        last: tells, at the end, how many seconds the last frame is shown
    """
    sampler = _Sampler(grids, motion, is_brightened)
    for frame in frames:
        yield from sampler.add(frame)
    yield from sampler.finish(last())


class _Sampler:
    """The frames that may still be needed, and the instants that wait for the frames after them."""

    def __init__(self, grids: Sequence[Grid], motion: bool, is_brightened: bool) -> None:
        self._grids, self._motion, self._is_brightened = grids, motion, is_brightened
        self._kept: deque[TimedFrame] = deque()
        self._next = [0] * len(grids)  # instants
        self._waiting: list[deque[tuple[int, TimedFrame]]] = [deque() for _ in grids]

    def add(self, frame: TimedFrame) -> Iterator[Sample]:
        """Take the next frame, and give the samples that are complete with it."""
        self._show_until(frame.seconds)
        self._kept.append(frame)
        yield from self._complete(frame.seconds)
        self._forget(frame.seconds)

    def finish(self, last: float) -> Iterator[Sample | StreamEnd]:
        """Give the samples that are left."""
        if not self._kept:
            raise ValueError("a stream without frames")
        end = self._kept[-1].seconds + last
        self._show_until(end)
        yield from self._complete(float("inf"))
        yield StreamEnd(end, self._kept[-1].number + 1)

    def _show_until(self, seconds: float) -> None:
        """Let the instants before the next frame show the last one; those before the first frame wait for it."""
        if not self._kept:
            return
        for place, grid in enumerate(self._grids):
            while grid.instant(self._next[place]) + TOLERANCE < seconds:
                self._waiting[place].append((self._next[place], self._kept[-1]))
                self._next[place] += 1

    def _complete(self, seconds: float) -> Iterator[Sample]:
        for place, grid in enumerate(self._grids):
            waiting = self._waiting[place]
            while waiting and (not self._motion or waiting[0][1].seconds + grid.reach <= seconds):
                number, frame = waiting.popleft()
                yield self._sample(place, number, frame)

    def _sample(self, place: int, number: int, frame: TimedFrame) -> Sample:
        around = self._around(frame, self._grids[place].reach) if self._motion else ()
        images = images_of(frame.image, *(other.image for other in around), is_brightened=self._is_brightened)
        return Sample(place, number, tuple(each.number for each in (frame, *around)), images)

    def _around(self, frame: TimedFrame, reach: float) -> tuple[TimedFrame, TimedFrame]:
        stamps, place = [kept.seconds for kept in self._kept], frame.number - self._kept[0].number
        return self._kept[nearest(stamps, place, -reach)], self._kept[nearest(stamps, place, reach)]

    def _forget(self, seconds: float) -> None:
        """Drop frames that no instant, waiting or to come, reaches back to."""
        first = min((each[0][1].seconds for each in self._waiting if each), default=seconds)
        needed = first - max(grid.reach for grid in self._grids)
        while len(self._kept) > 2 and self._kept[1].seconds <= needed:
            self._kept.popleft()


def nearest(stamps: Sequence[float], place: int, shift: float) -> int:
    """Find the frame nearest to some time before or after another, but not that frame itself.

    At a constant rate it is `round(shift * rate)` frames away, and one at least, as `frames_around` of an extraction
    has it: of two that are equally near, the one an even number of frames away.

    Args:
        stamps: (n,) seconds, ascending
        place: of the frame
        shift: seconds, below 0 for a frame before it

    Returns:
        its place; that of the frame itself where there is none in that direction
    """
    candidates = range(place + 1, len(stamps)) if shift > 0 else range(place)
    target = stamps[place] + shift

    def distance(other: int) -> tuple[float, int]:
        return round(abs(stamps[other] - target), 6), abs(other - place) % 2

    return min(candidates, key=distance, default=place)
