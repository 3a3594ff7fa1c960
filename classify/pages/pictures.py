"""Frames of the videos of a store, read again where the videos are still there, as small pictures within a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hcl.extract.cache.video_table import VideoTable
from hcl.extract.decoding.pool import decode_ahead
from hcl.extract.decoding.worker import Decoded, DecodeTask, Failed
from hcl.match.store.embedding_store import EmbeddingStore

BOX = 90, 120  # width and height that a picture fits into on the page, in its pixels
SHARPNESS = 1.6  # pixels of a picture for each of the page's, for the dense screens of today
READ_SIZE = 192  # pixels, square, that frames are read at
QUALITY = 70  # of JPEG
LARGEST = 12_000  # bytes of a picture; a larger one is made coarser
ALL_PICTURES = 3_300_000  # bytes of the pictures of a page; as text they take a third more
MOST_FRAMES = 8  # of a video that are shown
FOLDERS_TRIED = 200  # in which videos are looked for
GONE = "the video is not there"


@dataclass(frozen=True)
class Strip:
    """The frames of a video as they are shown, or why they are not."""

    frames: tuple[int, ...] = ()  # their places among the T frames, from 0
    pictures: tuple[str, ...] = ()  # data URIs of JPEG files
    size: tuple[int, int] = BOX  # width and height on the page, in its pixels
    problem: str = ""


def read_strips(
    store: EmbeddingStore, rows: Sequence[int], *, frames: int, folder: Path | None, most: int = ALL_PICTURES
) -> dict[int, Strip]:
    """Read the frames of some videos of a store in worker processes, within the limits of an extraction.

    A file is shown only if its bytes are those that the store's embeddings were made of.

    Args:
        store: of the videos
        rows: of the store
        frames: T, of each video
        folder: that the paths of the videos are relative to; None: looked for beside the cache and in this folder
        most: bytes that all pictures together may take

    Returns:
        a strip for each row
    """
    videos = store.videos
    home = folder or find_folder(store, rows)
    there = {row: home / videos.path[row] for row in rows if home is not None and (home / videos.path[row]).exists()}
    strips = {row: Strip(problem=GONE) for row in rows}
    largest = min(LARGEST, most // max(1, len(there) * min(frames, MOST_FRAMES)))
    task = DecodeTask(frames=frames, size=READ_SIZE, decoder="auto")
    with closing(decode_ahead(list(there.items()), task)) as results:
        for result in results:
            strips[result.row] = strip_of(result, videos, largest)
    return strips


def strip_of(result: Decoded | Failed, videos: VideoTable, largest: int = LARGEST) -> Strip:
    """Make the pictures of a video that was read, each of at most `largest` bytes."""
    if isinstance(result, Failed):
        return Strip(problem=f"the video cannot be read: {result.reason}")
    if not result.source.content or result.source.content != videos.content[result.row]:
        return Strip(problem="another file stands in its place: its SHA-256 is not the recorded one")
    images = result.images[0, :, 0]  # (T, size, size, 3)
    chosen = shown_frames(len(images))
    size = fitting_size(*result.shape)
    return Strip(chosen, tuple(data_uri(images[place], size, largest) for place in chosen), size)


def shown_frames(count: int) -> tuple[int, ...]:
    """Which of T frames are shown: all of them, or MOST_FRAMES evenly spaced ones."""
    if count <= MOST_FRAMES:
        return tuple(range(count))
    return tuple((2 * place + 1) * count // (2 * MOST_FRAMES) for place in range(MOST_FRAMES))


def fitting_size(height: int, width: int) -> tuple[int, int]:
    """Width and height of a picture on the page that fits into BOX and keeps the aspect ratio of a frame."""
    share = min(BOX[0] / width, BOX[1] / height)
    return max(1, round(share * width)), max(1, round(share * height))


def data_uri(image: NDArray[np.uint8], size: tuple[int, int], largest: int = LARGEST) -> str:
    """A picture as a data URI of a JPEG file: coarser, then smaller, until it has at most `largest` bytes.

    Args:
        image: (H, W, 3) RGB
        size: width and height on the page
        largest: bytes
    """
    for share, quality in ((SHARPNESS, QUALITY), (1, 50), (1, 20), (0.5, 20), (0.25, 20)):
        width, height = (max(1, round(share * side)) for side in size)
        picture = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=quality, optimize=True)
        if stream.tell() <= largest:
            break
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def find_folder(store: EmbeddingStore, rows: Sequence[int]) -> Path | None:
    """The folder that holds most of some videos: beside the cache, this folder, or a folder in either; None if none."""
    best, most = None, 0
    for folder in islice(_folders(store.attributes), FOLDERS_TRIED):
        found = sum((folder / store.videos.path[row]).exists() for row in rows)
        if found > most:
            best, most = folder, found
    return best


def _folders(attributes: Mapping[str, object]) -> Iterator[Path]:
    origin = attributes.get("origin")
    cache = origin.get("cache") if isinstance(origin, dict) else None
    roots = [*([Path(cache).parent] if isinstance(cache, str) else []), Path()]
    yield from roots
    for root in roots:
        if root.is_dir():
            yield from (entry for entry in sorted(root.iterdir()) if entry.is_dir() and not entry.name.startswith("."))
