"""Make the shipped weights from a ResNet-50's safetensors file: python benchmarks/pack_weights.py SOURCE TARGET.

Convolutions of layers 2 to 4 become int8 with one scale per output channel. The first convolution and layer 1 stay
float16: together they are 1 % of the weights and bring two thirds of the error of int8 throughout, as
extract/backbones/shipped/README.md shows. Batch norms stay float32: bn1.running_var exceeds the range of float16. There
is no classifier.
"""

import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from hcl.extract.backbones.weights import SCALE, architecture

KEPT = ("conv1.", "layer1.")  # in float16


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round a convolution's weights to int8, each output channel by the scale of the least squared error.

    Args:
        weight: (O, I, h, w)

    Returns:
        (O, I, h, w) int8 and (O,) float32: weight is about their product
    """
    rows = weight.float().flatten(1)  # (O, I * h * w)
    widest = rows.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127  # (O, 1)
    least = torch.full_like(widest, torch.inf)
    best, best_scale = torch.zeros_like(rows), widest
    for share in torch.linspace(0.5, 1, 101):
        whole = (rows / (widest * share)).round().clamp(-127, 127)
        scale = (rows * whole).sum(1, keepdim=True) / whole.square().sum(1, keepdim=True).clamp_min(1)
        error = (rows - whole * scale).square().sum(1, keepdim=True)
        best = torch.where(error < least, whole, best)
        best_scale = torch.where(error < least, scale, best_scale)
        least = torch.minimum(error, least)
    return best.to(torch.int8).view_as(weight), best_scale[:, 0].contiguous()


def pack(source: Path, target: Path) -> None:
    """Write the shipped form of the weights in source."""
    packed: dict[str, Tensor] = {}
    with safe_open(source, framework="pt") as file:
        metadata = file.metadata() or {}
        for name in file.keys():
            if name.startswith("fc.") or name.endswith("num_batches_tracked"):
                continue
            tensor = file.get_tensor(name)
            if tensor.dim() != 4:
                packed[name] = tensor.float()
            elif name.startswith(KEPT):
                packed[name] = tensor.half()
            else:
                packed[name], packed[name + SCALE] = quantise(tensor)
    known = architecture(metadata.get("architecture", ""))
    if known is None:
        sys.exit(f"{source}: its metadata does not say which ResNet it is")
    origin = {key: metadata[key] for key in ("license", "source") if key in metadata}
    save_file(packed, target, {"architecture": known, **origin, "quantisation": "int8 x .scale per output channel"})


if __name__ == "__main__":
    pack(Path(sys.argv[1]), Path(sys.argv[2]))
