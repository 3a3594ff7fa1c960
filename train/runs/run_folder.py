"""The folder of a run: settings, weights, metrics, checkpoint and the embedding store."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.errors import InputError, first_line
from hcl.extract.system.installation import package_version
from hcl.match.config import ScoreConfig
from hcl.match.store.locate import RUNS
from hcl.train.config import TrainConfig
from hcl.train.encoders.factory import Trainable, make_encoder
from hcl.train.encoders.layer4 import make_layer4
from hcl.train.encoders.untrained import MeanMaps

SCHEMA, VERSION = "hcl-run", 1
CONFIG, WEIGHTS, METRICS, CHECKPOINT = "config.json", "encoder.safetensors", "metrics.jsonl", "checkpoint.pt"
TENSORBOARD = "tensorboard"


@dataclass(frozen=True)
class RunConfig:
    """Everything that a run follows from: with it and the cache the run can be repeated."""

    training: TrainConfig
    cache: dict[str, Any]  # path, identity and settings
    text_model: dict[str, str] | None
    splits: dict[str, str]  # of every class
    base_classes: tuple[str, ...]  # in the order of the classifier's outputs, version by version of their videos
    encoder: dict[str, int | None]  # channels, frames and patches of layer 4; for hcl also classes and text_width

    def as_json(self) -> dict[str, Any]:
        """Plain types for config.json."""
        return {"schema": SCHEMA, "schema_version": VERSION, "hcl": package_version(), **asdict(self)}

    @property
    def scoring(self) -> ScoreConfig:
        """The settings of Eq. 3 to 5 that the encoder is trained with."""
        training = self.training
        return ScoreConfig(
            top_clips=training.top_clips,
            top_patches=training.top_patches,
            attention_scale=training.attention_scale,
        )


def dated_run() -> Path:
    """A new name in the folder of runs."""
    stem = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    names = [stem, *(f"{stem}-{number}" for number in range(2, 1000))]
    return next(RUNS / name for name in names if not (RUNS / name).exists())


def write_config(run: Path, config: RunConfig) -> None:
    """Write config.json at once or not at all."""
    try:
        run.mkdir(parents=True, exist_ok=True)
        with atomic_file(run / CONFIG) as fresh:
            fresh.write_text(json.dumps(config.as_json(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{run}: cannot be written ({error.strerror}); name another folder with --run") from error


def read_config(run: Path) -> RunConfig:
    """Read config.json.

    Raises:
        InputError: if the folder is no run or of another version
    """
    file = run / CONFIG
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{run}: not a run (no {CONFIG} in it); make one with: hcl train CACHE --run {run}") from error
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({error}); train the run anew") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise InputError(f"{file}: not the settings of a run; name a folder made by hcl train")
    if found.get("schema_version") != VERSION:
        raise InputError(f"{file}: schema {SCHEMA} version {found.get('schema_version')}, this program reads {VERSION}")
    try:
        training = dict(found["training"])
        training["clip_sizes"] = tuple(training["clip_sizes"])
        return RunConfig(
            training=TrainConfig(**training),
            cache=found["cache"],
            text_model=found["text_model"],
            splits=found["splits"],
            base_classes=tuple(found["base_classes"]),
            encoder=found["encoder"],
        )
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{file}: {error} does not fit hcl {package_version()}; it was written by hcl {found.get('hcl')}: use that"
        ) from error


def save_encoder(run: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Write the encoder's weights at once or not at all."""
    with atomic_file(run / WEIGHTS) as fresh:
        save_file({name: value.detach().cpu().contiguous() for name, value in state.items()}, fresh)


def load_encoder(run: Path) -> tuple[Trainable | MeanMaps, RunConfig]:
    """Load a trained encoder, in evaluation mode, on the CPU.

    Raises:
        InputError: if the run is unfinished or its weights do not fit
    """
    config = read_config(run)
    encoder = make_encoder(config.training, config.encoder, make_layer4(config.cache["settings"]))
    file = run / WEIGHTS
    if not file.is_file():
        raise InputError(f"{run}: not trained to its end; let it finish with: hcl train CACHE --run {run}")
    try:
        encoder.load_state_dict(load_file(file))
    except (SafetensorError, RuntimeError) as error:
        raise InputError(
            f"{file}: weights that do not fit {CONFIG} ({first_line(error)}); train the run anew"
        ) from error
    return encoder.eval(), config
