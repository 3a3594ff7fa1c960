"""Read frames with decord, where its answer can be trusted."""

import importlib
import importlib.metadata
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from hcl.extract.system.errors import VideoError
from hcl.extract.video.frames import FrameChoice, VideoFrames
from hcl.extract.video.packet_index import PacketIndex

# Formats that decord's FFmpeg and PyAV's turn into the same RGB bytes, and codecs that both know.
_SAME_COLOURS = ("yuv420p", "yuvj420p")
_CODECS = ("h264", "hevc", "vp8", "vp9")


@cache
def decord_module() -> ModuleType | None:
    """Return the module named decord, told to be quiet, or None where there is none."""
    try:
        decord = importlib.import_module("decord")
        decord.logging.set_level(decord.logging.QUIET)
    except (ImportError, OSError, AttributeError):
        return None
    return decord


def decord_version() -> str:
    """Return which distribution gives the module named decord (decord2 does, too), with its version; "" if none."""
    if decord_module() is None:
        return ""
    # Installed over each other, the files are those of the later one; its version tells which one that was.
    names = importlib.metadata.packages_distributions().get("decord", [])
    found = [f"{name} {importlib.metadata.version(name)}" for name in sorted(set(names))]
    loaded = getattr(decord_module(), "__version__", "of unknown version")
    return next((name for name in found if name.endswith(f" {loaded}")), f"decord {loaded}")


def decord_inexact_reason(index: PacketIndex) -> str:
    """Say why decord may be wrong on a file; "" if it is exact.

    decord takes the rank of a key frame's packet for the rank of its frame, counts packets for frames, and knows
    rotation, but not mirroring.
    """
    if index.flaw:
        return index.flaw
    faults = {
        f"decord may not know {index.codec}": index.codec not in _CODECS,
        f"decord turns {index.pixel_format} into other colours": index.pixel_format not in _SAME_COLOURS,
        "key frames are not clean starts (open GOP)": index.entries != index.keys,
        "decord gets the colours of an odd height wrong": any(side % 2 for side in _heights(index)),
        "mirrored": index.mirrored,
        "rotated outside mp4": bool(index.rotation) and index.container != "mov",
    }
    return next((fault for fault, found in faults.items() if found), "")


def _heights(index: PacketIndex) -> tuple[int, ...]:
    """Return the heights that a frame has on its way: it is turned before its colours are converted."""
    return index.size if index.rotation else index.size[:1]


def read_with_decord(path: Path, choose: FrameChoice, index: PacketIndex | None = None) -> VideoFrames:
    """Read the chosen frames of a video, counting them as decord does.

    Args:
        index: what decord has to find in the file, too

    Raises:
        VideoError: decord cannot read the file, or finds something else
    """
    decord = decord_module()
    if decord is None:
        raise VideoError("decord is not installed")
    try:
        reader = decord.VideoReader(str(path.absolute()), num_threads=1)
        if index and not _agrees(reader, index):
            raise VideoError("decord sees other frames than FFmpeg's demuxer")
        indices = choose(len(reader))
        distinct = tuple(sorted(set(indices)))
        images = reader.get_batch(distinct).asnumpy()
    except (decord.DECORDError, RuntimeError, ValueError) as error:
        raise VideoError("decord cannot read the file") from error
    if index and images.shape[1:3] != (index.size[::-1] if index.rotation % 180 else index.size):
        raise VideoError("decord sees frames of another size")
    if indices != distinct:
        images = images[np.searchsorted(distinct, indices)]
    return VideoFrames(images, indices, len(reader), "decord")


def _agrees(reader: Any, index: PacketIndex) -> bool:
    """Return whether decord has the same packets, key frames and times."""
    if len(reader) != len(index.pts) or tuple(reader.get_key_indices()) != index.keys:
        return False
    times = np.sort(np.array(index.seconds))
    return bool(
        np.allclose(reader.get_frame_timestamp(range(len(times)))[:, 0], times - times[0], atol=2e-3, rtol=1e-6)
    )
