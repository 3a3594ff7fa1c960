"""A long video decoded once, from its first frame to its last, in a process of its own that is watched.

The process sends one sample after the other and waits where nobody takes them, so that both sides hold a few frames
however long the video is. Times are the presentation stamps of the frames: neither a duration nor a constant rate is
needed, which a browser's recordings lack.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hcl.extract.config import ExtractConfig
from hcl.extract.decoding.sampling import Grid, Sample, StreamEnd, TimedFrame, sample_stream
from hcl.extract.decoding.worker import MEMORY_EXIT_CODE, MIB_PER_VIDEO, TIME_EXIT_CODE, Limits, silence_stderr
from hcl.extract.system.errors import VideoError, first_line, lacks_resources
from hcl.extract.system.threads import end_with_parent, main_left_alone
from hcl.extract.video.container import open_video
from hcl.extract.video.container_fields import bytes_missing
from hcl.extract.video.orientation import apply_display_matrix

LONGEST_GAP = 3600.0  # seconds between two frames, beyond which time stamps are taken for broken
DEFAULT_RATE = 25.0  # frames a second, of a stream without time stamps that names none
PATIENCE = 10  # times the processor seconds that a process may be silent for by the clock


@dataclass(frozen=True)
class StreamStart:
    """What goes before the first sample."""

    seconds: float  # that the container says the video lasts; 0: it does not


Message = StreamStart | Sample | StreamEnd


@dataclass(frozen=True, kw_only=True)
class StreamTask:
    """What is sampled of a long video."""

    grids: tuple[Grid, ...]
    size: int  # pixels; frames are resized to size x size
    motion: bool  # whether a difference image goes with each frame
    is_brightened: bool  # whether dark frames are
    mib: int = 2 * MIB_PER_VIDEO  # that the process may grow by
    seconds: float = ExtractConfig.video_timeout  # of processor time from one sample to the next


def stream_samples(path: Path, task: StreamTask) -> Iterator[Message]:
    """Sample a video that another process decodes; ends that process when it is closed.

    Args:
        path: a video file
        task: what is sampled

    Raises:
        VideoError: the video cannot be read, or not to its end, with a reason for people
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve_samples, args=(theirs, path, task), name="decode-stream", daemon=True)
    with main_left_alone():
        process.start()
    theirs.close()
    try:
        while True:
            message = _next_message(ours, process, task)
            if isinstance(message, str):
                raise VideoError(message)
            yield message
            if isinstance(message, StreamEnd):
                return
    finally:
        ours.close()
        process.kill()
        process.join()
        process.close()


def _next_message(connection: Connection, process: SpawnProcess, task: StreamTask) -> Message | str:
    if not connection.poll(PATIENCE * task.seconds):
        return f"decoding it stood still for {PATIENCE * task.seconds:.0f} seconds"
    try:
        message: Message | str = connection.recv()
        return message
    except (EOFError, OSError):
        process.join(5)
        reasons = {
            MEMORY_EXIT_CODE: f"decoding it takes more than {task.mib} MiB of memory",
            TIME_EXIT_CODE: f"decoding one piece of it took longer than {task.seconds:.0f} seconds of processor time",
        }
        code = process.exitcode or 0
        return reasons.get(code, f"the decoder crashed on it (exit code {code})")


