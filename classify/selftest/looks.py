"""What the decoded frames of a clip say of it: too short, dark, blank or still."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hcl.extract.decoding.exposure import gain_of
from hcl.extract.decoding.pool import decode_ahead
from hcl.extract.decoding.worker import Decoded, DecodeTask

DARK = 24.0  # of 255: a clip whose bright parts are darker shows nothing
BLANK = 4.0  # grey levels of spread within its frames: a clip with less shows no thing
STILL = 0.75  # grey levels by which frames differ in their most moving part: noise of a codec differs less
CELLS = 8  # rows and columns of the parts in which movement is looked for
BRIGHT = 99  # percentile
SMALL = 14  # rows and columns of the small picture


@dataclass(frozen=True)
class Look:
    """What is measured of the frames of one clip; grey levels of 0 to 255."""

    frame_count: int  # frames that it shows
    brightness: float  # of its bright parts
    spread: float  # standard deviation within its frames
    movement: float  # mean difference of frames one after the other, in the part that moves most
    gain: float = 1.0  # by which its frames are brightened before they are mapped
    course: NDArray[np.float32] = field(
        default_factory=lambda: np.zeros(0, np.float32), compare=False
    )  # see `course_of`

    def problems(self, frames: int) -> tuple[str, ...]:
        """Why it says nothing, in words; none if it does.

        Of a clip that is brightened less is asked, by the root of the factor: what it shows grows with the factor, and
        so does its noise.

        Args:
            frames: that are taken of each clip
        """
        found, less = [], self.gain**0.5
        if self.frame_count < frames:
            found.append(f"too short: {self.frame_count} frames, {frames} are taken of each clip")
        if self.brightness < DARK / less:
            found.append(f"black: its bright parts reach {self.brightness:.0f} of 255")
        elif self.spread < BLANK / less:
            found.append(f"blank: its pictures vary by {self.spread:.1f} of 255")
        elif self.movement < STILL / less and self.frame_count > 1:
            found.append(f"still: nothing moves (frames differ by {self.movement:.2f} of 255)")
        return tuple(found)


def look_at(images: NDArray[np.uint8], frame_count: int, *, is_brightened: bool) -> Look:
    """Measure the frames of a clip.

    Args:
        images: (T, H, W, 3) RGB, in their order, as they are
        frame_count: frames that the clip shows
        is_brightened: whether dark frames are before they are mapped
    """
    grey = images.astype(np.float32).mean(axis=3)  # (T, H, W)
    return Look(
        frame_count,
        brightness=float(np.percentile(grey, BRIGHT)),
        spread=float(grey.std(axis=(1, 2)).max()),
        movement=_movement(grey),
        gain=gain_of(images) if is_brightened else 1.0,
        course=course_of(grey),
    )


def course_of(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """How a small picture of the clip changes over its frames, by which two files of one clip are known.

    Args:
        grey: (T, H, W)

    Returns:
        (T * SMALL * SMALL,) without the mean over the frames, which takes of one person share
    """
    rows = [part.mean(axis=1) for part in np.array_split(grey, SMALL, axis=1)]  # SMALL of (T, W)
    small = np.stack([part.mean(axis=2) for part in np.array_split(np.stack(rows, axis=1), SMALL, axis=2)], axis=2)
    return np.asarray((small - small.mean(axis=0)).ravel(), dtype=np.float32)


def _movement(grey: NDArray[np.float32]) -> float:
    """The largest mean difference of neighbouring frames over the parts of a picture: (T, H, W)."""
    if len(grey) < 2:
        return 0.0
    differences = np.abs(np.diff(grey, axis=0)).mean(axis=0)  # (H, W)
    rows = np.array_split(differences, min(CELLS, len(differences)), axis=0)
    cells = [cell.mean() for row in rows for cell in np.array_split(row, min(CELLS, row.shape[1]), axis=1)]
    return float(max(cells))


def look_at_files(files: Sequence[Path], task: DecodeTask, *, workers: int = 0) -> Iterator[Look | None]:
    """Decode files and measure them, in their order; None for one that cannot be read.

    Args:
        files: or folders of frames
        task: by which they are embedded; looked at are the frames of its first view, as they are
        workers: processes; 0: one per core
    """
    as_they_are = replace(task, views=replace(task.views, views=1, motion="none", is_brightened=False))
    with closing(decode_ahead(list(enumerate(files)), as_they_are, workers=workers)) as decoded:
        for each in decoded:
            if isinstance(each, Decoded):
                yield look_at(each.images[0, :, 0], each.frame_count, is_brightened=task.views.is_brightened)
            else:
                yield None


def readable_files(sources: Sequence[str]) -> Mapping[int, Path]:
    """The files of clips that are still there, by the place of the clip."""
    return {place: Path(source) for place, source in enumerate(sources) if source and Path(source).exists()}
