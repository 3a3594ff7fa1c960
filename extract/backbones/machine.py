"""What maps depend on beside videos and settings: versions of what computes them, and the kind of processor.

Two machines of one kind give the same maps bit for bit. Others round otherwise, in the last bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import torch

from hcl.extract.system.errors import InputError
from hcl.extract.system.installation import package_version

PACKAGES = ("torch", "av", "pillow", "numcodecs")  # that compute, decode, resize and compress
Device = torch.device


@dataclass(frozen=True)
class MachineKind:
    """One kind of machine, as a cache records it."""

    hcl: str  # versions
    torch: str
    av: str
    pillow: str
    numcodecs: str
    device: str  # "cpu", or the name of the GPU
    processor: str  # of a CPU, the instructions that sums depend on; of a GPU, the versions of its libraries

    @classmethod
    def here(cls, device: Device | None = None) -> Self:
        """The kind of this process; of a GPU, unless there is none or another device is named."""
        device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        versions = {name: package_version(name) for name in PACKAGES}
        on_gpu = device.type == "cuda"
        name = torch.cuda.get_device_name(device) if on_gpu else device.type
        return cls(package_version(), **versions, device=name, processor=_libraries() if on_gpu else _instructions())

    @classmethod
    def of(cls, stored: Any) -> Self:
        """Take one from the attributes of a cache.

        Raises:
            InputError: if it is not as one is written
        """
        names = {each.name for each in fields(cls)}
        if not isinstance(stored, dict) or set(stored) != names or not all(isinstance(v, str) for v in stored.values()):
            raise InputError(f"the kind of machine {stored!r} is not as a cache records it; extract the cache anew")
        return cls(**stored)

    def to_dict(self) -> dict[str, str]:
        """Plain types."""
        return asdict(self)

    def differences(self, other: MachineKind, *, here: str = "here", there: str = "there") -> str:
        """Name what differs with both values, such as "torch 2.11 here, 2.14 there"; "" where nothing does."""
        mine, its = self.to_dict(), other.to_dict()
        return "; ".join(f"{name} {mine[name]} {here}, {its[name]} {there}" for name in mine if mine[name] != its[name])


def kinds_of(stored: Mapping[str, Any], attribute: str) -> tuple[MachineKind, ...]:
    """The kinds of machines that an attribute of a cache records; none where there is no such attribute.

    Raises:
        InputError: if it is not as it is written
    """
    kinds = stored.get(attribute, [])
    if not isinstance(kinds, list):
        raise InputError(f"attribute {attribute!r} is {kinds!r}, not a list of kinds; extract the cache anew")
    return tuple(map(MachineKind.of, kinds))


def refuse_mixture(what: str, differences: str, *, mixed: bool) -> None:
    """Refuse maps of several kinds of machines in one cache, unless they are to be mixed.

    Args:
        what: the cache, or one of the machines
        differences: from the others, in words
        mixed: whether that is accepted

    Raises:
        InputError: the message names what differs
    """
    if not mixed:
        raise InputError(
            f"{what}: another version or kind of machine: {differences}; maps of both differ in the last bits: use the"
            " same ones everywhere, or accept them with --mixed, which records them in the cache"
        )


def _instructions() -> str:
    found = [torch.backends.cpu.get_cpu_capability()]
    found += ["bf16"] if torch.cpu._is_avx512_bf16_supported() else []
    found += ["amx"] if torch.cpu._is_amx_tile_supported() else []
    return " ".join(found)


def _libraries() -> str:
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return f"CUDA {torch.version.cuda}, cuDNN {cudnn}"
