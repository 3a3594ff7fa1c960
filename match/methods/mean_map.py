"""The untrained network: cosines of mean ResNet maps.

Sipeng Zheng, Shizhe Chen, Qin Jin: Few-shot Action Recognition with Hierarchical Matching and Contrastive Learning,
2022, Table 1, row 1. Deviation: the frozen maps are those of the cache, whatever backbone made them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hcl.match.scoring.cosines import l2_normalise


def class_scores(queries: Tensor, supports: Tensor) -> Tensor:
    """Score classes by the mean cosine with their supports.

    Args:
        queries: (..., Q, C) mean maps
        supports: (..., N, K, C)

    Returns:
        (..., Q, N), in [-1, 1]
    """
    return torch.einsum("...qc,...nkc->...qnk", l2_normalise(queries), l2_normalise(supports)).mean(dim=-1)
