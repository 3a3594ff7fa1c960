"""Labelled videos to a support set: found in a folder or manifest, embedded, and what is broken named."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from hcl.classify.embedding.embedder import VideoEmbedder
from hcl.classify.embedding.videos import BrokenVideo, EmbeddedVideo, Video, as_path, is_path, name_of
from hcl.classify.support.class_keys import class_keys, text_model_of
from hcl.classify.support.support_set import CLASS_KEYS, SPLIT, SupportSet, as_stored, concatenated
from hcl.extract.cache.video_table import VideoTable
from hcl.extract.catalog.listing import read_catalog
from hcl.extract.catalog.videos import readable
from hcl.extract.system.errors import InputError
from hcl.extract.system.places.location import local_only
from hcl.match.store.batch import EmbeddedBatch


@dataclass(frozen=True)
class LabelledVideo:
    """A video whose class is known."""

    video: Video
    label: str
    name: str = ""  # as it is shown; "": its path
    group: str = ""  # such as the person filmed


@dataclass(frozen=True)
class Embedded:
    """A support set, and the videos that could not be read."""

    support: SupportSet
    broken: tuple[BrokenVideo, ...]


def labelled_videos(support: str | Path) -> list[LabelledVideo]:
    """List the videos of a folder of class folders, or of a CSV manifest (path,label).

    Raises:
        InputError: if there are none, or they have no classes
    """
    support = local_only(support, "videos of supports", "index them here first: hcl index FOLDER --out URL")
    return [LabelledVideo(video.source, video.label, video.path, video.group) for video in read_catalog(support).videos]


def embed_supports(embedder: VideoEmbedder, given: Iterable[LabelledVideo], text_model: str = "auto") -> Embedded:
    """Embed labelled videos; broken ones are left out, and byte-identical ones but for the first.

    Args:
        embedder: loaded
        given: the videos
        text_model: as of `class_keys`

    Raises:
        InputError: if there are none, no video of a class can be read, or one video has two classes
    """
    videos = list(given)
    if not videos:
        raise InputError("no videos to learn classes from; give some of each class")
    keys = class_keys(embedder, sorted({each.label for each in videos}), text_model)
    done: list[tuple[LabelledVideo, EmbeddedVideo]] = []
    broken: list[BrokenVideo] = []
    for each, result in zip(videos, embedder.embed(each.video for each in videos), strict=True):
        if isinstance(result, BrokenVideo):
            broken.append(replace(result, name=each.name or result.name))
            continue
        batch = keyed(result.batch, None if keys is None else keys[each.label])
        done.append((each, replace(result, batch=batch)))
    _refuse_lost_classes(videos, [each.label for each, _ in done], broken)
    return Embedded(support_of(embedder, done, text_model), tuple(broken))


def support_of(
    embedder: VideoEmbedder, done: Sequence[tuple[LabelledVideo, EmbeddedVideo]], text_model: str = "auto"
) -> SupportSet:
    """Make a support set of videos that are embedded; of byte-identical ones the first is taken.

    Args:
        embedder: of the videos
        done: labelled videos, and their embeddings as `keyed` gives them
        text_model: as of `class_keys`

    Raises:
        InputError: if one video has two classes
    """
    table = VideoTable(
        path=tuple(each.name or result.name for each, result in done),
        label=tuple(each.label for each, _ in done),
        split=(SPLIT,) * len(done),
        group=tuple(each.group for each, _ in done),
        content=tuple(result.content for _, result in done),
    )
    sources = tuple(_source(each.video) for each, _ in done)
    batch = concatenated([result.batch for _, result in done])
    support = SupportSet(table, sources, batch, embedder.origin, text_model_of(embedder, text_model))
    return _without_copies(support)


def keyed(batch: EmbeddedBatch, key: torch.Tensor | None) -> EmbeddedBatch:
    """Embeddings of one video as a support set holds them, with the key (D,) of its class if there is one."""
    stored = as_stored(batch)
    return stored if key is None else replace(stored, arrays={**stored.arrays, CLASS_KEYS: key[None].float()})


def labelled(videos: Sequence[Video], labels: Sequence[object]) -> list[LabelledVideo]:
    """Pair videos with their labels.

    Raises:
        InputError: if their numbers differ
    """
    if len(videos) != len(labels):
        raise InputError(f"{len(videos)} videos and {len(labels)} labels; give a label for each video")
    pairs = enumerate(zip(videos, labels, strict=True))
    return [LabelledVideo(video, str(label), name_of(number, video)) for number, (video, label) in pairs]


def _source(video: Video) -> str:
    return readable(os.path.abspath(as_path(video))) if is_path(video) else ""


def _without_copies(support: SupportSet) -> SupportSet:
    copies = {row for rows in support.videos.duplicates() for row in rows.tolist()[1:]}
    return support.take([row for row in range(len(support)) if row not in copies]) if copies else support


def _refuse_lost_classes(videos: Sequence[LabelledVideo], labels: Sequence[str], broken: Sequence[BrokenVideo]) -> None:
    lost = sorted({each.label for each in videos} - set(labels))
    if lost:
        first = broken[0]
        raise InputError(
            f"class {lost[0]!r}: none of its videos can be read, such as {first.name}: {first.reason}; give others, or"
            " leave the class out"
        )
