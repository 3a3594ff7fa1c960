"""A run's encoder, its class keys or its backbone as a file that runs without hcl: torch.export or ONNX.

Exported are the plain modules in float32: what speeds them up on one machine would not run on another.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hcl.extract.backbones.backbone import PlainBackbone, frozen_network
from hcl.extract.config import DEFAULTS
from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.errors import InputError, first_line, refuse_unwritable, write_errors
from hcl.extract.system.installation import package_version
from hcl.extract.system.places.location import local_only
from hcl.train.config import EXPORTS
from hcl.train.encoders.factory import Trainable
from hcl.train.encoders.untrained import MeanMaps
from hcl.train.encoders.video_encoder import VideoEncoder
from hcl.train.runs.run_folder import RunConfig, load_encoder

TORCH, ONNX = ".pt2", ".onnx"
EXAMPLES = 2  # videos, frames or classes that a program is traced with; any number may be given to it later


@dataclass(frozen=True)
class Exported:
    """A module with what it takes and gives, for the file and for the person."""

    module: nn.Module
    example: Tensor  # of EXAMPLES videos, frames or classes
    input: str
    axes: tuple[str, ...]  # of the input; the first one is free
    outputs: Mapping[str, tuple[str, ...]]  # axes of each

    def to_dict(self) -> dict[str, Any]:
        """Plain types, as the file holds them."""
        shape = [*map(str, self.axes[:1]), *self.example.shape[1:]]
        dtype = str(self.example.dtype).removeprefix("torch.")
        given = {self.input: {"axes": list(self.axes), "shape": shape, "dtype": dtype}}
        return {"inputs": given, "outputs": {name: list(axes) for name, axes in self.outputs.items()}}


def export(run: str | Path, out: str | Path, *, part: str = EXPORTS[0]) -> str:
    """Write a part of a run as one file that other programs run, and say what it takes and gives.

    Args:
        run: folder of a finished run
        out: file to write: .pt2 for torch.export, .onnx for ONNX
        part: "encoder": maps to embeddings; "text": class texts to class keys; "backbone": frames to maps

    Raises:
        InputError: if the run has no such part, its weights are not at hand, the ending is another one, or ONNX's
            packages are missing
    """
    out = local_only(out, "an exported model")
    if out.suffix not in (TORCH, ONNX):
        raise InputError(f"--out {out}: name a file that ends in {TORCH} (torch.export) or {ONNX}")
    refuse_unwritable(out, "--out")
    if out.suffix == ONNX:
        _refuse_without_onnx()
    encoder = load_encoder(run)
    made = _part(encoder, encoder.run_config, part, str(run))  # type: ignore[arg-type]  # load_encoder sets it
    facts = json.dumps({"hcl": package_version(), "run": str(run), "part": part, **made.to_dict()})
    with write_errors(out, "name another file with --out"), atomic_file(out) as fresh, _quietly():
        (_write_onnx if out.suffix == ONNX else _write_torch)(made, fresh, facts)
    gives = ", ".join(f"{name} ({', '.join(axes)})" for name, axes in made.outputs.items())
    return f"{out}: {part} of {run}: {made.input} ({', '.join(made.axes)}) -> {gives}"


def _part(encoder: Trainable | MeanMaps, config: RunConfig, part: str, run: str) -> Exported:
    """Choose what is exported."""
    if part == "backbone":
        return _backbone(config)
    if isinstance(encoder, MeanMaps):
        raise InputError(f"{run}: method resnet has no encoder; export its backbone with --part backbone")
    if part == "text":
        return _text(encoder, run)
    return _encoder(encoder, config)


class _Levels(nn.Module):
    """The encoder of HCL from maps alone."""

    def __init__(self, encoder: VideoEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.encoder.levels(maps)


class _Arrays(nn.Module):
    """The encoder of a baseline, its arrays in a fixed order."""

    def __init__(self, encoder: Trainable, names: tuple[str, ...]) -> None:
        super().__init__()
        self.encoder, self.names = encoder, names

    def forward(self, maps: Tensor) -> tuple[Tensor, ...]:
        arrays = self.encoder(maps)
        return tuple(arrays[name] for name in self.names)


class _ClassKeys(nn.Module):
    """The projection of class texts."""

    def __init__(self, encoder: VideoEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, text: Tensor) -> Tensor:
        return self.encoder.class_keys(text)


def _encoder(encoder: Trainable, config: RunConfig) -> Exported:
    """Maps as they are cached to embeddings."""
    settings = config.cache["settings"]
    patches = settings["grid"][0] * settings["grid"][1]
    layer4 = encoder.layer4
    channels = int(settings["channels"]) if layer4 is not None else encoder.channels
    patches = patches if layer4 is not None else len(encoder.patch_position)
    example = torch.zeros(EXAMPLES, len(encoder.frame_position), patches, channels)
    axes = ("videos", "frames", "patches", "channels")
    if isinstance(encoder, VideoEncoder):
        outputs = {
            "global": ("videos", "embedding"),
            "clips": ("videos", "clips", "embedding"),
            "patches": ("videos", "frames", "patches", "embedding"),
        }
        return Exported(_Levels(encoder), example, "maps", axes, outputs)
    names = encoder.array_names
    with torch.inference_mode():
        shapes = {name: array.shape[1:] for name, array in encoder(example).items()}
    of_arrays = {name: ("videos", *map(str, shapes[name])) for name in names}
    return Exported(_Arrays(encoder, names), example, "maps", axes, of_arrays)


def _text(encoder: Trainable, run: str) -> Exported:
    """Text embeddings of classes to the keys W e_y of Eq. 5."""
    if not isinstance(encoder, VideoEncoder) or encoder.class_projection is None:
        raise InputError(f"{run}: has no semantic attention, hence no class keys; export --part encoder alone")
    example = torch.zeros(EXAMPLES, encoder.class_projection.in_features)
    outputs = {"class_keys": ("classes", "embedding")}
    return Exported(_ClassKeys(encoder), example, "text", ("classes", "text width"), outputs)


def _backbone(config: RunConfig) -> Exported:
    """Frames to the maps that the run's cache holds of them, each image for itself."""
    settings = config.cache["settings"]
    weights, sha256, size = str(settings["weights"]), settings["weights_sha256"], int(settings["size"])
    layer = settings.get("backbone_layer", DEFAULTS["backbone_layer"])
    frozen = frozen_network(settings["backbone"], weights, size=size, frames=settings["frames"], backbone_layer=layer)
    if frozen.sha256 != sha256:
        raise InputError(
            f"{weights}: other weights than those of the run's cache (SHA-256 {frozen.sha256[:12]}..., expected"
            f" {sha256[:12]}...); put these in their place"
        )
    if frozen.clip_frames:
        raise InputError(f"{frozen.name}: maps whole clips, not images; export --part encoder alone")
    example = torch.zeros(EXAMPLES, size, size, 3, dtype=torch.uint8)
    outputs = {"maps": ("frames", "patches", "channels")}
    return Exported(PlainBackbone(frozen), example, "images", ("frames", "height", "width", "RGB"), outputs)


