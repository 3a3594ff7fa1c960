"""What several tests of encoders need: one that has learned something, and one that knows its base videos."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from hcl.train.encoders.geometry import BaseVideo
from hcl.train.encoders.trunk import Trunk


@pytest.fixture(scope="session")
def perturb() -> Callable[[nn.Module], Any]:
    """A function that draws all weights of an encoder anew, as if it had learned, and gives it back.

    An encoder that starts at the maps begins with weights of 0, whose work cannot be seen.
    """

    def draw(encoder: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in encoder.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        return encoder

    return draw


@pytest.fixture(scope="session")
def fit_geometry() -> Callable[[Trunk, torch.Tensor], None]:
    """A function that fits an encoder's geometry, if it has one, to videos (V, T, P, C) of two classes by turns."""

    def fit(encoder: Trunk, maps: torch.Tensor) -> None:
        encoder.fit_geometry(BaseVideo(video[None], place % 2) for place, video in enumerate(maps))

    return fit
