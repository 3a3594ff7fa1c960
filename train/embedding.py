"""Embed the videos of a cache and write them to a store."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.cache.video_table import VideoTable
from hcl.extract.system.progress import progress_bar
from hcl.match.embeddings import Arrays, Embeddings
from hcl.match.store.batch import EmbeddedBatch
from hcl.match.store.embedding_store import write_store
from hcl.train.data.batches import count_views
from hcl.train.encoders.factory import Encoder
from hcl.train.encoders.layer4 import Layer4

VIDEOS_PER_BATCH = 8
OF_ONE_VIEW = ("patches", "class_keys")  # a crop's patches lie elsewhere than the frame's; keys know no view


def embed_to_store(
    encoder: Encoder,
    cache: FrameMapCache,
    rows: NDArray[np.int64],
    path: Path,
    attributes: Mapping[str, Any],
    *,
    views: int = 1,
    layer4: Layer4 | None = None,
    splits: Mapping[str, str] | None = None,
    device: torch.device | None = None,
) -> None:
    """Write the embeddings of some videos of a cache.

    Args:
        encoder: a trained encoder, or what stands where one would
        cache: to read maps from
        rows: of the cache, in the order of the store
        path: of the store
        attributes: what the store shall say of its origin
        views: of each video, whose embeddings are averaged; 1: the canonical one
        layer4: the backbone's own, for a cache that ends before it
        splits: splits of classes that replace the cache's
        device: to run on; the CPU by default

    Raises:
        InputError: if maps are damaged or the store cannot be written
    """
    table, splits = cache.videos, splits or {}
    videos = VideoTable(
        path=tuple(table.path[row] for row in rows),
        label=tuple(table.label[row] for row in rows),
        split=tuple(splits.get(table.label[row], table.split[row]) for row in rows),
        group=tuple(table.group[row] for row in rows),
        content=tuple(table.content[row] for row in rows),
    )
    device = device or torch.device("cpu")
    batches = embedded_batches(encoder, cache, rows, device, layer4, views=views)
    with progress_bar(len(rows), "video", "embed") as bar:
        write_store(path, attributes, videos, _counted(batches, bar.update), method=encoder.method)


def _counted(batches: Iterable[EmbeddedBatch], count: Callable[[int], object]) -> Iterator[EmbeddedBatch]:
    for batch in batches:
        yield batch
        count(len(batch))


def embedded_batches(
    encoder: Encoder,
    cache: FrameMapCache,
    rows: NDArray[np.int64],
    device: torch.device,
    layer4: Layer4 | None = None,
    *,
    views: int = 1,
) -> Iterator[EmbeddedBatch]:
    """Embed videos batch by batch, on the CPU when they are given out.

    The backbone's own layer 4, where it is given, makes the maps whose means are taken; an encoder without one gets
    these maps, too. Of several views, the embeddings are averaged as `mean_of_views` says.
    """
    layer4 = None if layer4 is None else layer4.to(device)
    names = {name: place for place, name in enumerate(cache.class_names)}
    text = cache.text_embeddings
    for start in range(0, len(rows), VIDEOS_PER_BATCH):
        chosen = rows[start : start + VIDEOS_PER_BATCH]
        classes = [names[cache.videos.label[row]] for row in chosen]
        of_class = None if text is None else torch.from_numpy(text[classes]).to(device)
        of_views = []
        for view in range(views):
            maps = torch.from_numpy(np.stack([cache.view(int(row), view) for row in chosen]))  # (B, T, P, C)
            if view == 0 or encoder.layer4 is None:  # a tuned layer 4 takes further views as they are
                frozen = maps if layer4 is None else layer4(maps.to(device)).cpu()
            if view == 0:
                mean_map = frozen.float().mean(dim=(1, 2)).numpy()
            found = embed(encoder, (frozen if encoder.layer4 is None else maps).to(device), of_class)
            of_views.append(EmbeddedBatch.of(found, mean_map))
        yield mean_of_views(of_views)


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


def views_to_embed(cache: FrameMapCache, asked: int) -> int:
    """How many views of each video are embedded; asked for 0, all of them.

    Raises:
        InputError: if the cache holds fewer than are asked for
    """
    return count_views(cache, asked, "--test-views", str(cache.path))


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
    found: Embeddings | Arrays = encoder(maps, text) if encoder.reads_text else encoder(maps)
    encoder.train(training)
    return found
