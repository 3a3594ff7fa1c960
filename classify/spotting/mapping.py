"""Samples of a stream to their maps: each picture goes through the backbone once, whatever windows it is in."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from hcl.classify.spotting.windows import MappedSample
from hcl.extract.backbones.backbone import Backbone
from hcl.extract.decoding.sampling import Sample
from hcl.extract.decoding.worker import Decoded
from hcl.extract.pipeline.inference import map_videos

RECENT = 64  # pictures that may come again: an instant of another grid, or of a slow stream, shows the same frame

Key = tuple[int, ...]  # a frame, or the two whose difference is shown


def map_samples(samples: Iterable[Sample], backbone: Backbone, batch_size: int) -> Iterator[MappedSample]:
    """Map the pictures of samples in full batches; the order of samples stays.

    Args:
        samples: of one stream
        backbone: the frozen network
        batch_size: pictures a call

    Yields:
        as soon as its maps are there, each sample
    """
    pictures = _Pictures()
    for record in map_videos(pictures.new(samples), backbone, batch_size):
        if record.maps is None:
            raise ValueError(f"a picture without a map: {record.reason}")
        pictures.maps[record.row] = record.maps[0]
        yield from pictures.finished()
    yield from pictures.finished()


class _Pictures:
    """The pictures of a stream by number, the maps that are still of use, and the samples that wait for some."""

    def __init__(self) -> None:
        self.maps: dict[int, NDArray[np.float16]] = {}  # (P, C) by the number of the picture
        self._recent: OrderedDict[Key, int] = OrderedDict()
        self._waiting: deque[tuple[int, int, tuple[int, ...]]] = deque()  # grid, instant, pictures
        self._count = 0

    def new(self, samples: Iterable[Sample]) -> Iterator[Decoded]:
        """Give each picture that is not known yet, as a video of one frame; remember what the samples are made of."""
        for sample in samples:
            keys: list[Key] = [sample.frames[:1], *([sample.frames[1:]] if len(sample.frames) > 1 else [])]
            fresh = [(self._count + place, key) for place, key in enumerate(k for k in keys if k not in self._recent)]
            numbers = {key: number for number, key in fresh} | {k: self._recent[k] for k in keys if k in self._recent}
            images = {numbers[key]: image for key, image in zip(keys, sample.images, strict=True)}
            self._count += len(fresh)
            for key in keys:
                self._recent[key] = numbers[key]
                self._recent.move_to_end(key)
            self._waiting.append((sample.grid, sample.number, tuple(numbers[key] for key in keys)))
            for number, _ in fresh:
                yield Decoded(number, images[number][None, None, None], 1, "stream")
            while len(self._recent) > RECENT:
                self._recent.popitem(last=False)

    def finished(self) -> Iterator[MappedSample]:
        """Give the samples at the head of the queue whose maps are there, and forget maps that are of no more use."""
        while self._waiting and all(number in self.maps for number in self._waiting[0][2]):
            grid, instant, numbers = self._waiting.popleft()
            yield MappedSample(grid, instant, np.concatenate([self.maps[number] for number in numbers], axis=-1))
        needed = {*self._recent.values(), *(number for *_, numbers in self._waiting for number in numbers)}
        for number in [number for number in self.maps if number not in needed]:
            del self.maps[number]
