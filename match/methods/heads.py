"""Heads that several methods share: from frame embeddings to the arrays that a method scores from."""

from __future__ import annotations

from torch import Tensor, nn


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
