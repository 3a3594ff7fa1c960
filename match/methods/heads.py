"""Parts that several methods share: from frame embeddings to the arrays that a method scores from, and attention."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hcl.match.scoring.cosines import l2_normalise

POSITION_SCALE = 0.1  # of what stands for the place of a frame, beside its embedding


class VideoHead(nn.Module):
    """One embedding per video, the mean over its frames."""

    def forward(self, frame_embeddings: Tensor) -> dict[str, Tensor]:
        """(B, T, D) to "global" (B, D)."""
        return {"global": frame_embeddings.mean(dim=1)}


class FrameHead(nn.Module):
    """One embedding per frame, as it comes."""

    def forward(self, frame_embeddings: Tensor) -> dict[str, Tensor]:
        """(B, T, D) to "frames" (B, T, D)."""
        return {"frames": frame_embeddings}


class Attention(nn.Module):
    """What queries gather from other tokens, by scaled dot products (Vaswani et al., 2017, section 3.2).

    Args:
        width: D, a multiple of heads
        heads: H
    """

    def __init__(self, width: int, heads: int = 1) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{width = } is no multiple of {heads = }")
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, others: Tensor) -> Tensor:
        """Gather for tokens (..., n, D) from others (..., m, D), with the same leading axes: (..., n, D)."""
        parts = (self.query(tokens), self.key(others), self.value(others))
        queries, keys, values = (part.unflatten(-1, (self.heads, -1)).transpose(-3, -2) for part in parts)
        gathered = F.scaled_dot_product_attention(queries, keys, values)  # (..., H, n, D / H)
        joined: Tensor = self.out(gathered.transpose(-3, -2).flatten(-2))
        return joined


class FramePositions(nn.Module):
    """Adds to each frame where it stands in its video, by sinusoids of a tenth of their size, as TRX does.

    Args:
        frames: T
        width: D
    """

    positions: Tensor  # (T, D)

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        self.register_buffer("positions", POSITION_SCALE * sinusoids(frames, width), persistent=False)

    def forward(self, frame_embeddings: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        return frame_embeddings + self.positions


def frame_distances(queries: Tensor, supports: Tensor) -> Tensor:
    """1 minus the cosines of all frames of queries with all of supports.

    Args:
        queries: (..., Q, T, D) frame embeddings
        supports: (..., N, K, U, D)

    Returns:
        (..., Q, N, K, T, U)
    """
    return 1 - torch.einsum("...qtd,...nkud->...qnktu", l2_normalise(queries), l2_normalise(supports))


def sinusoids(frames: int, width: int) -> Tensor:
    """Make the positions of the first transformer (Vaswani et al., 2017, section 3.5): (T, D)."""
    rates = 10_000 ** (-torch.arange(0, width, 2) / width)  # (ceil(D / 2),)
    angles = torch.arange(frames)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]


def in_blocks(
    score: Callable[[Tensor, Tensor], Tensor], queries: Tensor, supports: Tensor, *, leading: int, episodes: int
) -> Tensor:
    """Score some episodes at a time, so that what is made of every pair of videos takes little memory.

    Args:
        score: (E, ...) of queries and (E, ...) of supports to (E, ...)
        queries: with `leading` axes in front
        supports: with the same ones
        leading: number of these axes
        episodes: at a time

    Returns:
        the scores, with the leading axes in front
    """
    flat = [torch.split(part.reshape(-1, *part.shape[leading:]), max(1, episodes)) for part in (queries, supports)]
    scores = torch.cat([score(*block) for block in zip(*flat, strict=True)])
    return scores.view(*queries.shape[:leading], *scores.shape[1:])
