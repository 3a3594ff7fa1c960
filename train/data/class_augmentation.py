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

from hcl.train.config import TrainConfig


@dataclass(frozen=True)
class Turned:
    """One way of turning all frames of a video, or none."""

    mirrored: bool = False
    reversed: bool = False

    @property
    def suffix(self) -> str:
        """What the name of a class takes on."""
        words = [word for word, there in (("hflip", self.mirrored), ("reverse", self.reversed)) if there]
        return f" ({', '.join(words)})" if words else ""

    def __call__(self, maps: Tensor, grid: tuple[int, int]) -> Tensor:
        """Turn (B, T, P, C) whose P patches lie row by row in a grid of (rows, columns)."""
        axes = ([3] if self.mirrored else []) + ([1] if self.reversed else [])
        in_rows = maps.reshape(*maps.shape[:2], *grid, maps.shape[3])
        return in_rows.flip(axes).flatten(2, 3)


AS_IS = Turned()
MIRRORED, REVERSED, BOTH = Turned(mirrored=True), Turned(reversed=True), Turned(mirrored=True, reversed=True)
TURNED = {
    "none": (AS_IS,),
    "hflip": (AS_IS, MIRRORED),
    "reverse": (AS_IS, REVERSED),
    "both": (AS_IS, MIRRORED, REVERSED, BOTH),
}


def versions_of(config: TrainConfig) -> tuple[Turned, ...]:
    """The versions of each base video that are trained on, the video as it is first."""
    return TURNED[config.class_augmentation]


def with_versions(labels: NDArray[np.int64], classes: int, versions: int) -> NDArray[np.int64]:
    """Label all versions of some videos: (V,) to (versions * V,), version by version.

    Class c of version k is number k * classes + c.
    """
    return (labels + classes * np.arange(versions)[:, None]).reshape(-1)


def turn_each(maps: Tensor, which: NDArray[np.int64], versions: tuple[Turned, ...], grid: tuple[int, int]) -> Tensor:
    """Bring each video of a batch into its version, in place.

    Args:
        maps: (B, T, P, C)
        which: (B,), number of each video's version
        versions: that there are
        grid: rows and columns of the patches
    """
    for number, version in enumerate(versions):
        places = torch.from_numpy(np.flatnonzero(which == number))
        if version != AS_IS and len(places):
            places = places.to(maps.device, non_blocking=True)
            maps[places] = version(maps[places], grid)
    return maps
