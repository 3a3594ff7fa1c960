"""The maps of a cache as encoders take them: behind the backbone's own layer 4, where the cache ends before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.system.places.objects import ahead
from hcl.match.embeddings import ZERO_SHOT_AXES
from hcl.train.data.joined_caches import JoinedCaches
from hcl.train.encoders.factory import Encoder
from hcl.train.encoders.geometry import change_of, power_mean
from hcl.train.encoders.layer4 import Layer4, load_layer4


class BackboneEnd(Protocol):
    """What may still have to run over maps before they are those of the whole backbone, and where."""

    @property
    def layer4(self) -> Layer4 | None:
        """The backbone's own layer 4, on the device; None where the maps are its already."""

    @property
    def device(self) -> torch.device:
        """Where layer 4 runs and encoders are."""


class MapSource:
    """Gives maps of a cache by rows and views; loads the backbone's own layer 4 once, when it is first needed.

    Args:
        cache: whose maps, classes and class texts are given
        weights: of the backbone, where the cache ends before layer 4; "auto": those that the cache names
        device: where layer 4 runs and encoders are
    """

    def __init__(self, cache: FrameMapCache, weights: str = "auto", device: torch.device | None = None) -> None:
        self.cache, self.weights, self.device = cache, weights, device or torch.device("cpu")

    @cached_property
    def layer4(self) -> Layer4 | None:
        """The backbone's own layer 4, on the device; None where the cache's maps are not what it takes.

        Raises:
            InputError: if the weights cannot be read or are not those of the cache
        """
        layer4 = load_layer4(self.cache.settings, self.weights)
        return None if layer4 is None else layer4.to(self.device)

    def load(self) -> None:
        """Load layer 4 now, where it is needed, so that wrong weights are refused early; raises as `layer4`."""
        _ = self.layer4

    def read(self, rows: NDArray[np.int64], view: int = 0) -> ViewMaps:
        """Read the maps of one view of some videos.

        Args:
            rows: (B,), of the cache
            view: 0 is the canonical one

        Raises:
            InputError: if maps are damaged
        """
        return ViewMaps(torch.from_numpy(np.stack([self.cache.view(int(row), view) for row in rows])), self)

    def read_ahead(
        self, rows: NDArray[np.int64], size: int, views: int = 1
    ) -> Iterator[tuple[NDArray[np.int64], Iterator[ViewMaps]]]:
        """Read videos in batches, ahead where each reading waits for a network.

        Args:
            rows: of the cache
            size: videos in a batch
            views: of each video, the first so many

        Yields:
            the rows of a batch, and its views one after the other, which must be taken before the next batch
        """
        batches = [rows[start : start + size] for start in range(0, len(rows), size)]
        keys = [(int(row), view) for batch in batches for view in range(views) for row in batch]

        def read(key: tuple[int, int]) -> NDArray[np.float16]:
            return self.cache.view(*key)

        maps = ahead(read, keys) if self.cache.waits else map(read, keys)
        for batch in batches:
            stacked = (np.stack([next(maps) for _ in batch]) for _ in range(views))
            yield batch, (ViewMaps(torch.from_numpy(of_view), self) for of_view in stacked)

    def class_texts(self, rows: NDArray[np.int64]) -> Tensor | None:
        """The (B, E) text embedding of each video's class, on the device; None for a cache without texts.

        Of a video without a class it is zero: nobody compares with it as a support.
        """
        if self._text_embeddings is None:
            return None
        with_none = np.vstack([self._text_embeddings, np.zeros((1, self._text_embeddings.shape[1]), np.float32)])
        classes = [self._class_numbers.get(self.cache.videos.label[row], -1) for row in rows]
        return torch.from_numpy(with_none[classes]).to(self.device)

    def zero_shot(self, rows: NDArray[np.int64]) -> dict[str, Tensor]:
        """What says, on the CPU, which class each of V videos looks like by its name alone: the arrays of a store.

        The mean of the frames' embeddings (V, E), and the embedding of the text of the video's class (V, E), where one
        model gave both; empty where none did.
        """
        cache, text = self.cache, self.class_texts(rows)
        named = cache.settings.get("image_embedding")
        if not cache.layout.embedding or text is None or named != (cache.text_model or {}).get("sha256"):
            return {}
        frames = np.stack([cache.image_embedding(int(row)) for row in rows])  # (V, T, E)
        images = torch.from_numpy(frames.astype(np.float32).mean(axis=1))
        return dict(zip(ZERO_SHOT_AXES, (images, text.cpu()), strict=True))

    def of_sets(self) -> dict[str, MapSource]:
        """A source for each of several caches that are seen as one, by set; they share layer 4. None for one cache."""
        caches = self.cache.sets if isinstance(self.cache, JoinedCaches) else {}
        sources = {name: MapSource(cache, self.weights, self.device) for name, cache in caches.items()}
        for source in sources.values():
            source.layer4 = self.layer4
        return sources

    @cached_property
    def _text_embeddings(self) -> NDArray[np.float32] | None:
        return self.cache.text_embeddings

    @cached_property
    def _class_numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.cache.class_names)}


@dataclass(frozen=True)
class ViewMaps:
    """The maps of one view of B videos; layer 4 runs over them when it is first asked for, and once."""

    stored: Tensor  # (B, T, P, C) float16 on the CPU, as the cache has them
    source: BackboneEnd

    @cached_property
    def of_backbone(self) -> Tensor:
        """The maps of the whole backbone, on the CPU: (B, T, P, C), of layer 4 where the cache ends before it."""
        layer4 = self.source.layer4
        if layer4 is None:
            return self.stored
        with torch.no_grad():
            maps: Tensor = layer4(self.stored.to(self.source.device))
        return maps.cpu()

    def for_encoder(self, encoder: Encoder) -> Tensor:
        """The maps that an encoder takes, on the device: as stored where it runs a layer 4 of its own."""
        return (self.of_backbone if encoder.layer4 is None else self.stored).to(self.source.device)

    def mean_map(self) -> NDArray[np.float32]:
        """The mean of each video's maps over frames and patches: (B, C), by the backbone as it is."""
        mean: NDArray[np.float32] = self.of_backbone.float().mean(dim=(1, 2)).numpy()
        return mean

    def frame_statistics(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The mean of each video's frames, and how far each channel spreads around it, by the backbone as it is.

        Returns:
            (B, C) each; a frame is the power mean of its patches
        """
        frames = power_mean(self.of_backbone)  # (B, T, C)
        return frames.mean(dim=1).numpy(), change_of(frames).numpy()
