"""Which frames of a video stand for it, and what a reader returns."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FrameChoice = Callable[[int], tuple[int, ...]]  # from the number of frames to the indices that are wanted


@dataclass(frozen=True)
class VideoFrames:
    """Frames of one video, and where they come from."""

    images: np.ndarray  # (T, H, W, 3) uint8 RGB, upright
    indices: tuple[int, ...]  # into the frames that the video shows, counted from 0
    frame_count: int  # frames that the video shows
    decoder: str  # "decord", "pyav" or "images"

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[3] != 3:
            raise ValueError(f"expected (T, H, W, 3) uint8, got {self.images.shape} {self.images.dtype}")
        if len(self.images) != len(self.indices):
            raise ValueError(f"{len(self.images)} images for {len(self.indices)} indices")


def middle_frames(frame_count: int, frames: int) -> tuple[int, ...]:
    """Return the middles of `frames` equal segments, floor((i + 1/2) * frame_count / frames), in whole numbers.

    A video with fewer frames than asked repeats some.
    """
    if frame_count < 1 or frames < 1:
        raise ValueError(f"need at least one frame, got {frame_count = } and {frames = }")
    return tuple((2 * i + 1) * frame_count // (2 * frames) for i in range(frames))
