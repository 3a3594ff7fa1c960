"""The folder of a run: settings, weights, metrics, checkpoint and the embedding store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save_file

from hcl.extract.system.atomic import HASH, atomic_file, document_hash, in_bucket, refuse_links, with_hash
from hcl.extract.system.errors import InputError, first_line, misplaced, write_errors
from hcl.extract.system.installation import package_version
from hcl.extract.system.places.location import place_of
from hcl.extract.system.settings import checked_settings
from hcl.match.config import ScoreConfig
from hcl.match.store.locate import RUNS, SET_STORES, STORE
from hcl.train.config import TrainConfig
from hcl.train.encoders.factory import Trainable, make_encoder
from hcl.train.encoders.layer4 import make_layer4
from hcl.train.encoders.untrained import MeanMaps
from hcl.train.runs.file_hashes import check_sum, write_sums

SCHEMA, VERSION = "hcl-run", 9
CONFIG, WEIGHTS, METRICS, CHECKPOINT = "config.json", "encoder.safetensors", "metrics.jsonl", "checkpoint.pt"
TENSORBOARD = "tensorboard"
KINDS: dict[Any, str] = {dict: "an object", list: "a list", str: "a text", dict | None: "an object or null"}
EXPECTED: dict[str, Any] = {
    "training": dict,
    "cache": dict,
    "text_model": dict | None,
    "splits": dict,
    "base_classes": list,
    "encoder": dict,
}
EXPECTED_OF_CACHE: dict[str, Any] = {"path": str, "identity": str, "settings": dict}
CHOICE = "choice"  # a run within a run: what was trained without some base classes to choose the epoch


@dataclass(frozen=True)
class RunConfig:
    """Everything that a run follows from: with it and the cache the run can be repeated."""

    training: TrainConfig
    cache: dict[str, Any]  # path, identity and settings; of several caches what they share, paths, sets, merge_classes
    text_model: dict[str, str] | None
    splits: dict[str, str]  # of every class; those of several sets are called SET/class unless they were merged
    base_classes: tuple[str, ...]  # in the order of the classifier's outputs, version by version of their videos
    encoder: dict[str, int | None]  # channels, frames, patches, inputs of layer 4; for hcl also classes and text_width

    def to_dict(self) -> dict[str, Any]:
        """Plain types, as config.json holds them."""
        return {"schema": SCHEMA, "schema_version": VERSION, "hcl": package_version(), **asdict(self)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> RunConfig:
        """Undo `to_dict`.

        Raises:
            InputError: if something is missing, of another kind, or no setting; the message names it
        """
        for name, expected in EXPECTED.items():
            if name not in stored or not isinstance(stored[name], expected):
                found = json.dumps(stored[name])[:60] if name in stored else "missing"
                raise InputError(f"{name!r} is {found}, expected {KINDS[expected]}")
        for name, expected in EXPECTED_OF_CACHE.items():
            if not isinstance(stored["cache"].get(name), expected):
                found = json.dumps(stored["cache"].get(name))[:60]
                raise InputError(f"'{name}' of 'cache' is {found}, expected {KINDS[expected]}")
        return cls(
            training=TrainConfig(**checked_settings(TrainConfig, stored["training"])),
            cache=stored["cache"],
            text_model=stored["text_model"],
            splits=stored["splits"],
            base_classes=tuple(map(str, stored["base_classes"])),
            encoder=stored["encoder"],
        )

    @property
    def scoring(self) -> ScoreConfig:
        """The settings of Eq. 3 to 5 that the encoder is trained with."""
        training = self.training
        return ScoreConfig(
            top_clips=training.top_clips,
            top_patches=training.top_patches,
            attention_scale=training.attention_scale,
        )


@dataclass(frozen=True)
class Run:
    """A run: where it stands and all that it follows from."""

    folder: Path
    config: RunConfig

    @property
    def is_finished(self) -> bool:
        """Whether its videos are embedded, which is the last thing that a training does."""
        return is_finished(self.folder)


def is_finished(run: Path) -> bool:
    """Whether a run was trained to its end: a store is there, or those of its sets."""
    return (run / STORE).is_dir() or (run / SET_STORES).is_dir()


def dated_run() -> Path:
    """A new name in the folder of runs, after the date and time."""
    stem = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    names = [stem, *(f"{stem}-{number}" for number in range(2, 1000))]
    return next(RUNS / name for name in names if not (RUNS / name).exists())


def write_config(run: Path, config: RunConfig) -> None:
    """Write config.json atomically; the folder is made if it is not there.

    Raises:
        InputError: if it cannot be written
    """
    with write_errors(run, "name another folder with --run"):
        run.mkdir(parents=True, exist_ok=True)
        with atomic_file(run / CONFIG) as fresh:
            fresh.write_text(json.dumps(with_hash(config.to_dict()), indent=2) + "\n", encoding="utf-8")


def read_config(run: str | Path) -> RunConfig:
    """Read what a run follows from: its settings, cache, splits and base classes.

    Raises:
        InputError: if the folder is no run, is of another version or damaged, or holds a link that leads out of it
    """
    run = place_of(run)
    file = run / CONFIG
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise misplaced(run, SCHEMA) from error
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({error}); train the run anew") from error
    if not isinstance(stored, dict) or stored.get("schema") != SCHEMA:
        raise InputError(f"{file}: not the settings of a run; name a folder made by hcl train")
    if stored.get("schema_version") != VERSION:
        raise InputError(
            f"{run}: a run of hcl {stored.get('hcl')} (schema {SCHEMA} version {stored.get('schema_version')}); this"
            f" program reads version {VERSION}; train it anew in another folder with: hcl train CACHE --run RUN"
        )
    if stored.get(HASH) != document_hash(stored):
        raise InputError(
            f"{file}: damaged or changed: its key {HASH!r} is not the hash of the rest; restore the file or train the"
            " run anew"
        )
    refuse_links(run)
    try:
        return RunConfig.from_dict(stored)
    except InputError as error:
        writer = "" if stored.get("hcl") == package_version() else f" (it was written by hcl {stored.get('hcl')})"
        raise InputError(f"{file}: {error}; restore the file or train the run anew{writer}") from error


def save_encoder(run: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Write the encoder's weights atomically, then the hashes of these and of the metrics."""
    with atomic_file(run / WEIGHTS) as fresh:
        save_file({name: value.detach().cpu().contiguous() for name, value in state.items()}, fresh)
    write_sums(run, (WEIGHTS, METRICS))


