"""Open a video file: its best video stream, or the reason why there is none."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import av

from hcl.extract.system.errors import VideoError, lacks_resources
from hcl.extract.video.truncation import bytes_missing

_NOT_VIDEOS = ("tty", "image2", "ffmetadata", "lrc")  # demuxers that take text and pictures


@contextmanager
def open_video(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a file's best video stream for one thread.

    Raises:
        VideoError: the file is no video, or its header is gone
    """
    try:
        # Only plain files: a playlist under a video's name must not reach the network.
        container = av.open(str(path.absolute()), options={"protocol_whitelist": "file"})
    except PermissionError as error:
        raise VideoError("no permission to read it") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        if lacks_resources(error):
            raise
        missing = bytes_missing(path)
        raise VideoError(f"truncated: {missing}" if missing else "not a video, or its header is damaged") from error
    with container:
        name = container.format.name
        if name.endswith("_pipe") or name in _NOT_VIDEOS:
            raise VideoError(f"not a video (it reads as {name})")
        stream = cast("av.VideoStream | None", container.streams.best("video"))
        if stream is None or stream.disposition & av.stream.Disposition.attached_pic:
            raise VideoError("audio only: no video stream" if container.streams.audio else "no video stream")
        if stream.codec_context is None:
            raise VideoError("the video's codec is unknown here")
        stream.codec_context.thread_count = 1
        yield container, stream


@contextmanager
def capture_ffmpeg_errors() -> Iterator[list[tuple[int, str, str]]]:
    """Collect what FFmpeg's demuxer complains of: it continues after damage as if nothing were missing."""
    level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # else the same damage, met again, would go unnoticed
    try:
        with av.logging.Capture() as collected:
            yield collected
    finally:
        av.logging.set_skip_repeated(skips)
        av.logging.set_level(level)
