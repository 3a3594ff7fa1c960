"""Vision models of transformers as backbones: patch tokens (ViT, DINOv2, CLIP) or maps (ResNet)."""

import inspect
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hcl.extract.config import BACKBONES
from hcl.extract.hub.loading import Unavailable, load_model, model_folder, quiet
from hcl.extract.system.errors import InputError, first_line

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]  # mean and standard deviation of R, G and B in [0, 1]
SUPPORTED_MODELS = "one that gives patch tokens (ViT, DeiT, DINOv2, CLIP, SigLIP) or maps (ResNet, ConvNeXt)"


class PatchTokens(nn.Module):
    """Patch tokens laid out as maps; class and register tokens stand before them and are dropped."""

    def __init__(self, model: Any, grid: tuple[int, int], resizes: bool) -> None:
        super().__init__()
        self.model, self.grid = model, grid
        self.options = {"interpolate_pos_encoding": True} if resizes else {}

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, size, size) -> (N, C, h, w)."""
        tokens = self.model(pixel_values=images, **self.options).last_hidden_state  # (N, 1 + registers + P, C)
        patches: Tensor = tokens[:, -self.grid[0] * self.grid[1] :].transpose(1, 2)  # (N, C, P)
        return patches.reshape(len(images), -1, *self.grid)


class ModelMaps(nn.Module):
    """The last maps of a convolutional model."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, size, size) -> (N, C, h, w)."""
        maps: Tensor = self.model(pixel_values=images).last_hidden_state
        return maps


def load_vision_model(name: str, size: int) -> tuple[nn.Module, Normalisation | None]:
    """Load a vision model of transformers: its network and its images' mean and standard deviation, if it says them.

    Args:
        name: a folder or a hub name
        size: height and width of the images in pixels
    """
    try:
        folder = model_folder(name)
    except Unavailable as error:
        choices = f"give {', '.join(BACKBONES)}, a model's folder or its hub name"
        raise InputError(f"--backbone {name}: cannot be had ({error}); {choices}") from error
    model = load_model(folder)
    model = getattr(model, "vision_model", model)  # CLIP and its like: leave the text tower
    return _adapter(model, name, size), _normalisation(folder)


def _adapter(model: Any, name: str, size: int) -> nn.Module:
    """Look at what the model makes of one image and choose the adapter of its family."""
    inputs = inspect.signature(model.forward).parameters
    resizes = "interpolate_pos_encoding" in inputs and getattr(model.config, "image_size", size) != size
    options = {"interpolate_pos_encoding": True} if resizes else {}
    try:
        with torch.inference_mode(), quiet():
            output = model(pixel_values=torch.zeros(1, 3, size, size), **options).last_hidden_state
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = first_line(error)
        raise InputError(
            f"--backbone {name}: a {type(model).__name__} gives no maps of {size} pixel images ({reason}); "
            f"take {SUPPORTED_MODELS}, or another --size"
        ) from error
    if output.dim() == 4:
        return ModelMaps(model)
    patch = getattr(model.config, "patch_size", None)
    side = size // patch if isinstance(patch, int) else 0
    extra = output.shape[1] - side * side
    if side < 1 or not 0 <= extra <= 2 + getattr(model.config, "num_register_tokens", 0):
        raise InputError(
            f"--backbone {name}: the {output.shape[1]} tokens of a {type(model).__name__} are no grid of patches of "
            f"{size} pixel images; take {SUPPORTED_MODELS}"
        )
    return PatchTokens(model, (side, side), resizes)


def _normalisation(folder: Path) -> Normalisation | None:
    """Read the mean and standard deviation that the model was trained with; None where it does not say."""
    for file in (folder / "preprocessor_config.json", folder / "processor_config.json"):
        if file.is_file():
            content = json.loads(file.read_text(encoding="utf-8"))
            content = content.get("image_processor", content)
            if content.get("do_normalize") is False:
                return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
            if "image_mean" in content and "image_std" in content:
                return tuple(content["image_mean"]), tuple(content["image_std"])
    return None
