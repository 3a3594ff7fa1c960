"""Read a video's frames by decoding it from its first frame to its last with PyAV: slow and right."""

from pathlib import Path

import av
import numpy as np

from hcl.extract.errors import VideoError
from hcl.extract.frames import VideoFrames, middle_frames


def read_sequentially(path: Path, frames: int) -> VideoFrames:
    """Read the middle frames of a video."""
    try:
        count = sum(1 for _ in _decoded(path))
        if count == 0:
            raise VideoError("the video stream holds no frame that can be decoded")
        indices = middle_frames(count, frames)
        wanted = set(indices)
        images = {i: _upright(frame) for i, frame in enumerate(_decoded(path)) if i in wanted}
    except av.FFmpegError as error:
        raise VideoError(str(error)) from error
    return VideoFrames(np.stack([images[i] for i in indices]), indices, count, "pyav")


def _decoded(path):
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise VideoError("the file holds no video stream")
        stream = container.streams.best("video")
        stream.codec_context.thread_count = 1
        yield from container.decode(stream)


def _upright(frame: av.VideoFrame) -> np.ndarray:
    return np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
