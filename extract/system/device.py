"""Which device to compute on, and what it can do."""

import torch

from hcl.extract.system.errors import InputError, first_line


def choose_device(name: str) -> torch.device:
    """Take the device that was asked for, or the GPU if there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {name!r} cannot be used ({first_line(error)}); use --device cpu") from error


def cpu_has_bfloat16() -> bool:
    """Tell whether the processor multiplies bfloat16 natively: emulated, it is slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
