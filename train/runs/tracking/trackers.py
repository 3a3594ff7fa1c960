"""Where scalars of a training go: TensorBoard's files, or the run of a tracker through its own library."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, Protocol

from hcl.extract.system.atomic import atomic_file, in_bucket
from hcl.extract.system.errors import InputError
from hcl.train.config import TrainConfig
from hcl.train.runs.run_folder import TENSORBOARD

TRACKED = "tracker.json"  # in the run's folder: which run of the tracker it is
PROJECT = "hcl"  # the project or experiment, where the tracker's own variable names none
COPIED_EVERY = 30.0  # seconds; into a bucket, a file is copied whole
MODULES = {"wandb": "wandb", "mlflow": "mlflow"}  # that are needed beside what is installed anyway


class ScalarWriter(Protocol):
    """What values are handed to."""

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Write some values that belong to a step."""

    def flush(self) -> None:
        """Make sure that a kill loses none of the values so far."""

    def close(self) -> None:
        """End the log."""


def require_tracker(name: str) -> None:
    """Make sure that a tracker can be used, before anything is trained.

    Raises:
        InputError: if its package is not installed
    """
    if name in MODULES and find_spec(MODULES[name]) is None:
        raise InputError(f'--tracker {name} needs a package that is missing: pip install "hcl[{name}]"')


def tracker_of(run: Path, config: TrainConfig) -> Callable[[int], ScalarWriter] | None:
    """What opens the tracker of a run at its first new step; None: no tracker is wanted."""
    if config.tracker == "tensorboard":
        return lambda updates: TensorBoard(run / TENSORBOARD, updates)
    if config.tracker == "wandb":
        return lambda updates: WeightsAndBiases(run, config, updates)
    if config.tracker == "mlflow":
        return lambda updates: MlFlow(run, config, updates)
    return None


class TensorBoard:
    """Files of TensorBoard in a folder, less what they hold at `updates` or later; into a bucket they are copied."""

    def __init__(self, folder: Path, updates: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._folder, self._copied = folder, monotonic()
        self._local = TemporaryDirectory(prefix="hcl-tensorboard-") if in_bucket(folder) else None
        self._writer = SummaryWriter(self._local.name if self._local else folder, purge_step=updates)

    def add(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        self._writer.flush()
        if monotonic() - self._copied > COPIED_EVERY:
            self._copy()

    def close(self) -> None:
        self._writer.close()
        self._copy()
        if self._local is not None:
            self._local.cleanup()

    def _copy(self) -> None:
        self._copied = monotonic()
        for file in Path(self._local.name).iterdir() if self._local is not None else ():
            with atomic_file(self._folder / file.name) as fresh:
                shutil.copyfile(file, fresh)


class WeightsAndBiases:
    """A run of Weights & Biases, in the project that WANDB_PROJECT names; WANDB_MODE=offline asks no server.

    Its history only grows, so a step that it has already is not sent again: a resumed run computes the same values. A
    kill right after a validation costs one point of the losses, of the next step: both stand at the same place.
    """

    def __init__(self, run: Path, config: TrainConfig, updates: int) -> None:
        import wandb

        known = _tracked(run, "wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=run.name,
            id=known,
            resume="allow" if known else None,
            dir=None if in_bucket(run) else run,
            config=asdict(config),
        )
        _remember(run, "wandb", self._run.id)
        self._next = max(self._run.step, updates) if known else updates

    def add(self, values: Mapping[str, float], step: int) -> None:
        if step >= self._next:
            self._run.log(dict(values), step=step)

    def flush(self) -> None:
        """Its own process has the values already."""

    def close(self) -> None:
        self._run.finish()


class MlFlow:
    """A run of MLflow, on the server that MLFLOW_TRACKING_URI names, in the experiment of MLFLOW_EXPERIMENT_NAME.

    A value that it has already at a step or later is not sent again: a resumed run computes the same values.
    """

    def __init__(self, run: Path, config: TrainConfig, updates: int) -> None:
        from mlflow import MlflowClient

        known = _tracked(run, "mlflow")
        self._client = MlflowClient()
        self._id = known or self._new_run(run.name, config)
        _remember(run, "mlflow", self._id)
        self._last: dict[str, int] = {}
        if known:
            names = self._client.get_run(known).data.metrics
            histories = {name: self._client.get_metric_history(known, name) for name in names}
            self._last = {name: max(value.step for value in history) for name, history in histories.items()}

    def _new_run(self, name: str, config: TrainConfig) -> str:
        title = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self._client.get_experiment_by_name(title)
        experiment = found.experiment_id if found else self._client.create_experiment(title)
        made: str = self._client.create_run(experiment, run_name=name).info.run_id
        for key, value in asdict(config).items():
            self._client.log_param(made, key, value)
        return made

    def add(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            if step > self._last.get(name, -1):
                self._client.log_metric(self._id, name, float(value), step=step)

    def flush(self) -> None:
        """Each value is sent when it is added."""

    def close(self) -> None:
        self._client.set_terminated(self._id)


def _tracked(run: Path, tracker: str) -> str | None:
    """The tracker's run that an earlier process of the same training has made, if there is one.

    Raises:
        InputError: if the file that names it is damaged
    """
    known = _known(run).get(tracker)
    return None if known is None else str(known)


def _known(run: Path) -> dict[str, Any]:
    file = run / TRACKED
    if not file.is_file():
        return {}
    try:
        stored: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stored = None
    if not isinstance(stored, dict):
        raise InputError(f"{file}: not as it was written; remove it, and the training is tracked as a new run")
    return stored


def _remember(run: Path, tracker: str, identity: str) -> None:
    known = _known(run)
    with atomic_file(run / TRACKED) as fresh:
        fresh.write_text(json.dumps({**known, tracker: identity}) + "\n", encoding="utf-8")
