"""What the base maps say before anything is trained: their mean, principal axes, and how videos of a class differ.

An encoder starts from it (see Trunk) and learns only what is to be added. Two levels of scores follow from it in closed
form, appearance and motion, whose nuisance directions are shrunk by within-class whitening (Hatch, Kajarekar, Stolcke:
Within-class covariance normalization for SVM-based speaker recognition, 2006). None of it is in the paper.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

MOST_AXES = 512  # principal axes that are kept: 82 to 98 % of the variance of real maps
MOST_DIRECTIONS = 200  # of whitened vectors
SHRINKAGE = 0.1  # of the within-class covariance towards a multiple of the identity; chosen on val classes
PATCHES_PER_VIDEO = 64  # that the principal axes are computed from


class Geometry(nn.Module):
    """Principal axes and whitening of the base maps; buffers that `fit` fills, nothing that learns.

    Args:
        channels: C, of the maps
        frames: T
        width: D, of the encoder: rotated patches have a mean squared length of D
    """

    mean: Tensor
    axes: Tensor
    video_scale: Tensor
    appearance: Tensor
    motion: Tensor
    motion_mean: Tensor

    def __init__(self, *, channels: int, frames: int, width: int) -> None:
        super().__init__()
        count = min(channels, MOST_AXES)
        self.width = width
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("axes", torch.eye(channels)[:, :count].contiguous())  # (C, A)
        self.register_buffer("video_scale", torch.ones(()))  # base videos have a mean squared length of 1
        self.register_buffer("appearance", torch.eye(count, MOST_DIRECTIONS))
        self.register_buffer("motion_mean", torch.zeros(frames * count))
        self.register_buffer("motion", torch.eye(frames * count, MOST_DIRECTIONS))

    @property
    def axis_count(self) -> int:
        """A, the number of principal axes."""
        return self.axes.shape[1]

    def rotate(self, maps: Tensor) -> Tensor:
        """Centre maps by the base mean and turn them onto the principal axes: (..., C) to (..., A)."""
        axes = self.axes.to(maps.dtype)
        return nn.functional.linear(maps, axes.T, -(self.mean @ self.axes).to(maps.dtype))

    def vectors(self, maps: Tensor) -> dict[str, Tensor]:
        """Describe videos without anything learned by gradients.

        Args:
            maps: (B, T, P, C)

        Returns:
            float32, by name: untrained (B, A), the centred mean map; untrained_motion (B, T * A), how each frame
            differs from the video's mean; appearance and motion (B, 200), the same whitened
        """
        frames = self.rotate(maps.float().mean(dim=2))  # (B, T, A)
        mean, motion = frames.mean(dim=1), motion_of(frames)
        return {
            "untrained": mean * self.video_scale,
            "untrained_motion": motion,
            "appearance": mean @ self.appearance,
            "motion": (motion - self.motion_mean) @ self.motion,
        }

    @torch.no_grad()
    def fit(self, videos: Iterable[tuple[Tensor, int]]) -> None:
        """Learn from the base videos.

        Args:
            videos: maps (views, T, P, C) and class of each video; several views are averaged for its vectors
        """
        frames, labels = [], []
        total, second, count = torch.zeros_like(self.mean), torch.zeros(len(self.mean), len(self.mean)), 0
        for maps, label in videos:
            patches = maps[:1].float().flatten(0, 2).to(self.mean.device)
            patches = patches[:: max(1, len(patches) // PATCHES_PER_VIDEO)]  # (n, C)
            total, count = total + patches.sum(dim=0), count + len(patches)
            second = second.to(patches.device).addmm_(patches.T, patches)
            frames.append(maps.float().mean(dim=(0, 2)))  # (T, C)
            labels.append(label)
        self.mean.copy_(total / count)
        covariance = (second / count - torch.outer(self.mean, self.mean)).double()
        values, vectors = torch.linalg.eigh(covariance)
        scale = (self.width / values.clamp(min=0).sum().clamp(min=1e-12)).sqrt()
        largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
        vectors = vectors * largest.sign()  # an axis has no direction of its own: its largest entry is made positive
        self.axes.copy_(vectors.flip(1)[:, : self.axis_count] * scale)
        rotated = self.rotate(torch.stack(frames).to(self.mean.device))  # (V, T, A)
        means, motion, classes = rotated.mean(dim=1), motion_of(rotated), torch.tensor(labels, device=rotated.device)
        length = (means - means.mean(dim=0)).square().sum(dim=1).mean()
        self.video_scale.copy_(length.clamp(min=1e-12).rsqrt())
        self.appearance.copy_(padded(within_class_whitening(means, classes)))
        self.motion_mean.copy_(motion.mean(dim=0))
        self.motion.copy_(padded(within_class_whitening(motion, classes)))


def motion_of(frames: Tensor) -> Tensor:
    """How each frame differs from the video's mean, in the order of the frames: (B, T, A) to (B, T * A)."""
    return (frames - frames.mean(dim=1, keepdim=True)).flatten(1)


def within_class_whitening(
    vectors: Tensor, labels: Tensor, *, shrinkage: float = SHRINKAGE, most: int = MOST_DIRECTIONS
) -> Tensor:
    """Find the directions in which vectors vary, each divided by how much it varies within a class.

    Args:
        vectors: (V, n), of base videos
        labels: (V,) int64, class of each
        shrinkage: s; the within-class covariance S becomes S + s tr(S) / k I, k directions being kept
        most: directions that are kept at most, those of the largest variance

    Returns:
        (n, k), k at most V, n and `most`: centred vectors times it have the shrunk within-class covariance I
    """
    centred = (vectors - vectors.mean(dim=0)).double()
    _, lengths, directions = torch.linalg.svd(centred, full_matrices=False)
    kept = int((lengths > 1e-3 * lengths[0]).sum().clamp(1, most))
    basis = directions[:kept].T  # (n, k)
    of_classes = [centred[labels == label] for label in set(labels.tolist())]
    within = torch.cat([rows - rows.mean(dim=0) for rows in of_classes]) @ basis  # (V, k)
    covariance = within.T @ within / len(within)
    ridge = (shrinkage * covariance.trace() / kept).clamp(min=1e-12)
    values, axes = torch.linalg.eigh(covariance + ridge * torch.eye(kept, dtype=covariance.dtype, device=basis.device))
    whitening: Tensor = (basis @ axes * values.rsqrt()).to(vectors.dtype)
    return whitening


def padded(matrix: Tensor) -> Tensor:
    """Fill up with zero columns, which change no cosine: (n, k) to (n, 200)."""
    return nn.functional.pad(matrix, (0, MOST_DIRECTIONS - matrix.shape[1]))
