"""The child side of decoding: one process that decodes the videos it is told, one at a time.

It imports neither torch nor zarr: a worker is small, and quick to replace.
"""

import math
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

import numpy as np

from hcl.extract.catalog.frame_names import ALL
from hcl.extract.config import ExtractConfig
from hcl.extract.decoding.source import Source, read_source
from hcl.extract.decoding.views import View, ViewChoice, draw_views, show_views
from hcl.extract.system.errors import VideoError, first_line, lacks_resources
from hcl.extract.system.threads import end_with_parent
from hcl.extract.video.reading import read_chosen_frames

MIB_PER_VIDEO = 2048  # with one image a frame
MEMORY_EXIT_CODE, TIME_EXIT_CODE = 77, 78  # of a worker that took too much memory, or too much processor time
_VIDEOS_PER_WORKER = 500  # decord loses some memory with every file that it cannot open


@dataclass(frozen=True)
class Decoded:
    """The frames of one video, ready for the backbone, and the state of its file."""

    row: int
    images: np.ndarray  # (views, T, I, size, size, 3) uint8 RGB, I images a frame
    frame_count: int  # frames that the video shows
    decoder: str  # that read it: "decord", "pyav" or "images"
    source: Source = Source()
    shape: tuple[int, int] = (1, 1)  # height and width of the frames before they were resized


@dataclass(frozen=True)
class Failed:
    """A video that could not be read, and why."""

    row: int
    reason: str
    source: Source = Source()


@dataclass(frozen=True, kw_only=True)
class DecodeTask:
    """What a worker does with each video."""

    frames: int  # per view
    size: int  # pixels; frames are resized to size x size
    decoder: str  # see `read_frames`
    frame_names: str = ALL  # pattern of the names of the images of a folder that are frames
    views: ViewChoice = field(default_factory=ViewChoice)  # all read in one pass
    mib_per_video: int = MIB_PER_VIDEO  # that a worker may grow by
    seconds_per_video: float = ExtractConfig.video_timeout  # of processor time, before a video is given up
    seconds_per_mb: float = 1.0  # more, of its file: a long recording takes long

    @classmethod
    def of(cls, config: ExtractConfig) -> Self:
        """The task that an extraction gives its workers."""
        return cls(
            frames=config.frames,
            size=config.size,
            decoder=config.decoder,
            frame_names=config.frame_names,
            views=ViewChoice.of(config),
            mib_per_video=config.inputs * MIB_PER_VIDEO,  # a difference image needs two further frames at full size
            seconds_per_video=config.video_timeout,
        )

    def processor_seconds(self, source: Source) -> float:
        """The processor time after which a worker gives a video up."""
        return self.seconds_per_video + self.seconds_per_mb * source.bytes / 1e6


@dataclass(frozen=True)
class Answer:
    """What a worker made of one video."""

    result: Decoded | Failed
    is_spent: bool  # the worker should be replaced


def serve(connection: Connection, task: DecodeTask) -> None:
    """Send "ready"; then answer each (row, path) with its `Source` and its `Answer`, until the parent is gone."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    silence_stderr()
    limits = Limits(task.mib_per_video)
    limits.watch()
    connection.send("ready")
    for videos in count(1):
        try:
            row, path = connection.recv()
            limits.allow(task.processor_seconds(Source()))
            source = read_source(path, task.frame_names)
            connection.send(source)
            limits.allow(task.processor_seconds(source))
            answer = decode_video(row, path, task, source, is_last=videos >= _VIDEOS_PER_WORKER)
            limits.check()
            limits.allow(math.inf)
            connection.send(answer)
        except (EOFError, BrokenPipeError):
            return


def decode_video(row: int, path: Path, task: DecodeTask, source: Source, *, is_last: bool = False) -> Answer:
    """Read the frames of all views of a video at once and resize them; whatever goes wrong is a `Failed`."""

    def views_of(frame_count: int) -> list[View]:
        return draw_views(task.views, frames=task.frames, frame_count=frame_count, content=source.content)

    def choose(frame_count: int) -> tuple[int, ...]:
        return tuple(sorted({number for view in views_of(frame_count) for number in view.numbers}))

    try:
        video = read_chosen_frames(path, choose, decoder=task.decoder, frame_names=task.frame_names)
        images = show_views(video, views_of(video.frame_count), task.size)
    except VideoError as error:
        return Answer(Failed(row, str(error), source), is_last)
    except MemoryError:
        return Answer(Failed(row, "the machine's memory does not suffice for it", source), is_spent=True)
    except Exception as error:  # of a decoder library: the run continues, and the list of failures shows what it was
        if lacks_resources(error):
            reason = f"the machine had no thread or file to spare for it ({first_line(error)}); use fewer --workers"
            return Answer(Failed(row, reason, source), is_spent=True)
        reason = f"the decoder broke: {traceback.format_exc(limit=-1).strip().splitlines()[-1]}"
        return Answer(Failed(row, reason, source), is_spent=True)
    height, width = video.images.shape[1:3]
    return Answer(Decoded(row, images, video.frame_count, video.decoder, source, (height, width)), is_last)


def silence_stderr() -> None:
    """Send what the decoders' C libraries print about broken videos nowhere; their reasons travel as results."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


class Limits:
    """What this process may take for one video: memory beyond what it has now, and processor time.

    The time is that of all its threads, however busy the machine; the parent watches the clock, for a process that
    waits for ever. Windows does not say how large a process is. A limit of memory set on the process would do, but then
    the decoders take what they cannot allocate for damage in the video.

    Args:
        mib: by which the process may grow
    """

    def __init__(self, mib: int) -> None:
        self._most_mib = _resident_mib() + mib
        self._end = math.inf

    def allow(self, seconds: float) -> None:
        """Allow some processor time from now on."""
        self._end = time.process_time() + seconds

    def check(self) -> None:
        """End this process if it is beyond a limit."""
        if _resident_mib() > self._most_mib:
            os._exit(MEMORY_EXIT_CODE)
        if time.process_time() > self._end:
            os._exit(TIME_EXIT_CODE)

    def watch(self) -> None:
        """Check again and again in a thread. On a busy machine its turn may come late: check before answering, too."""
        threading.Thread(target=self._check_forever, daemon=True).start()

    def _check_forever(self) -> None:
        while True:
            self.check()
            time.sleep(0.05)


def _resident_mib() -> float:
    if sys.platform == "linux":  # its getrusage counts what the parent had before it started this process
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return 0.0
