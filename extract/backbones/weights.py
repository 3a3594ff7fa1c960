"""Where a ResNet's weights come from: the shipped file, torchvision's downloads, or a file that holds tensors alone."""

import hashlib
import json
import pickle
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hcl.extract.config import BACKBONES
from hcl.extract.system.errors import InputError, first_line

SHIPPED = Path(__file__).parent / "shipped" / "resnet50_v1_imagenet_int8.safetensors"
SHIPPED_ARCHITECTURE = "resnet50-v1"
TORCHVISION = ("IMAGENET1K_V1", "IMAGENET1K_V2")
SCALE = ".scale"  # an int8 tensor "x" stands for x * x.scale, one scale per output channel
NETWORK_SECONDS = 15.0
# How files other than ours spell the two ResNet-50s. A bare "ResNet-50" is not here: it does not say which.
SPELLINGS = {"resnet50v1": "resnet50-v1", "resnet50v1.0": "resnet50-v1", "resnet50v1.5": "resnet50"}


@dataclass(frozen=True)
class WeightFile:
    """A trunk's tensors in float32 and what their source says of itself."""

    tensors: dict[str, Tensor]
    architecture: str | None  # one of BACKBONES, None where the source does not say
    shown: str  # how the user named it

    def __post_init__(self) -> None:
        if self.architecture is not None and self.architecture not in BACKBONES:
            raise ValueError(f"{self.architecture = } is none of {BACKBONES}")


def content_hash(tensors: Mapping[str, Tensor]) -> str:
    """Hash names, types, shapes and bytes: equal weights have one hash wherever they lie."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_weights(weights: str, name: str | None) -> WeightFile:
    """Read the weights that the user asked for.

    Args:
        weights: "default", one of TORCHVISION, or a file
        name: the backbone that the user asked for, None where none was named
    """
    if weights == "default":
        return _shipped()
    if weights in TORCHVISION:
        return _downloaded(weights, name or "resnet50")
    path = Path(weights)
    if not path.is_file():
        raise InputError(f"{weights}: no such weights; give default, {', '.join(TORCHVISION)} or a file with --weights")
    tensors: Mapping[str, object]
    if path.suffix.lower() == ".safetensors":
        tensors, stated = _from_safetensors(path)
    elif path.suffix.lower() in (".pt", ".pth"):
        tensors, stated = _from_torch(path)
    else:
        raise InputError(f"{path}: --weights reads .safetensors, .pt and .pth files, not {path.suffix or 'this one'}")
    return WeightFile(_trunk(tensors, path), architecture(stated), path.name)


def architecture(text: str) -> str | None:
    """Understand what a file's metadata calls its network; None where that does not tell the strides."""
    if text in BACKBONES:
        return text
    return SPELLINGS.get(text.split(":")[0].lower().replace("-", "").replace(" ", ""))


def _shipped() -> WeightFile:
    if not SHIPPED.is_file():
        raise InputError(f"{SHIPPED}: the shipped weights are missing; install hcl again or give --weights FILE")
    tensors, _ = _from_safetensors(SHIPPED)
    return WeightFile(_trunk(tensors, SHIPPED), SHIPPED_ARCHITECTURE, "default")


def _downloaded(weights: str, name: str) -> WeightFile:
    from hcl.extract.backbones.resnet import torchvision_models

    if name not in BACKBONES or name == "resnet50-v1":
        raise InputError(f"--weights {weights} is for torchvision's ResNets, not for --backbone {name}; use resnet50")
    choices = torchvision_models().get_model_weights(name)
    if weights not in choices.__members__:
        raise InputError(f"{name} has no weights {weights}; torchvision has --weights {TORCHVISION[0]} for it")
    try:
        with _patience(NETWORK_SECONDS):
            state = choices[weights].get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"--weights {weights}: cannot be downloaded ({first_line(error)}); use --weights default (shipped), "
            f"--weights FILE, or run once where there is a network ({choices[weights].url})"
        ) from error
    return WeightFile(_trunk(state, Path(weights)), name, weights)


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Bound every wait for the network: torch.hub opens its connection without a limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _from_safetensors(path: Path) -> tuple[dict[str, Tensor], str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({first_line(error)}); download it again") from error
    return _dequantised(tensors), metadata.get("architecture", "")


def _dequantised(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    scales = {name: tensors[name] for name in tensors if name.endswith(SCALE) and name[: -len(SCALE)] in tensors}
    plain = {name: tensor for name, tensor in tensors.items() if name not in scales}
    for name, scale in scales.items():
        of = name[: -len(SCALE)]
        plain[of] = plain[of].float() * scale.float().view(-1, *[1] * (plain[of].dim() - 1))
    return plain


def _from_torch(path: Path) -> tuple[Mapping[str, object], str]:
    try:
        with warnings.catch_warnings(action="ignore"):  # of old pickles, which are then read or refused
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: holds more than tensors, and reading it could run code; save its state_dict alone: "
            "torch.save(model.state_dict(), FILE)"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not a readable torch file ({first_line(error)}); download it again") from error
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds a {type(content).__name__}, not a state_dict; save model.state_dict()")
    stated = content.get("architecture", content.get("arch", ""))
    inner = content.get("state_dict", content)
    if not isinstance(inner, Mapping):
        raise InputError(f"{path}: its state_dict is a {type(inner).__name__}; save model.state_dict()")
    names_network = isinstance(stated, str) and inner is not content
    return inner, stated if names_network and isinstance(stated, str) else ""


def _trunk(tensors: Mapping[str, object], path: Path) -> dict[str, Tensor]:
    """Keep what a trunk needs, in float32: no classifier, no counters, no prefix that parallel training left."""
    trunk = {}
    for key, tensor in tensors.items():
        name = str(key).removeprefix("module.")
        if not isinstance(tensor, Tensor):
            raise InputError(f"{path}: {name} is a {type(tensor).__name__}, not a tensor; save model.state_dict()")
        if not name.startswith("fc.") and not name.endswith("num_batches_tracked"):
            trunk[name] = tensor.float()
    return trunk
