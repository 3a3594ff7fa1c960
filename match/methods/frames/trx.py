"""Attention from tuples of a query's frames to all tuples of a class.

Toby Perrett, Alessandro Masullo, Tilo Burghardt, Majid Mirmehdi, Dima Damen: Temporal-Relational CrossTransformers for
Few-Shot Action Recognition, 2021, sections 3.2 and 3.3, for pairs and triples of frames. The learned maps from tuples
to keys and values belong to the encoder, so that a store holds keys and values and no weights are needed to score:
linear maps of the frames of a tuple, positions added to the frames, and a LayerNorm of the keys. Queries and supports
share the maps; positions are scaled by 0.1 and distances are squared, as in the authors' code. Deviations: no dropout
behind the positions; keys and values are as wide as all embeddings (the paper's have 1152).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hcl.extract.system.errors import InputError
from hcl.match.embeddings import Arrays
from hcl.match.methods.heads import FramePositions

SIZES = (2, 3)  # frames of a tuple, the paper's cardinalities
REBUILT_BYTES = 2 * 2**20  # of rebuilt tuples, so that they stay in a core's cache; a block has at least one episode


class Trx:
    """A class is all tuples of frames of its supports; attention rebuilds the query's tuples from them."""

    axes = {f"{kind}_{size}": ("video", "tuple", "embedding") for size in SIZES for kind in ("keys", "values")}
    pairwise = False

    def class_scores(self, queries: Arrays, supports: Arrays) -> Tensor:
        """Average the scores of all sizes of tuples, from "keys_2", "values_2", "keys_3" and "values_3"."""
        of_sizes = [
            tuple_scores(*(arrays[f"{kind}_{size}"] for arrays in (queries, supports) for kind in ("keys", "values")))
            for size in SIZES
        ]
        return torch.stack(of_sizes).mean(dim=0)

    def make_head(self, frames: int, width: int) -> nn.Module:
        """Keys and values of every increasing tuple of frames.

        Raises:
            InputError: if a video has fewer frames than a tuple
        """
        return TupleHead(frames, width, name="trx")


def tuple_scores(query_keys: Tensor, query_values: Tensor, support_keys: Tensor, support_values: Tensor) -> Tensor:
    """Score classes by minus the mean squared distance of a query's tuples to what attention rebuilds of them.

    Args:
        query_keys, query_values: (..., Q, n, D)
        support_keys, support_values: (..., N, K, n, D)

    Returns:
        (..., Q, N)
    """
    leading, (queries, tuples, width) = query_keys.shape[:-3], query_keys.shape[-3:]
    rebuilt_bytes = support_keys.shape[-4] * queries * tuples * width * query_keys.element_size()
    episodes = max(1, REBUILT_BYTES // max(1, rebuilt_bytes))
    parts = [
        torch.split(array.reshape(-1, *array.shape[len(leading) :]), episodes)
        for array in (query_keys, query_values, support_keys, support_values)
    ]
    return torch.cat([_block_scores(*block) for block in zip(*parts, strict=True)]).view(*leading, queries, -1)


def _block_scores(query_keys: Tensor, query_values: Tensor, support_keys: Tensor, support_values: Tensor) -> Tensor:
    """Score the classes of E episodes at once: the shapes of `tuple_scores` with one leading axis."""
    n_way = support_keys.shape[1]
    asking = query_keys.flatten(1, 2)[:, None].expand(-1, n_way, -1, -1)  # (E, N, Q * n, D)
    keys, values = support_keys.flatten(2, 3), support_values.flatten(2, 3)  # (E, N, K * n, D)
    rebuilt = F.scaled_dot_product_attention(asking, keys, values)  # (E, N, Q * n, D)
    distances = (query_values.flatten(1, 2)[:, None] - rebuilt).square().sum(dim=-1)  # (E, N, Q * n)
    return -distances.view(*distances.shape[:2], *query_keys.shape[1:3]).mean(dim=-1).mT  # (E, Q, N)


class TupleHead(nn.Module):
    """Keys and values of every increasing tuple of frames.

    Args:
        frames: T
        width: D, of frames, keys and values
        sizes: frames of a tuple
        name: of the method, for the message

    Raises:
        InputError: if a video has fewer frames than a tuple
    """

    def __init__(self, frames: int, width: int, sizes: tuple[int, ...] = SIZES, *, name: str) -> None:
        super().__init__()
        if frames < max(sizes):
            raise InputError(
                f"method {name} compares tuples of {max(sizes)} frames, the cache has {frames} a video;"
                f" extract with --frames {max(sizes)} or more"
            )
        self.sizes = sizes
        self.keys = nn.ModuleDict({str(size): nn.Linear(size * width, width) for size in sizes})
        self.values = nn.ModuleDict({str(size): nn.Linear(size * width, width) for size in sizes})
        self.norms = nn.ModuleDict({str(size): nn.LayerNorm(width) for size in sizes})
        self.positions = FramePositions(frames, width)
        for size in sizes:
            tuples = torch.combinations(torch.arange(frames), r=size)  # (n, size)
            self.register_buffer(f"tuples_{size}", tuples, persistent=False)

    def forward(self, frame_embeddings: Tensor) -> dict[str, Tensor]:
        """(B, T, D) to keys and values (B, n, D) of the n tuples of each size."""
        placed = self.positions(frame_embeddings)
        arrays = {}
        for size in map(str, self.sizes):
            tuples = self.tuples_of(placed, size)
            arrays[f"keys_{size}"] = self.norms[size](self.keys[size](tuples))
            arrays[f"values_{size}"] = self.values[size](tuples)
        return arrays

    def tuples_of(self, frame_embeddings: Tensor, size: str | int) -> Tensor:
        """Put the frames (B, T, D) of each tuple of some size side by side: (B, n, size * D)."""
        chosen = self.get_buffer(f"tuples_{size}")  # (n, size)
        frames = frame_embeddings.index_select(1, chosen.flatten())  # not [...]: its gradient adds up in a fixed order
        return frames.view(frames.shape[0], len(chosen), -1)  # not len(): an export would fix the number
