"""Contrastive and cycle losses: Eq. 7 to 10 of the paper, as functions of scores and embeddings.

Sipeng Zheng, Shizhe Chen, Qin Jin: Few-shot Action Recognition with Hierarchical Matching and Contrastive Learning,
2022. Every softmax is taken by logsumexp: a score over its temperature can pass 90, where exp overflows float32.
"""

import torch
from torch import Tensor

from hcl.match.scoring.cosines import l2_normalise

ALL_ROWS = slice(None)


def supervised_contrastive(scores: Tensor, labels: Tensor, temperature: float, rows: slice = ALL_ROWS) -> Tensor:
    """Pull the scores of same-class videos above all other scores of their row: Eq. 7, to the letter.

    The sum over ordered pairs of the same class is divided by B squared, whatever the number of such pairs.

    Args:
        scores: (B, B), of video i (row) against video j; or (R, B), some rows of these
        labels: (B,), class of each video
        temperature: divides the scores
        rows: the R rows that `scores` holds; the losses of several parts of the rows add up to that of all rows

    Returns:
        scalar; 0, with zero gradient, when no two videos share a class
    """
    videos = len(labels)
    if scores.shape != (len(labels[rows]), videos):
        raise ValueError(f"{scores.shape = } is not (B, B) for {labels.shape = } and {rows = }")
    _check_temperature(temperature)
    itself = torch.eye(videos, dtype=torch.bool, device=scores.device)[rows]
    positive = (labels[rows, None] == labels[None, :]) & ~itself
    # The lowest finite number, not -inf: a lone video leaves a row without any other, and its gradient would be NaN.
    logits = (scores / temperature).masked_fill(itself, torch.finfo(scores.dtype).min)
    log_probabilities = torch.log_softmax(logits, dim=1)
    return -log_probabilities.masked_fill(~positive, 0).sum() / videos**2


def temporal_cycle(query_clips: Tensor, support_clips: Tensor, top_clips: int, temperature: float = 1.0) -> Tensor:
    """Ask each well-matched clip to find back to itself through the other video: Eq. 8 and 9.

    The T query clips with the best partners (as in Eq. 3) each go to their soft nearest neighbour among all clips of
    the support video, and from there back to one of the T.

    Args:
        query_clips: (M, Nc, D), of the first video of each pair
        support_clips: (M, Nc, D), of the second; its Nc may differ
        top_clips: T; where there are fewer clips, all are taken
        temperature: divides the cosines of both softmaxes; the paper has none, which is 1

    Returns:
        (M,), one loss per pair of videos
    """
    _check_pairs(query_clips, support_clips, temperature)
    if top_clips < 1:
        raise ValueError(f"top_clips must be at least 1, got {top_clips}")
    with torch.no_grad():
        best = (l2_normalise(query_clips) @ l2_normalise(support_clips).mT).amax(dim=2)  # (M, Nc)
        chosen = best.topk(min(top_clips, best.shape[1]), dim=1).indices  # (M, T)
    starts = query_clips.gather(1, chosen[:, :, None].expand(-1, -1, query_clips.shape[2]))  # (M, T, D)
    return _cycle_losses(starts, support_clips, temperature).mean(dim=1)


def spatial_cycle(
    query_patches: Tensor, support_patches: Tensor, attention: Tensor, temperature: float = 1.0
) -> Tensor:
    """Ask each patch of a clip to find back to itself through the other clip, as far as it matters: Eq. 10.

    Args:
        query_patches: (M, Np, D), of the first clip of each pair
        support_patches: (M, Np, D), of the second; its Np may differ
        attention: (M, Np), weight of each query patch (Eq. 5)
        temperature: divides the cosines of both softmaxes; the paper has none, which is 1

    Returns:
        (M,), one loss per pair of clips
    """
    _check_pairs(query_patches, support_patches, temperature)
    if attention.shape != query_patches.shape[:2]:
        raise ValueError(f"{attention.shape = } is not the (M, Np) of {query_patches.shape = }")
    return (attention * _cycle_losses(query_patches, support_patches, temperature)).mean(dim=1)


def _cycle_losses(starts: Tensor, others: Tensor, temperature: float) -> Tensor:
    """-log of the probability that each start returns to itself by way of its soft nearest neighbour: Eq. 8.

    Args:
        starts: (M, N, D), clips or patches of one video
        others: (M, K, D), those of the other video, of which the neighbours are made
        temperature: divides the cosines of both softmaxes

    Returns:
        (M, N)
    """
    products = starts @ others.mT  # (M, N, K); cosines follow by dividing these, which costs less than the vectors
    of_starts, of_others = _inverse_length(starts), _inverse_length(others)
    there = torch.softmax(products * (of_starts[:, :, None] / temperature) * of_others[:, None], dim=2)  # betas, Eq. 8
    of_neighbours = _inverse_length(there @ others)  # the neighbours are sums of the raw embeddings, as Eq. 8 has them
    back = (there @ products.mT) * (of_neighbours[:, :, None] / temperature) * of_starts[:, None]  # (M, N, N)
    return -torch.log_softmax(back, dim=2).diagonal(dim1=1, dim2=2)


def _inverse_length(vectors: Tensor) -> Tensor:
    """1 over the length of each vector, (M, N, D) to (M, N); 1 for a zero vector, whose cosines are 0."""
    length = torch.linalg.vector_norm(vectors, dim=2)
    return 1 / torch.where(length > 0, length, 1)


def _check_pairs(queries: Tensor, supports: Tensor, temperature: float) -> None:
    if queries.ndim != 3 or supports.ndim != 3 or queries.shape[::2] != supports.shape[::2]:
        raise ValueError(f"{queries.shape = } and {supports.shape = } are not (M, N, D) of the same M and D")
    _check_temperature(temperature)


def _check_temperature(temperature: float) -> None:
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
