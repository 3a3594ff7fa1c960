"""More classes from the videos at hand: seen in a mirror or run backwards, a movement is another movement.

An encoder that tells them apart learns left from right and before from after, which no base class may need. Only base
videos are turned; val and novel ones are embedded as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class VideoTransform:
    """One way of turning all frames of a video, or none."""

    mirrored: bool = False
    reversed: bool = False

    @property
    def suffix(self) -> str:
        """What the name of a class takes on, such as " (hflip)"; "" for videos as they are."""
        words = [word for word, there in (("hflip", self.mirrored), ("reverse", self.reversed)) if there]
        return f" ({', '.join(words)})" if words else ""

    def __call__(self, maps: Tensor, grid: tuple[int, int]) -> Tensor:
        """Turn maps (B, T, P, C) whose P patches lie row by row in a grid of (rows, columns); same shape."""
        axes = ([3] if self.mirrored else []) + ([1] if self.reversed else [])
        in_rows = maps.reshape(*maps.shape[:2], *grid, maps.shape[3])
        return in_rows.flip(axes).flatten(2, 3)


AS_IS = VideoTransform()
MIRRORED, REVERSED, BOTH = (
    VideoTransform(mirrored=True),
    VideoTransform(reversed=True),
    VideoTransform(mirrored=True, reversed=True),
)
VERSIONS = {
    "none": (AS_IS,),
    "hflip": (AS_IS, MIRRORED),
    "reverse": (AS_IS, REVERSED),
    "both": (AS_IS, MIRRORED, REVERSED, BOTH),
}  # of each base video that are trained on, by the setting class_augmentation


def class_versions(classes: int, class_augmentation: str) -> int:
    """Count the classes that so many base classes make with all their versions."""
    return classes * len(VERSIONS[class_augmentation])


@dataclass(frozen=True)
class ClassAugmentation:
    """The versions in which each video is seen; each version of a class is a class of its own.

    A *sample* is a video in one version: sample k * V + v is video v in version k, and its class is k * classes + c
    for a video of class c.
    """

    versions: tuple[VideoTransform, ...] = (AS_IS,)
    grid: tuple[int, int] = (1, -1)  # rows and columns of the patches

    def labels(self, labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
        """Label all samples of V videos: (V,) to (versions * V,), version by version."""
        return (labels + classes * np.arange(len(self.versions))[:, None]).reshape(-1)

    def class_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Name the classes of all samples: (classes,) to (versions * classes,)."""
        return tuple(name + version.suffix for version in self.versions for name in names)

    def turn(self, maps: Tensor, versions: NDArray[np.int64]) -> Tensor:
        """Bring each video of a batch into its version, in place.

        Args:
            maps: (B, T, P, C)
            versions: (B,), number of each video's version

        Returns:
            the same tensor
        """
        for number, version in enumerate(self.versions):
            places = torch.from_numpy(np.flatnonzero(versions == number))
            if version != AS_IS and len(places):
                places = places.to(maps.device, non_blocking=True)
                maps[places] = version(maps[places], self.grid)
        return maps


NO_AUGMENTATION = ClassAugmentation()