def _traced(made: Exported) -> torch.export.ExportedProgram:
    """Trace the module; the first axis stays free."""
    free = {0: torch.export.Dim(made.axes[0], min=1, max=2**20)}
    module = made.module.eval().requires_grad_(False)
    try:
        with torch.no_grad():
            return torch.export.export(module, (made.example,), dynamic_shapes=(free,))
    except Exception as error:  # of any kind: a head of one's own may do what cannot be traced
        raise InputError(f"cannot be exported for any number of {made.axes[0]} ({first_line(error)})") from error


def _write_torch(made: Exported, file: Path, facts: str) -> None:
    with file.open("wb") as stream:
        torch.export.save(_traced(made), stream, extra_files={"hcl.json": facts})


def _write_onnx(made: Exported, file: Path, facts: str) -> None:
    try:
        program = torch.onnx.export(
            _traced(made), input_names=[made.input], output_names=list(made.outputs), dynamo=True, verbose=False
        )
    except torch.onnx.errors.OnnxExporterError as error:
        raise InputError(f"this part cannot be said in ONNX ({first_line(error)}); export to {TORCH}") from error
    if program is None:
        raise ValueError("torch.onnx.export gave no program")
    program.model.metadata_props["hcl"] = facts
    program.save(file, external_data=False)


def _refuse_without_onnx() -> None:
    """Tell before the work that ONNX's packages are missing."""
    try:
        import onnx
        import onnxscript
    except ImportError as error:
        raise InputError(
            f'{ONNX} needs onnx and onnxscript: pip install onnx onnxscript, or "hcl[onnx]"; {TORCH} needs neither'
        ) from error
    del onnx, onnxscript


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep what the exporters tell their own developers off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
