"""A few labelled videos of each class, as embeddings in memory; adding and removing videos gives another set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.classify.config import NONE
from hcl.classify.embedding.origin import Origin
from hcl.extract.cache.video_table import VideoTable
from hcl.extract.system.errors import InputError
from hcl.match.config import HCL
from hcl.match.embeddings import Arrays
from hcl.match.store.batch import EmbeddedBatch, array_axes
from hcl.train.encoders.geometry import UNTRAINED_OF_INPUTS
from hcl.train.encoders.untrained import centred_arrays

SPLIT = "novel"  # of every support
CLASS_KEYS = "class_keys"


@dataclass(frozen=True)
class SupportSet:
    """Labelled videos and their embeddings, untrained ones not centred.

    Args:
        videos: V of them, in the order in which they came
        sources: where the file of each is; "" for frames that were given as an array
        batch: their arrays as a store holds them; class keys too, where the run reads class texts
        origin: what the embeddings follow from
        text_model: model and sha256 of what embedded the class texts; None: no semantic attention
    """

    videos: VideoTable
    sources: tuple[str, ...]
    batch: EmbeddedBatch
    origin: Origin
    text_model: dict[str, str] | None = None

    def __post_init__(self) -> None:
        if not len(self.videos) == len(self.sources) == len(self.batch):
            raise ValueError(f"{len(self.videos)} videos, {len(self.sources)} sources, {len(self.batch)} embeddings")
        if NONE in self.videos.label:
            raise InputError(
                f"class {NONE!r}: so a video is called that is of no class; rename the class, or leave it out and let"
                " --reject find such videos"
            )
        self._refuse_two_labels()

    def __len__(self) -> int:
        return len(self.videos)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The N classes, in alphabetical order."""
        return tuple(sorted(set(self.videos.label)))

    @cached_property
    def classes(self) -> NDArray[np.int64]:
        """(V,) the class of each video, as its place among `class_names`."""
        return np.array([self.class_names.index(label) for label in self.videos.label], dtype=np.int64)

    @property
    def sizes(self) -> dict[str, int]:
        """The videos of each class."""
        return {name: self.videos.label.count(name) for name in self.class_names}

    @property
    def is_trained(self) -> bool:
        """Whether a run's encoder embedded the videos."""
        return bool(self.origin.encoder_sha256)

    @cached_property
    def mean(self) -> torch.Tensor:
        """(C,) the mean of the videos' maps, by which untrained embeddings are centred."""
        return torch.from_numpy(self.batch.mean_map.mean(axis=0))

    @cached_property
    def known_means(self) -> dict[str, torch.Tensor]:
        """What the untrained levels of mean frames and of change are centred by, by name: (C / I,) of each image."""
        centred = (name for mean, _, change in UNTRAINED_OF_INPUTS for name in (mean, change))
        names = [name for name in centred if name in self.batch.arrays]
        return {name: self.batch.arrays[name].float().mean(dim=0) for name in names}

    def compared(self, batch: EmbeddedBatch) -> EmbeddedBatch:
        """The arrays of videos as they are compared: as a store holds them, and centred where nothing was trained.

        Args:
            batch: of any videos, embedded as these
        """
        if self.is_trained or batch.clip_frames is None:
            return as_stored(batch)
        arrays = centred_arrays(batch.arrays, batch.clip_frames, self.mean, self.known_means)
        return as_stored(replace(batch, arrays=arrays))

    def joined(self, other: SupportSet) -> SupportSet:
        """These videos, then others; a video that is there already stays as it is.

        Raises:
            InputError: if the others were embedded otherwise, or a video is of another class than here
        """
        self.origin.refuse_other(other.origin, "support set")
        if self.text_model != other.text_model:
            raise InputError("support set: its class texts are embedded by another model, or by none; make it anew")
        both = SupportSet(
            VideoTable(
                **{
                    each.name: getattr(self.videos, each.name) + getattr(other.videos, each.name)
                    for each in fields(VideoTable)
                }
            ),
            self.sources + other.sources,
            concatenated([self.batch, other.batch]),
            self.origin,
            self.text_model,
        )
        copies = {row for rows in both.videos.duplicates() for row in rows.tolist()[1:]}
        return both.take([row for row in range(len(both)) if row not in copies])

    def without(self, name: str) -> SupportSet:
        """These videos without those of a class, or without one video, called by its path.

        Raises:
            InputError: if nothing is called so, or nothing would be left
        """
        named = zip(self.videos.label, self.videos.path, self.sources, strict=True)
        kept = [row for row, (label, path, source) in enumerate(named) if name not in (label, path, source)]
        if len(kept) == len(self):
            raise InputError(
                f"{name}: no class or video of the support set; its classes are {', '.join(self.class_names)}"
            )
        if not kept:
            raise InputError(f"{name}: nothing would be left of the support set; remove its folder instead")
        return self.take(kept)

    def take(self, rows: Sequence[int]) -> SupportSet:
        """Take some of the videos."""
        chosen = torch.tensor(list(rows), dtype=torch.int64)
        arrays = {name: array[chosen] for name, array in self.batch.arrays.items()}
        return replace(
            self,
            videos=self.videos.take(chosen.numpy()),
            sources=tuple(self.sources[row] for row in rows),
            batch=replace(self.batch, arrays=arrays, mean_map=self.batch.mean_map[chosen.numpy()]),
        )

    def _refuse_two_labels(self) -> None:
        for rows in self.videos.duplicates():
            labels = sorted({self.videos.label[row] for row in rows})
            if len(labels) > 1:
                names = " = ".join(self.videos.path[row] for row in rows)
                raise InputError(
                    f"{names}: the same video as a support of {' and of '.join(labels)}; keep it in one class"
                )


def as_stored(batch: EmbeddedBatch) -> EmbeddedBatch:
    """Round arrays as a store does: patches and long vectors to float16."""
    stored = batch.stored(array_axes(HCL))
    mean_map = stored.pop("mean_map")
    return replace(batch, arrays={name: torch.from_numpy(array) for name, array in stored.items()}, mean_map=mean_map)


def concatenated(batches: Sequence[EmbeddedBatch]) -> EmbeddedBatch:
    """The videos of several batches one after the other."""
    first = batches[0]
    arrays: Arrays = {name: torch.cat([batch.arrays[name] for batch in batches]) for name in first.arrays}
    return replace(first, arrays=arrays, mean_map=np.concatenate([batch.mean_map for batch in batches]))
