"""The losses of a batch that a training step minimises, by method."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from hcl.match.embeddings import Embeddings
from hcl.train.config import TrainConfig
from hcl.train.data.batches import Batch
from hcl.train.distributed import gathered, process_count, rank_slice
from hcl.train.encoders.baseline_encoder import BaselineEncoder
from hcl.train.encoders.factory import Trainable
from hcl.train.encoders.video_encoder import VideoEncoder
from hcl.train.losses.episodic import method_loss
from hcl.train.losses.objective import objective, term_weights


class BatchLosses(Protocol):
    """The losses of a method."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the losses, "total" first."""

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Embed a batch and compute its losses, by name; gradients flow from "total".

        Each of several processes embeds its share of the batch and returns its part of each loss: the parts add up to
        the losses of the batch.
        """


def make_losses(
    encoder: Trainable, config: TrainConfig, text: Tensor | None, autocast: torch.dtype | None
) -> BatchLosses:
    """Choose the losses of an encoder's method.

    Args:
        encoder: on the device to train on
        config: of the objective
        text: (classes, E), text embedding of each base class; None: no semantic attention
        autocast: precision of the encoder's products; None: float32
    """
    if isinstance(encoder, BaselineEncoder):
        return EpisodicLosses(encoder, autocast)
    return ObjectiveLosses(encoder, config, text, autocast)


class ObjectiveLosses:
    """The losses of HCL: the six terms of Eq. 11."""

    def __init__(
        self, encoder: VideoEncoder, config: TrainConfig, text: Tensor | None, autocast: torch.dtype | None
    ) -> None:
        self.encoder, self.config, self.autocast = encoder, config, autocast
        self.text = None if text is None else text.to(encoder.projection.weight.device, torch.float32)
        self.names = ("total", *term_weights(config))

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """The total, and the terms that are on, detached."""
        rows = rank_slice(len(batch.labels))
        with torch.autocast(batch.maps.device.type, self.autocast, enabled=self.autocast is not None):
            text = None
            if self.text is not None:
                text = self.text.index_select(0, batch.labels[rows].to(self.text.device, non_blocking=True))
            embeddings = self.encoder(batch.maps, text)
            logits = self.encoder.logits(embeddings.global_)
        embeddings = Embeddings.of_arrays(gathered(embeddings.arrays()), embeddings.clip_frames)
        terms = objective(embeddings, logits, batch.labels, self.config, rows=rows, search_dtype=self.autocast)
        return terms.values() | {"total": terms.total}


class EpisodicLosses:
    """Those of a method other than HCL: the batch is an episode."""

    names = ("total",)

    def __init__(self, encoder: BaselineEncoder, autocast: torch.dtype | None) -> None:
        self.encoder, self.autocast = encoder, autocast

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """The total alone."""
        with torch.autocast(batch.maps.device.type, self.autocast, enabled=self.autocast is not None):
            arrays = gathered(self.encoder(batch.maps))
        loss = method_loss(self.encoder.scorer, arrays, n_way=len(set(batch.labels.tolist())))
        return {"total": loss / process_count()}  # every process has all of it
