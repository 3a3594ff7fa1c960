"""Embed videos of a cache batch by batch, and write their embeddings to a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hcl.extract.system.progress import progress_bar
from hcl.match.embeddings import Arrays, Embeddings
from hcl.match.store.batch import EmbeddedBatch
from hcl.match.store.embedding_store import EmbeddingStore, write_store
from hcl.train.data.map_source import MapSource, ViewMaps
from hcl.train.encoders.baseline_encoder import BaselineEncoder
from hcl.train.encoders.factory import Encoder

VIDEOS_PER_BATCH = 8
OF_ONE_VIEW = ("patches", "class_keys")  # a crop's patches lie elsewhere than the frame's; keys know no view


def embed_to_store(
    encoder: Encoder,
    source: MapSource,
    rows: NDArray[np.int64],
    path: Path,
    attributes: Mapping[str, Any],
    *,
    views: int = 1,
    finish: Callable[[EmbeddingStore], Mapping[str, Any]] | None = None,
    batches: Iterable[EmbeddedBatch] | None = None,
) -> None:
    """Write the embeddings of some videos of a cache to a store.

    Args:
        encoder: a trained encoder, or what stands where one would; on the source's device
        source: of the maps
        rows: (V,), of the cache, in the order of the store
        path: of the store
        attributes: what the store says of its origin
        views: of each video, whose embeddings are averaged; 1: the canonical one
        finish: gives further attributes that follow from the embeddings
        batches: those of `embedded_batches`, where another machine embeds

    Raises:
        InputError: if maps are damaged or the store cannot be written
    """

    def counted() -> Iterator[EmbeddedBatch]:
        with progress_bar(len(rows), "video", "embed") as bar:
            for batch in embedded_batches(encoder, source, rows, views=views) if batches is None else batches:
                yield batch
                bar.update(len(batch))

    videos = source.cache.videos.take(rows)
    matcher = encoder.matcher_weights if isinstance(encoder, BaselineEncoder) else None
    write_store(path, attributes, videos, counted(), method=encoder.method, matcher=matcher, finish=finish)


def embedded_batches(
    encoder: Encoder,
    source: MapSource,
    rows: NDArray[np.int64],
    *,
    views: int = 1,
    mean_maps: bool = True,
    known_levels: bool = True,
) -> Iterator[EmbeddedBatch]:
    """Embed videos batch by batch; of several views, the embeddings are averaged as `mean_of_views` says.

    Args:
        encoder: on the source's device
        source: of the maps
        rows: (V,), of the cache
        views: of each video, the first so many
        mean_maps: False leaves them out (their width is 0), and with them a run of the backbone's layer 4 and what
            needs no encoder at all
        known_levels: False leaves out the vectors of the levels that need no gradients, and a run of layer 4

    Yields:
        the embeddings of the next few videos, on the CPU
    """
    for batch, of_views in source.read_ahead(rows, VIDEOS_PER_BATCH, views):
        text = source.class_texts(batch)
        embedded = embed_views(encoder, of_views, text, mean_maps=mean_maps, known_levels=known_levels)
        yield replace(embedded, arrays={**embedded.arrays, **(source.zero_shot(batch) if mean_maps else {})})


def batch_means(source: MapSource, rows: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    """The mean maps of videos, their mean frames and how far these spread, (3, B, C) a batch, without an encoder."""
    read = (maps for _, views in source.read_ahead(rows, VIDEOS_PER_BATCH) for maps in views)
    return [np.stack((maps.mean_map(), *maps.frame_statistics())) for maps in read]


def embed_views(
    encoder: Encoder,
    views: Iterable[ViewMaps],
    text: Tensor | None = None,
    *,
    mean_maps: bool = True,
    known_levels: bool = True,
) -> EmbeddedBatch:
    """Embed the views of some videos, and average them as `mean_of_views` says.

    Args:
        encoder: on the device of the views' source
        views: of the same B videos, the canonical one first
        text: (B, E) text embedding of each video's class, or None
        mean_maps, known_levels: as of `embedded_batches`
    """
    of_views: list[EmbeddedBatch] = []
    mean_map = np.empty((0, 0), np.float32)
    for maps in views:
        if not of_views:
            mean_map = maps.mean_map() if mean_maps else np.empty((len(maps.stored), 0), np.float32)
        given = maps.for_encoder(encoder)
        vectors = known(encoder, given) if known_levels else {}
        of_views.append(EmbeddedBatch.of(embed(encoder, given, text), mean_map, vectors))
    return mean_of_views(of_views)


def mean_of_views(of_views: Sequence[EmbeddedBatch]) -> EmbeddedBatch:
    """Average the embeddings of several views of the same videos.

    Patches, class keys and mean maps are those of the first, the canonical view.
    """
    first = of_views[0]
    arrays = {
        name: array if name in OF_ONE_VIEW else torch.stack([one.arrays[name] for one in of_views]).mean(dim=0)
        for name, array in first.arrays.items()
    }
    return replace(first, arrays=arrays)


@torch.inference_mode()
def known(encoder: Encoder, maps: Tensor) -> Arrays:
    """What the encoder knows of videos without gradients, by name: (B, T, P, C) to (B, ...) each."""
    return encoder.known(maps)


@torch.inference_mode()
def embed(encoder: Encoder, maps: Tensor, text: Tensor | None) -> Embeddings | Arrays:
    """Embed one batch in evaluation mode.

    Args:
        encoder: left in the mode it came in
        maps: (B, T, P, C) on the encoder's device
        text: (B, E) text embedding of each video's class, for the class keys, or None

    Returns:
        float32 embeddings, or the arrays of another method
    """
    training = encoder.training
    encoder.eval()
    embeddings: Embeddings | Arrays = encoder(maps, text) if encoder.reads_text else encoder(maps)
    encoder.train(training)
    return embeddings
