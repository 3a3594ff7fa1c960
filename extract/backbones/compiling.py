"""A backbone compiled by torch, for a GPU: fewer passes over its memory, for half a minute at the start.

On a CPU `hcl.extract.backbones.fused_cpu` has the same operations without compiling.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hcl.extract.backbones.fused_cpu import AGREEMENT
from hcl.extract.system.errors import InputError, first_line


@torch.inference_mode()
def compiled(network: nn.Module, images: Tensor) -> Callable[[Tensor], Tensor]:
    """Compile a frozen network for calls of one shape, and try it.

    Args:
        network: (N, 3, size, size) -> (N, C, h, w)
        images: (N, 3, size, size), normalised, of the shape of all later calls

    Raises:
        InputError: if torch cannot compile here, or what it compiled computes something else
    """
    run: Callable[[Tensor], Tensor] = torch.compile(network, dynamic=False)
    try:
        maps = run(images)
    except RuntimeError as error:
        raise InputError(f"the backbone cannot be compiled here ({first_line(error)}); leave out --compile") from error
    cosines = torch.cosine_similarity(maps.flatten(1).float(), network(images).flatten(1).float(), dim=1)
    if not cosines.min() > AGREEMENT:
        raise InputError(
            f"the compiled backbone gives other maps than the plain one (cosine {cosines.min():.4f},"
            f" expected {AGREEMENT} and more); leave out --compile"
        )
    return run
