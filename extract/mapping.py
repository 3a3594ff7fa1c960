"""Frames to maps, in batches of one size whatever the videos."""

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.extract.backbone import Backbone
from hcl.extract.decoding import Decoded, Failed
from hcl.extract.stored_cache import MapRecord


def mapped(decoded: Iterable[Decoded | Failed], backbone: Backbone, batch_frames: int) -> Iterator[MapRecord]:
    """Turn frames into maps in full batches across videos; the last batch is padded.

    The batch size is fixed so that a video's maps do not depend on its neighbours.

    Args:
        decoded: videos in order
        backbone: the frozen network
        batch_frames: frames a call

    Yields:
        one record a video, in order
    """
    waiting: deque[Decoded | Failed] = deque()
    images: list[NDArray[np.uint8]] = []  # frames not yet mapped
    maps: list[NDArray[np.float16]] = []  # (P, C) of frames mapped, not yet given out
    for item in decoded:
        waiting.append(item)
        if isinstance(item, Decoded):
            images.extend(item.images.reshape(-1, *item.images.shape[2:]))
        while len(images) >= batch_frames:
            maps.extend(_map_frames(images[:batch_frames], backbone))
            del images[:batch_frames]
        yield from _finished(waiting, maps)
    if images:
        padding = [np.zeros_like(images[0])] * (batch_frames - len(images))
        maps.extend(_map_frames(images + padding, backbone)[: len(images)])
    yield from _finished(waiting, maps)


def _map_frames(images: list[NDArray[np.uint8]], backbone: Backbone) -> NDArray[np.float16]:
    return backbone(torch.from_numpy(np.stack(images))).cpu().numpy()  # type: ignore[no-any-return]


def _finished(waiting: "deque[Decoded | Failed]", maps: list[NDArray[np.float16]]) -> Iterator[MapRecord]:
    """Give out the videos at the head of the queue whose frames are all mapped."""
    while waiting:
        item = waiting[0]
        if isinstance(item, Failed):
            yield MapRecord(item.row, None, content=item.content, reason=item.reason)
        elif len(maps) >= (count := item.images.shape[0] * item.images.shape[1]):
            found = np.stack(maps[:count]).reshape(*item.images.shape[:2], *maps[0].shape)  # (views, T, P, C)
            del maps[:count]
            facts = (item.frame_count, item.decoder, item.content, item.bytes, item.modified_ns)
            yield MapRecord(item.row, found[0], *facts, views=found[1:])
        else:
            return
        waiting.popleft()
