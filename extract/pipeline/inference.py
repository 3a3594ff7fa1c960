"""Frames to maps, in calls of one size whatever the videos, several at once on a CPU.

On a CPU each core computes calls of its own: threads that share one call wait for each other at every layer, and wait
long where decoding takes a core away for a while.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.extract.backbones.backbone import CPU_FRAMES, Backbone
from hcl.extract.cache.layout import MapRecord
from hcl.extract.catalog.videos import readable
from hcl.extract.decoding.worker import Decoded, Failed
from hcl.extract.system.threads import cores, single_threaded_pool

Images = NDArray[np.uint8]
Maps = NDArray[np.float16]


def map_videos(
    decoded: Iterable[Decoded | Failed], backbone: Backbone, batch_size: int, *, threads: int = 0
) -> Iterator[MapRecord]:
    """Turn frames into maps in full batches across videos; the last batch is padded.

    The batch size is fixed so that a video's maps do not depend on its neighbours.

    Args:
        decoded: videos in order
        backbone: the frozen network
        batch_size: frames a call; on a CPU, no more than its caches hold
        threads: calls at once on a CPU; 0: one per core

    Yields:
        one record a video, in order
    """
    on_cpu = backbone.device.type == "cpu"
    size, threads = (min(batch_size, CPU_FRAMES), threads or cores()) if on_cpu else (batch_size, 1)
    waiting: deque[Decoded | Failed] = deque()
    images: list[Images] = []  # frames in no call yet
    calls: deque[Future[Maps]] = deque()
    maps: list[Maps] = []  # (P, C) of frames mapped, not yet given out
    with single_threaded_pool(threads) if on_cpu else ThreadPoolExecutor(1) as pool:
        for item in decoded:
            waiting.append(item)
            if isinstance(item, Decoded):
                images.extend(item.images.reshape(-1, *item.images.shape[3:]))
            while len(images) >= size:
                calls.append(pool.submit(_map_frames, images[:size], backbone))
                del images[:size]
                _collect(calls, maps, most=threads + 1)  # so that the next call is ready when a thread is
            yield from _finished(waiting, maps)
        if images:
            padding = [np.zeros_like(images[0])] * (size - len(images))
            calls.append(pool.submit(_map_frames, images + padding, backbone))
        _collect(calls, maps, most=0)
    yield from _finished(waiting, maps)


def _collect(calls: "deque[Future[Maps]]", maps: list[Maps], *, most: int) -> None:
    """Take the maps of the first calls until at most some are under way; those that are done at once."""
    while calls and (len(calls) > most or calls[0].done()):
        maps.extend(calls.popleft().result())


def _map_frames(images: list[Images], backbone: Backbone) -> Maps:
    on_gpu = backbone.device.type == "cuda"
    batch = torch.empty((len(images), *images[0].shape), dtype=torch.uint8, pin_memory=on_gpu)
    np.stack(images, out=batch.numpy())
    return backbone(batch).cpu().numpy()  # type: ignore[no-any-return]


def _finished(waiting: "deque[Decoded | Failed]", maps: list[Maps]) -> Iterator[MapRecord]:
    """Give out the videos at the head of the queue whose frames are all mapped."""
    while waiting:
        item = waiting[0]
        if isinstance(item, Failed):
            yield MapRecord(item.row, None, source=item.source, reason=readable(item.reason))
        elif len(maps) >= (count := math.prod(item.images.shape[:3])):
            of_inputs = np.stack(maps[:count]).reshape(*item.images.shape[:3], *maps[0].shape)  # (views, T, I, P, C)
            of_patches = of_inputs.transpose(0, 1, 3, 2, 4)  # (views, T, P, I, C)
            views = of_patches.reshape(*of_patches.shape[:3], -1)  # (views, T, P, I * C)
            del maps[:count]
            yield MapRecord(item.row, views[0], item.frame_count, item.decoder, item.source, views=views[1:])
        else:
            return
        waiting.popleft()