def refuse_infinite(file: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Refuse weights that would make every embedding NaN.

    Raises:
        InputError: if one is infinite or NaN; the message names it
    """
    for name, weight in state.items():
        if not torch.isfinite(weight).all():
            raise InputError(f"{file}: {name} holds infinite or NaN weights; train the run anew")


def load_encoder(run: str | Path) -> Trainable | MeanMaps:
    """Load the trained encoder of a run, in evaluation mode, on the CPU.

        encoder = load_encoder("runs/latest")
        with torch.inference_mode():
            embeddings = encoder(maps)  # maps: (B, T, P, C) of a cache such as the run's, float16 or float32

    For method hcl, `embeddings` is an `Embeddings` of float32: `global_` (B, D), `clips` (B, Nc, D), `patches`
    (B, T, P, D); with the text embeddings (B, E) of the videos' classes as a second argument also `class_keys` (B, D).
    For a baseline it is a dictionary of the arrays that its scores need. A run on a cache of layer 3 holds a layer 4
    of its own, which runs first: such maps are given as they are cached. A run of method resnet has nothing to train
    and gives an empty dictionary.

    Args:
        run: folder of a run, made by hcl train, or its URL

    Returns:
        a torch Module; its attribute `run_config` is the RunConfig (settings, splits, base classes)

    Raises:
        InputError: if the run is unfinished, of another version, or its weights are damaged or do not fit
    """
    run = place_of(run)
    config = read_config(run)
    file = run / WEIGHTS
    if not file.is_file():
        raise InputError(f"{run}: not trained to its end; let it finish with: hcl train CACHE --run {run}")
    check_sum(run, WEIGHTS)
    try:
        state = load(file.read_bytes()) if in_bucket(file) else load_file(file)
        refuse_infinite(file, state)
        encoder = make_encoder(config.training, config.encoder, make_layer4(config.cache["settings"]))
        encoder.load_state_dict(state)
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{file}: weights that do not fit {CONFIG} ({first_line(error)}); train the run anew"
        ) from error
    encoder.run_config = config  # type: ignore[assignment]  # a Module takes any attribute
    return encoder.eval()
