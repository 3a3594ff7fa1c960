"""The ImageNet ResNet without training: cosines of mean maps.

Sipeng Zheng, Shizhe Chen, Qin Jin: Few-shot Action Recognition with Hierarchical Matching and Contrastive Learning,
2022, Table 1, row 1. Deviation: the frozen maps are those of the cache, whatever backbone made them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hcl.match.embeddings import MEAN_MAP, Arrays
from hcl.match.scoring.cosines import l2_normalise


class MeanMap:
    """A support is as near as the mean maps are similar; any embedding store serves."""

    axes = MEAN_MAP
    pairwise = True
    are_cosines = True

    def class_scores(self, queries: Arrays, supports: Arrays) -> Tensor:
        """Score classes from "mean_map"."""
        return mean_map_scores(queries["mean_map"], supports["mean_map"])

    def make_head(self, frames: int, width: int) -> nn.Module:
        """There is none: nothing is trained.

        Raises:
            ValueError: always
        """
        raise ValueError("mean maps are scored as they are: there is no head to train")


def mean_map_scores(queries: Tensor, supports: Tensor) -> Tensor:
    """Score classes by the mean cosine with their supports.

    Args:
        queries: (..., Q, C) mean maps
        supports: (..., N, K, C)

    Returns:
        (..., Q, N), in [-1, 1]
    """
    return torch.einsum("...qc,...nkc->...qnk", l2_normalise(queries), l2_normalise(supports)).mean(dim=-1)
