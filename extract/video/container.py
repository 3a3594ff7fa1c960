"""Open a video file: its best video stream, or the reason why there is none."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

import av

from hcl.extract.system.errors import VideoError, lacks_resources
from hcl.extract.video.container_fields import bytes_missing, other_files

_NOT_VIDEOS = ("tty", "image2", "ffmetadata", "lrc")  # demuxers that take text and pictures


@contextmanager
def open_video(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a file's best video stream for one thread; no other file is opened.

    Raises:
        VideoError: the file is no video, its header is gone, or it leads to other files
    """
    with ExitStack() as opened:
        container = _open(path, opened)
        name = container.format.name
        if name.endswith("_pipe") or name in _NOT_VIDEOS:
            raise VideoError(f"not a video (it reads as {name})")
        stream = cast("av.VideoStream | None", container.streams.best("video"))
        if stream is None or stream.disposition & av.stream.Disposition.attached_pic:
            raise VideoError("audio only: no video stream" if container.streams.audio else "no video stream")
        if stream.codec_context is None:
            raise VideoError("the video's codec is unknown here")
        stream.codec_context.thread_count = 1
        if stream.codec_context.name == "hevc":  # else it hides damage, and picture hashes go unchecked
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
        yield container, stream


def refuse_other_files(path: Path) -> None:
    """Refuse a file that leads to others: it came from a stranger, perhaps, and the others did not.

    Raises:
        VideoError: with the name of what it is, or of the other file
    """
    if told := other_files(path):
        raise VideoError(told)


@contextmanager
def damage_named(reason: Callable[[av.FFmpegError], str]) -> Iterator[None]:
    """Turn what FFmpeg raises into a VideoError with a reason, but where the machine lacks threads, files or memory."""
    try:
        yield
    except av.FFmpegError as error:
        if lacks_resources(error):
            raise
        raise VideoError(reason(error)) from error


def _open(path: Path, opened: ExitStack) -> av.container.InputContainer:
    try:
        refuse_other_files(path)
        # FFmpeg gets the opened file and may open nothing by itself, a playlist's segments for instance.
        file = opened.enter_context(path.absolute().open("rb", buffering=0))
        container = opened.enter_context(av.open(file, options={"protocol_whitelist": "none"}))
        return cast("av.container.InputContainer", container)
    except PermissionError as error:
        raise VideoError("no permission to read it") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        if lacks_resources(error):
            raise
        missing = bytes_missing(path)
        raise VideoError(f"truncated: {missing}" if missing else "not a video, or its header is damaged") from error


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
