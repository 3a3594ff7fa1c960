"""Random patches and channels of cached maps are left out in each training step, against overfitting."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Augmentation(nn.Module):
    """Leaves out patches and channels at random while training; in evaluation mode maps stay as they are.

    Random numbers come from torch's generator, as those of dropout do.

    Args:
        patch_keep_rate: share of the patches that are kept, the same in all frames of a video
        channel_dropout: share of the channels that are zero in all of a video; the others are scaled up
    """

    def __init__(self, *, patch_keep_rate: float, channel_dropout: float) -> None:
        super().__init__()
        self.patch_keep_rate, self.channel_dropout = patch_keep_rate, channel_dropout

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor | None]:
        """Augment maps.

        Args:
            maps: (B, T, P, C)

        Returns:
            (B, T, K, C), and the places (B, K) of these patches within their frames; None if all are kept
        """
        if not self.training:
            return maps, None
        places = None
        if self.patch_keep_rate < 1:
            places = random_places(len(maps), maps.shape[2], self.patch_keep_rate, maps.device)
            maps = take_patches(maps, places)
        if self.channel_dropout > 0:
            maps = maps * F.dropout(maps.new_ones(len(maps), 1, 1, maps.shape[3]), self.channel_dropout)
        return maps, places


def take_patches(maps: Tensor, places: Tensor) -> Tensor:
    """Take the patches at some places (B, K) of all frames: (B, T, P, C) to (B, T, K, C), row by row."""
    videos, frames, patches, channels = maps.shape
    firsts = torch.arange(videos * frames, device=maps.device).view(videos, frames, 1) * patches
    rows = (firsts + places[:, None]).flatten()
    return maps.reshape(-1, channels).index_select(0, rows).view(videos, frames, -1, channels)


def random_places(videos: int, patches: int, share: float, device: torch.device) -> Tensor:
    """Draw different places for each video: (B, K) int64, K = share * patches, one at least."""
    return torch.rand(videos, patches, device=device).topk(max(1, round(share * patches)), dim=1).indices
