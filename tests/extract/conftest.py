"""What the tests of several packages of this stage share: frames to map, and networks whose every weight counts."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture(scope="session")
def frames() -> Callable[..., Tensor]:
    """A function that draws frames: (count, size, size, 3) uint8."""

    def draw(count: int, size: int, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8, generator=generator)

    return draw


@pytest.fixture(scope="session")
def lively() -> Callable[..., Any]:
    """A function that gives every weight, and every batch norm's statistics, a value of its own."""

    def enliven(model: nn.Module, seed: int = 0) -> Any:
        generator = torch.Generator().manual_seed(seed)
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2, generator=generator)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(0, 0.1, generator=generator)
            elif tensor.is_floating_point() and tensor.dim() < 2:
                tensor.uniform_(0.5, 1, generator=generator)
            elif tensor.is_floating_point():
                tensor.normal_(0, (2 / max(1, tensor[0].numel())) ** 0.5, generator=generator)
        return model.eval()

    return enliven
