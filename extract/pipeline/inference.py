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

from hcl.extract.backbones.backbone import Backbone
from hcl.extract.cache.layout import MapRecord
from hcl.extract.catalog.videos import readable
from hcl.extract.decoding.worker import Decoded, Failed
from hcl.extract.system.threads import cores, single_threaded_pool

Images = NDArray[np.uint8]
Mapped = tuple[NDArray[np.float16], NDArray[np.float16] | None]  # of a frame (P, C) or clip (T, P, C); and (E,)


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
    size, threads = backbone.images_per_call(batch_size), (threads or cores()) if on_cpu else 1
    waiting: deque[Decoded | Failed] = deque()
    images: list[Images] = []  # frames, or clips, in no call yet
    calls: deque[Future[list[Mapped]]] = deque()
    mapped: list[Mapped] = []  # not yet given out
    with single_threaded_pool(threads) if on_cpu else ThreadPoolExecutor(1) as pool:
        for item in decoded:
            waiting.append(item)
            if isinstance(item, Decoded):
                images.extend(_in_order(item.images, backbone).reshape(-1, *backbone.image_shape))
            while len(images) >= size:
                calls.append(pool.submit(_map_frames, images[:size], backbone))
                del images[:size]
                _collect(calls, mapped, most=threads + 1)  # so that the next call is ready when a thread is
            yield from _finished(waiting, mapped, backbone)
        if images:
            padding = [np.zeros_like(images[0])] * (size - len(images))
            calls.append(pool.submit(_map_frames, images + padding, backbone))
        _collect(calls, mapped, most=0)
    yield from _finished(waiting, mapped, backbone)


def _in_order(images: Images, backbone: Backbone) -> Images:
    """The images (views, T, I, ...) in the order in which they are mapped: the frames of a clip, if it is, together."""
    return images.swapaxes(1, 2) if backbone.clip_frames else images


def _collect(calls: "deque[Future[list[Mapped]]]", mapped: list[Mapped], *, most: int) -> None:
    """Take the maps of the first calls until at most some are under way; those that are done at once."""
    while calls and (len(calls) > most or calls[0].done()):
        mapped.extend(calls.popleft().result())


def _map_frames(images: list[Images], backbone: Backbone) -> list[Mapped]:
    on_gpu = backbone.device.type == "cuda"
    batch = torch.empty((len(images), *images[0].shape), dtype=torch.uint8, pin_memory=on_gpu)
    np.stack(images, out=batch.numpy())
    maps, embeddings = backbone.map_and_embed(batch)
    rows = [None] * len(images) if embeddings is None else list(embeddings.cpu().numpy())
    return list(zip(maps.cpu().numpy(), rows, strict=True))


def _finished(waiting: "deque[Decoded | Failed]", mapped: list[Mapped], backbone: Backbone) -> Iterator[MapRecord]:
    """Give out the videos at the head of the queue whose frames are all mapped."""
    while waiting:
        item = waiting[0]
        if isinstance(item, Failed):
            yield MapRecord(item.row, None, source=item.source, reason=readable(item.reason))
        elif len(mapped) >= (count := math.prod(item.images.shape[:3]) // (backbone.clip_frames or 1)):
            of_video = mapped[:count]
            del mapped[:count]
            yield _record(item, of_video, backbone)
        else:
            return
        waiting.popleft()


def _record(item: Decoded, mapped: list[Mapped], backbone: Backbone) -> MapRecord:
    """Put the maps of a video together, and the embeddings of the frames of its canonical view."""
    views, frames, inputs = item.images.shape[:3]
    maps = np.stack([of_one for of_one, _ in mapped])
    if backbone.clip_frames:
        of_inputs = maps.reshape(views, inputs, *maps.shape[1:]).swapaxes(1, 2)  # (views, T, I, P, C)
    else:
        of_inputs = maps.reshape(views, frames, inputs, *maps.shape[1:])
    of_patches = of_inputs.transpose(0, 1, 3, 2, 4)  # (views, T, P, I, C)
    of_views = of_patches.reshape(*of_patches.shape[:3], -1)  # (views, T, P, I * C)
    rows = [row for _, row in mapped[: frames * inputs : inputs] if row is not None]
    return MapRecord(
        item.row,
        of_views[0],
        item.frame_count,
        item.decoder,
        item.source,
        views=of_views[1:],
        embedding=np.stack(rows) if rows else None,
    )