def serve_samples(connection: Connection, path: Path, task: StreamTask) -> None:
    """Send the samples of a video, then its end; or the reason, a text, why there are no more."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    silence_stderr()
    limits = Limits(task.mib)
    limits.allow(task.seconds)
    limits.watch()
    try:
        for sample in sample_video(path, task):
            limits.check()
            connection.send(sample)
            limits.allow(task.seconds)
    except BrokenPipeError:
        return
    except VideoError as error:
        connection.send(str(error))
    except Exception as error:  # of a decoder library
        short = "the machine had no memory, thread or file to spare" if lacks_resources(error) else "the decoder broke"
        connection.send(f"{short} ({type(error).__name__}: {first_line(error)})")


def sample_video(path: Path, task: StreamTask) -> Iterator[Message]:
    """Sample a video in this process.

    Raises:
        VideoError: as `stream_samples`
    """
    if path.is_dir():
        raise VideoError("a folder of images, which says nothing of times; make a video of it")
    if not path.is_file():
        raise VideoError("the file does not exist")
    if missing := bytes_missing(path) if path.stat().st_size else "it is empty (0 bytes)":
        raise VideoError(f"truncated: {missing}" if path.stat().st_size else "the file is empty (0 bytes)")
    with open_video(path) as (container, stream):
        yield StreamStart((container.duration or 0) / av.time_base)
        clock = _Clock(stream, (container.start_time or 0) / av.time_base)  # players begin there
        frames = _timed_frames(container, stream, task.size, clock)
        yield from sample_stream(
            frames, task.grids, motion=task.motion, is_brightened=task.is_brightened, last=clock.last
        )


def _timed_frames(
    container: av.container.InputContainer, stream: av.VideoStream, size: int, clock: _Clock
) -> Iterator[TimedFrame]:
    count = 0
    try:
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise VideoError(f"damaged: the frame at {clock.seconds:.2f} s is incomplete")
            yield TimedFrame(count, clock.stamp(frame), partial(_small, frame, size))
            count += 1
    except av.FFmpegError as error:
        if lacks_resources(error):
            raise
        raise VideoError(f"damaged: decoding stops after {clock.seconds:.2f} s ({error.strerror})") from error
    if not count:
        raise VideoError("no frame of the video can be decoded")


def _small(frame: av.VideoFrame, size: int) -> NDArray[np.uint8]:
    """As an extraction shows a frame (`view_images`)."""
    image = Image.fromarray(np.ascontiguousarray(apply_display_matrix(frame)))
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=(0, 0, *image.size)))


class _Clock:
    """The time of each frame: its presentation stamp, or where it has none the frame rate; time never runs back."""

    def __init__(self, stream: av.VideoStream, start: float) -> None:
        self.seconds = 0.0  # of the last frame
        self._start = start
        self._rate = float(stream.average_rate or stream.guessed_rate or DEFAULT_RATE)
        self._gap = 0.0  # to the frame before it
        self._told = 0.0  # how long the last frame says that it is shown
        self._is_first = True

    def stamp(self, frame: av.VideoFrame) -> float:
        """The seconds at which a frame is shown, counted from where players begin."""
        expected = 0.0 if self._is_first else self.seconds + 1 / self._rate
        shown = expected if frame.time is None else frame.time - self._start
        seconds = max(shown, 0.0 if self._is_first else self.seconds)
        if seconds - self.seconds > LONGEST_GAP:
            raise VideoError(f"its time stamps jump from {self.seconds:.0f} s to {seconds:.0f} s")
        self._gap = 0.0 if self._is_first else seconds - self.seconds
        self._told = float((frame.duration or 0) * (frame.time_base or 0))
        self.seconds, self._is_first = seconds, False
        return seconds

    def last(self) -> float:
        """The seconds for which the last frame is shown: what it says, or as long as the one before it."""
        return self._told or self._gap or 1 / self._rate


def video_seconds(paths: Sequence[Path]) -> list[float]:
    """Tell how long short videos are, by the stamps of their packets, in another process; 0 where nothing says so."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve_seconds, args=(theirs, list(paths)), name="durations", daemon=True)
    with main_left_alone():
        process.start()
    theirs.close()
    found: list[float] = []
    try:
        while len(found) < len(paths) and ours.poll(ExtractConfig.video_timeout):
            found.append(ours.recv())
    except (EOFError, OSError):
        pass  # it crashed on the next one
    finally:
        process.kill()
        process.join()
    return found + [0.0] * (len(paths) - len(found))


def _serve_seconds(connection: Connection, paths: Sequence[Path]) -> None:
    end_with_parent()
    silence_stderr()
    for path in paths:
        connection.send(_seconds_of(path))


def _seconds_of(path: Path) -> float:
    try:
        with open_video(path) as (container, stream):
            spans = [
                (packet.pts, packet.pts + (packet.duration or 0))
                for packet in container.demux(stream)
                if packet.pts is not None
            ]
            tick = float(stream.time_base or 0)
    except (VideoError, OSError, ValueError):
        return 0.0
    return (max(end for _, end in spans) - min(start for start, _ in spans)) * tick if spans else 0.0
