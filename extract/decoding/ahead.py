"""Decode videos ahead of the backbone, in worker processes that may crash, hang or swell without harm.

A thread of this process keeps the workers busy while the caller computes. Each worker has one video at a time, so
a worker's end costs that video alone.
"""

from collections.abc import Generator, Sequence
from pathlib import Path

from hcl.extract.decoding.pool import DecodePool
from hcl.extract.decoding.worker import MIB_PER_VIDEO, Decoded, DecodeTask, Failed
from hcl.extract.system.threads import cores
from hcl.extract.video.views import ViewChoice

__all__ = ["Decoded", "Failed", "decode_ahead"]


def decode_ahead(
    paths: Sequence[tuple[int, Path]],
    *,
    frames: int,
    size: int,
    decoder: str,
    workers: int,
    views: ViewChoice = ViewChoice(),  # noqa: B008 - it is frozen
    seconds_per_video: float = 120.0,
    mib_per_video: int = MIB_PER_VIDEO,
) -> Generator[Decoded | Failed, None, None]:
    """Decode videos in worker processes, some ahead of the caller, and yield them in the order of `paths`.

    Closing the generator, or any exception in it, ends the workers.

    Args:
        paths: a row number, and a file or a folder of images, for each video
        frames: how many frames of each video, the middles of equal segments
        size: each frame is resized to size x size
        decoder: see `read_frames`
        views: of each video, all read in one pass
        workers: processes, one thread each; 0 means one per core
        seconds_per_video: a worker that takes longer is killed
        mib_per_video: how much a worker may grow
    """
    if not paths:
        return
    task = DecodeTask(frames=frames, size=size, decoder=decoder, mib_per_video=mib_per_video, views=views)
    pool = DecodePool(paths, task, workers=workers or cores(), seconds_per_video=seconds_per_video)
    try:
        yield from pool.results()
    finally:
        pool.close()
