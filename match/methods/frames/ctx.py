"""Attention from a query's frames to all frames of a class.

Carl Doersch, Ankush Gupta, Andrew Zisserman: CrossTransformers: spatially-aware few-shot transfer, 2020, Eq. 1 to 3:
query and key head are one, the value head is shared by queries and supports, and a class is minus the mean squared
distance between the query's values and what attention rebuilds of them from the class. Deviations: the places that
attend to each other are the frames of videos, not the cells of an image, as in the comparisons of the papers on video;
keys and values are as wide as all embeddings (the paper's have 128). The heads belong to the encoder, so that no
weights are needed to score. It is `trx` for tuples of one frame, without positions and without a norm of the keys.
"""

from __future__ import annotations

from torch import Tensor, nn

from hcl.match.embeddings import Arrays
from hcl.match.methods.frames.trx import tuple_scores


class Ctx:
    """A class is all frames of its supports; attention rebuilds the query's frames from them."""

    axes = {name: ("video", "frame", "embedding") for name in ("frame_keys", "frame_values")}
    pairwise = False

    def class_scores(self, queries: Arrays, supports: Arrays) -> Tensor:
        """Score classes from "frame_keys" and "frame_values"."""
        return tuple_scores(*(arrays[name] for arrays in (queries, supports) for name in self.axes))

    def make_head(self, frames: int, width: int) -> nn.Module:
        """Keys and values of every frame."""
        return KeyValueHead(width)


class KeyValueHead(nn.Module):
    """A linear key and a linear value of every frame; both D wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)

    def forward(self, frame_embeddings: Tensor) -> dict[str, Tensor]:
        """(B, T, D) to keys and values (B, T, D)."""
        return {"frame_keys": self.key(frame_embeddings), "frame_values": self.value(frame_embeddings)}
