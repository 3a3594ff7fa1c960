"""A video as a person gives it, and what becomes of it: embeddings, or the reason why there are none."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hcl.extract.catalog.videos import readable
from hcl.extract.decoding.source import Source
from hcl.extract.decoding.views import draw_views, show_views
from hcl.extract.decoding.worker import Decoded, DecodeTask, Failed
from hcl.extract.video.frames import VideoFrames
from hcl.match.store.batch import EmbeddedBatch

Video = str | os.PathLike[str] | NDArray[np.uint8]  # a file, a folder of frames, or frames (T, H, W, 3) RGB


@dataclass(frozen=True)
class EmbeddedVideo:
    """The embeddings of one video."""

    number: int  # its place among those given
    name: str  # its path, or "frames 0" for the first of those given as an array
    batch: EmbeddedBatch  # of this video alone
    content: str  # SHA-256 of its source, in hexadecimal
    frame_count: int  # frames that it shows


@dataclass(frozen=True)
class BrokenVideo:
    """A video that cannot be read, and why."""

    number: int
    name: str
    reason: str
    content: str = ""


def name_of(number: int, video: Video) -> str:
    """What a video is called: its path as text, or its place."""
    return readable(os.fspath(video)) if isinstance(video, str | os.PathLike) else f"frames {number}"


def is_path(video: Video) -> bool:
    """Whether a video is named by its path."""
    return isinstance(video, str | os.PathLike)


def decode_array(number: int, frames: object, task: DecodeTask) -> Decoded | Failed:
    """Do with an array of frames what a worker does with a file.

    Args:
        number: that the result bears
        frames: (T, H, W, 3) uint8 RGB, upright
        task: what is done with each video
    """
    images = np.asarray(frames)
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8 or 0 in images.shape:
        found = f"{images.dtype} {images.shape}"
        return Failed(number, f"expected frames (T, H, W, 3) of uint8, or a path; got an array of {found}")
    images = np.ascontiguousarray(images)
    content = hashlib.sha256(f"{images.shape}".encode() + images.tobytes()).hexdigest()
    video = VideoFrames(images, tuple(range(len(images))), len(images), "array")
    views = draw_views(task.views, frames=task.frames, frame_count=len(images), content=content)
    return Decoded(number, show_views(video, views, task.size), len(images), "array", Source(content, images.nbytes))


def as_path(video: Video) -> Path:
    """The path that a video is."""
    if not isinstance(video, str | os.PathLike):
        raise ValueError(f"{type(video)} is no path")
    return Path(video)
