"""What the base maps say before anything is trained: their mean, principal axes, and how videos of a class differ.

An encoder may start from it (see Trunk) and learn only what is to be added. Further levels of scores follow from it in
closed form: appearance, motion and change, of frames and of difference images, whose nuisance directions are shrunk by
within-class whitening. They see a frame as the power mean of its patches, in which what is small but strong counts
(Radenovic, Tolias, Chum: Fine-tuning CNN image retrieval with no human annotation, 2018, section 3.2). None of it is in
the paper.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hcl.train.encoders.whitening import MOST_DIRECTIONS, SHRINKAGE, WithinClass, choose_shrinkage

MOST_AXES = 512  # principal axes that are kept: 82 to 98 % of the variance of real maps
POWER = 3  # of the mean over the patches of a frame, odd; chosen on val classes
LEVELS_OF_INPUTS = (  # of the mean of the frames, of their course, and of how much they change
    ("appearance", "motion", "change"),
    ("difference", "difference_motion", "difference_change"),
)
UNTRAINED_OF_INPUTS = (
    ("untrained", "untrained_motion", "untrained_change"),
    ("untrained_difference", "untrained_difference_motion", "untrained_difference_change"),
)
PATCHES_PER_VIDEO = 64  # that the principal axes are computed from


class BaseVideo(NamedTuple):
    """What the geometry is told of a base video."""

    maps: Tensor  # (views, T, P, C)
    label: int
    group: str = ""  # such as the person filmed; "": unknown


class Geometry(nn.Module):
    """Principal axes and whitening of the base maps; buffers that `fit` fills, nothing that learns.

    Args:
        channels: C, of the maps
        frames: T
        width: D, of the encoder: rotated patches have a mean squared length of D
        inputs: I, images that were mapped for each frame, it and its difference image: their channels stand side by
            side, each image has principal axes of its own
    """

    mean: Tensor
    frame_mean: Tensor
    axes: Tensor
    video_scale: Tensor

    def __init__(self, *, channels: int, frames: int, width: int, inputs: int = 1) -> None:
        super().__init__()
        self.width, self.inputs = width, inputs
        channels //= inputs  # of one image
        count = min(channels, MOST_AXES)
        self.register_buffer("mean", torch.zeros(inputs, channels))  # of patches
        self.register_buffer("frame_mean", torch.zeros(inputs, channels))  # of the frames of canonical views
        self.register_buffer("axes", torch.eye(channels)[:, :count].repeat(inputs, 1, 1))  # (I, C, A)
        self.register_buffer("video_scale", torch.ones(inputs))  # base videos have a mean squared length of 1
        for mean, course, change in LEVELS_OF_INPUTS[:inputs]:
            self.register_buffer(mean, torch.eye(count, MOST_DIRECTIONS))
            self.register_buffer(f"{course}_mean", torch.zeros(frames * count))
            self.register_buffer(course, torch.eye(frames * count, MOST_DIRECTIONS))
            self.register_buffer(f"{change}_mean", torch.zeros(channels))
            self.register_buffer(change, torch.eye(channels, MOST_DIRECTIONS))

    @property
    def axis_count(self) -> int:
        """The number of principal axes of all I images together."""
        return self.axes.shape[2] * self.inputs

    def rotate(self, maps: Tensor) -> Tensor:
        """Centre maps by the base mean and turn them onto the principal axes: (..., I * C) to (..., A * I).

        The largest axes of all images come first.
        """
        return torch.stack(list(self._rotated(maps, self.mean)), dim=-1).flatten(-2)

    def _rotated(self, maps: Tensor, means: Tensor) -> Iterator[Tensor]:
        """The rotated maps of each image, minus a mean (I, C): (..., I * C) to I of (..., A)."""
        for of_input, mean, axes in zip(maps.chunk(self.inputs, dim=-1), means, self.axes, strict=True):
            yield nn.functional.linear(of_input, axes.T.to(maps.dtype), -(mean @ axes).to(maps.dtype))

    def vectors(self, maps: Tensor) -> dict[str, Tensor]:
        """Describe videos without anything learned by gradients.

        Args:
            maps: (B, T, P, C)

        Returns:
            float32, by name: untrained (B, A), the centred mean of the frames, each the power mean of its patches;
            untrained_motion (B, T * A), how each frame differs from that mean; untrained_change (B, C), how far each
            channel of the frames spreads around its mean, centred; appearance, motion and change (B, 200), the same
            whitened; where there are difference images, the same six of these
        """
        vectors: dict[str, Tensor] = {}
        pooled = power_mean(maps)  # (B, T, I * C)
        changes = change_of(pooled).chunk(self.inputs, dim=-1)  # (B, C) each
        for place, frames in enumerate(self._rotated(pooled, self.frame_mean)):  # (B, T, A)
            means, motion = frames.mean(dim=1), motion_of(frames)
            mean, course, change = LEVELS_OF_INPUTS[place]
            untrained_mean, untrained_course, untrained_change = UNTRAINED_OF_INPUTS[place]
            centred = changes[place] - self.get_buffer(f"{change}_mean")
            vectors |= {
                untrained_mean: means * self.video_scale[place],
                untrained_course: motion,
                untrained_change: centred,
                mean: means @ self.get_buffer(mean),
                course: (motion - self.get_buffer(f"{course}_mean")) @ self.get_buffer(course),
                change: centred @ self.get_buffer(change),
            }
        return vectors

    @torch.no_grad()
    def fit(self, videos: Iterable[BaseVideo]) -> float:
        """Learn from the base videos.

        Args:
            videos: the several views of each are averaged for its vectors

        Returns:
            the shrinkage of the whitening of means and changes, as of `choose_shrinkage`; motion loses by a small one,
            so that its own is fixed
        """
        frames, changes, canonical, labels, groups = [], [], [], [], []
        width = self.mean.shape[1]
        total, second, count = torch.zeros_like(self.mean), torch.zeros(self.inputs, width, width), 0
        for maps, label, group in videos:
            patches = maps[:1].float().flatten(0, 2).to(self.mean.device)
            patches = patches[:: max(1, len(patches) // PATCHES_PER_VIDEO)]  # (n, I * C)
            patches = patches.view(len(patches), self.inputs, -1).transpose(0, 1)  # (I, n, C)
            total, count = total + patches.sum(dim=1), count + patches.shape[1]
            second = second.to(patches.device).baddbmm_(patches.transpose(1, 2), patches)
            of_views = power_mean(maps)  # (views, T, I * C)
            frames.append(of_views.mean(dim=0))
            changes.append(change_of(of_views).mean(dim=0))
            canonical.append(of_views[0].mean(dim=0))
            labels.append(label)
            groups.append(group)
        self.mean.copy_(total / count)
        covariance = (second / count - self.mean[:, :, None] * self.mean[:, None]).double()
        for axes, of_input in zip(self.axes, covariance, strict=True):
            axes.copy_(principal_axes(of_input, self.width / self.inputs)[:, : axes.shape[1]])
        classes = torch.tensor(labels, device=self.mean.device)
        of_videos = torch.stack(frames).to(self.mean.device)  # (V, T, I * C)
        of_changes = torch.stack(changes).to(self.mean.device).chunk(self.inputs, dim=-1)  # (V, C) each
        self.frame_mean.copy_(torch.stack(canonical).mean(dim=0).view_as(self.frame_mean))
        turned = list(self._rotated(of_videos, self.frame_mean))  # (V, T, A) each
        of_means = [frames_of.mean(dim=1) for frames_of in turned]
        shrinkage = choose_shrinkage([*of_means, *of_changes], classes, groups)
        for place, (means, frames_of) in enumerate(zip(of_means, turned, strict=True)):
            motion, spread = motion_of(frames_of), of_changes[place]
            length = (means - means.mean(dim=0)).square().sum(dim=1).mean()
            self.video_scale[place] = length.clamp(min=1e-12).rsqrt()
            mean, course, change = LEVELS_OF_INPUTS[place]
            self.get_buffer(mean).copy_(whitened(means, classes, shrinkage))
            self.get_buffer(f"{course}_mean").copy_(motion.mean(dim=0))
            self.get_buffer(course).copy_(whitened(motion, classes))
            self.get_buffer(f"{change}_mean").copy_(spread.mean(dim=0))
            self.get_buffer(change).copy_(whitened(spread, classes, shrinkage))
        return shrinkage


def principal_axes(covariance: Tensor, width: float) -> Tensor:
    """The principal axes, largest variance first, scaled so that what is turned onto them has a mean squared length.

    Args:
        covariance: (C, C), float64
        width: that mean squared length

    Returns:
        (C, C), an axis a column, its largest entry positive: it has no direction of its own
    """
    values, vectors = torch.linalg.eigh(covariance)
    scale = (width / values.clamp(min=0).sum().clamp(min=1e-12)).sqrt()
    largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
    axes: Tensor = (vectors * largest.sign()).flip(1) * scale
    return axes


def power_mean(maps: Tensor) -> Tensor:
    """The mean of the cubes of a frame's patches, and of that the cube root: (..., P, C) to (..., C), float32.

    What is below 0 has such a mean of its own, which is subtracted: the root of a sum of both signs, near 0, would
    enlarge the rounding of the maps. Roots are taken in float64: those of float32 differ in their last bit with the
    place of a value in the tensor.
    """
    cubes = maps.float().pow(POWER)
    if not (cubes < 0).any():  # such as those of a ResNet, in half the time
        return cubes.mean(dim=-2).double().pow(1 / POWER).float()
    above, below = (part.mean(dim=-2).double().pow(1 / POWER) for part in (cubes.clamp(min=0), (-cubes).clamp(min=0)))
    return (above - below).float()


def motion_of(frames: Tensor) -> Tensor:
    """How each frame differs from the video's mean, in the order of the frames: (B, T, A) to (B, T * A)."""
    return (frames - frames.mean(dim=1, keepdim=True)).flatten(1)


def change_of(frames: Tensor) -> Tensor:
    """How far each channel spreads around its mean over the frames, whatever their order: (..., T, C) to (..., C).

    A standard deviation; of a single frame 0.
    """
    return frames.std(dim=-2, correction=0)


def whitened(vectors: Tensor, labels: Tensor, shrinkage: float = SHRINKAGE) -> Tensor:
    """The within-class whitening of vectors (V, n), filled up with zero columns, which change no cosine: (n, 200)."""
    whitening = WithinClass.of(vectors, labels).whitening(shrinkage).to(vectors.dtype)
    return nn.functional.pad(whitening, (0, MOST_DIRECTIONS - whitening.shape[1]))
