"""Vision models of transformers as backbones: patch tokens (ViT, DINOv2 and 3, CLIP), maps (ResNet), or tubelets."""

import inspect
import json
from dataclasses import dataclass
from math import isfinite, isqrt
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hcl.extract.config import BACKBONES
from hcl.extract.hub.adapters import ModelMaps, PatchTokens, PatchTokensBesideImage, TubeletTokens
from hcl.extract.hub.loading import Unavailable, files_hash, load_model, load_pretrained, model_folder, quiet
from hcl.extract.system.errors import InputError, first_line

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]  # mean and standard deviation of R, G and B in [0, 1]
SUPPORTED_MODELS = (
    "one that gives patch tokens (ViT, DeiT, DINOv2, DINOv3, CLIP, SigLIP), maps (ResNet, ConvNeXt) or tubelets"
    " (VideoMAE, V-JEPA 2)"
)
VIDEO_MODELS = ("videomae", "vjepa2")  # types of models whose tokens are of several frames
PROCESSORS = ("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True)
class VisionModel:
    """A frozen vision model as a backbone takes it."""

    network: nn.Module  # one of the adapters
    normalisation: Normalisation | None  # of its images; None: it does not say
    clip_frames: int = 0  # frames that are mapped together; 0: each by itself
    towers_sha256: str = ""  # of the files of a model of images and texts; "": it has no text tower


def load_vision_model(name: str, size: int, frames: int) -> VisionModel:
    """Load a vision model of transformers.

    Args:
        name: a folder or a hub name
        size: height and width of the images in pixels
        frames: of a video, which a video model maps together

    Raises:
        InputError: if it cannot be had, or does not map such images
    """
    try:
        folder = model_folder(name)
    except Unavailable as error:
        choices = f"give {', '.join(BACKBONES)}, a model's folder or its hub name"
        raise InputError(f"--backbone {name}: cannot be had ({error}); {choices}") from error
    config = load_pretrained("AutoConfig", folder)
    if config.model_type in VIDEO_MODELS:
        return VisionModel(_video_adapter(folder, config, name, size, frames), _normalisation(folder), frames)
    model = load_model(folder)
    tower = getattr(model, "vision_model", model)  # CLIP and its like: leave the text tower
    adapter = _adapter(tower, name, size)
    beside = _embedding_adapter(model, adapter, size)
    if beside is None:
        return VisionModel(adapter, _normalisation(folder))
    return VisionModel(beside, _normalisation(folder), towers_sha256=files_hash(folder))


def _embedding_adapter(model: Any, adapter: nn.Module, size: int) -> nn.Module | None:
    """Beside the patches, the embedding of the image, of a model whose text tower embeds texts; None of any other."""
    if not (
        isinstance(adapter, PatchTokens) and hasattr(model, "vision_model") and hasattr(model, "get_text_features")
    ):
        return None
    projection = getattr(model, "visual_projection", nn.Identity())  # SigLIP's pooled patches are in that space
    beside = PatchTokensBesideImage(adapter.model, adapter.grid, bool(adapter.options), projection)
    image = torch.zeros(1, 3, size, size)
    with torch.inference_mode(), quiet():
        own = model.get_image_features(pixel_values=image, **adapter.options)
        own = getattr(own, "pooler_output", own)  # which of the two depends on the version
        return beside if torch.allclose(beside(image)[1], own, rtol=1e-3, atol=1e-5) else None


def _video_adapter(folder: Path, config: Any, name: str, size: int, frames: int) -> nn.Module:
    """Load a model of tubelets for clips of so many frames of such a size.

    VideoMAE's positions are of the clips that it was trained on; those of V-JEPA 2 turn with the place, of any clip.

    Raises:
        InputError: if it does not take such clips
    """
    tubelet, patch = config.tubelet_size, config.patch_size
    if not isinstance(patch, int) or frames % tubelet or size % patch:
        raise InputError(
            f"--backbone {name}: its tokens are of {tubelet} frames and {patch} pixels; give multiples with --frames"
            " and --size"
        )
    if config.model_type == "videomae":
        if (config.num_frames, config.image_size) != (frames, size):
            raise InputError(
                f"--backbone {name}: takes clips of {config.num_frames} frames of {config.image_size} pixels; give"
                f" --frames {config.num_frames} --size {config.image_size}"
            )
        model = load_model(folder)
    else:
        model = load_model(folder, crop_size=size).encoder  # without the predictor, which is for training
    return TubeletTokens(model, frames // tubelet, (size // patch, size // patch))


def _adapter(model: Any, name: str, size: int) -> PatchTokens | ModelMaps:
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
    side = size // patch if isinstance(patch, int) else isqrt(output.shape[1])  # a ConvNeXt whose maps are tokens
    extra = output.shape[1] - side * side
    if side < 1 or not 0 <= extra <= 2 + getattr(model.config, "num_register_tokens", 0):
        raise InputError(
            f"--backbone {name}: the {output.shape[1]} tokens of a {type(model).__name__} are no grid of patches of "
            f"{size} pixel images; take {SUPPORTED_MODELS}"
        )
    return PatchTokens(model, (side, side), resizes)


def _normalisation(folder: Path) -> Normalisation | None:
    """Read how the model's images are scaled, as a mean and deviation of [0, 1]; None where it does not say.

    transformers multiply bytes by `rescale_factor`, unless `do_rescale` is off, take 1 away where `rescale_offset` says
    so, then subtract the mean and divide by the deviation, unless `do_normalize` is off.

    Raises:
        InputError: if a value is none that images can be scaled by
    """
    for file in (folder / name for name in PROCESSORS):
        if not file.is_file():
            continue
        content = _processor(file)
        mean: tuple[float, ...] = (0.0,) * 3
        deviation: tuple[float, ...] = (1.0,) * 3
        if _value(file, content, "do_normalize", True):
            if "image_mean" not in content or "image_std" not in content:
                continue
            mean, deviation = (_of_channels(file, content, name) for name in ("image_mean", "image_std"))
        rescales = _value(file, content, "do_rescale", True)
        factor = _value(file, content, "rescale_factor", 1 / 255) if rescales else 1.0
        shift = float(rescales and _value(file, content, "rescale_offset", _value(file, content, "offset", False)))
        scale = 255 * factor  # of images in [0, 1]
        if not all(isfinite(value) for value in (scale, *mean, *deviation)) or scale <= 0 or min(deviation) <= 0:
            raise InputError(
                f"{file}: rescale_factor {factor:g} and image_std {list(deviation)} must be above 0, image_mean"
                f" {list(mean)} finite; correct them, or take another --backbone"
            )
        return tuple((value + shift) / scale for value in mean), tuple(value / scale for value in deviation)
    return None


def _processor(file: Path) -> dict[str, Any]:
    """Read the settings of an image processor.

    Raises:
        InputError: if the file is no JSON, or holds something else
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({first_line(error)}); download the model again") from error
    for kind in ("image_processor", "video_processor"):
        content = content.get(kind, content) if isinstance(content, dict) else content
    if not isinstance(content, dict):
        raise InputError(f"{file}: holds no settings of an image processor; download the model again")
    return content


def _value(file: Path, content: dict[str, Any], name: str, default: Any) -> Any:
    """Read a number or a switch; null says nothing.

    Raises:
        InputError: if it is something else
    """
    value = content.get(name)
    value = default if value is None else value
    expected = (bool,) if isinstance(default, bool) else (int, float)
    if not isinstance(value, expected) or (expected[0] is not bool and isinstance(value, bool)):
        kind = "true or false" if expected[0] is bool else "a number"
        raise InputError(f"{file}: {name} is {value!r}, expected {kind}; correct it, or take another --backbone")
    return value


def _of_channels(file: Path, content: dict[str, Any], name: str) -> tuple[float, ...]:
    """Read a number for each of R, G and B; a single number is that of all.

    Raises:
        InputError: if there are others
    """
    value = content[name]
    values = [value] * 3 if isinstance(value, int | float) else value
    if not isinstance(values, list) or len(values) != 3 or not all(type(one) in (int, float) for one in values):
        raise InputError(
            f"{file}: {name} is {value!r}, expected one number or three, of R, G and B; take another --backbone"
        )
    return tuple(map(float, values))
