"""The training loop: epochs, validation, checkpoints. It knows neither the cache nor the run folder."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import torch
from torch import Tensor

from hcl.extract.system.errors import InputError, first_line
from hcl.extract.system.settings import list_differences
from hcl.train.config import TrainConfig
from hcl.train.data.batches import Batch
from hcl.train.distributed import is_main_process, run_on_main
from hcl.train.encoders.factory import Trainable
from hcl.train.fitting.checkpoint import load_checkpoint, save_checkpoint
from hcl.train.fitting.step import Stepper

RECORD_EVERY = 10  # steps; fetching their losses waits for the device
FREE_TO_CHANGE = ("device", "map_storage", "num_workers", "checkpoint_every", "tracker")  # when a run resumes

Validate = Callable[[Trainable], float | Mapping[str, float] | None]  # an accuracy, or that of each of several sets


class BatchSource(Protocol):
    """Where batches come from."""

    def batches(self, start: int, stop: int) -> Generator[Batch, None, None]:
        """Yield the batches of steps `start` to `stop`: the same for a step whatever came before."""


@dataclass(frozen=True)
class StepRecord:
    """The losses of one step."""

    step: int  # counted from 1
    learning_rate: float
    terms: dict[str, float]  # the total, every term that is on (unweighted), and the gradient's norm before clipping


@dataclass(frozen=True)
class EpochRecord:
    """The outcome of one epoch; all of it repeats exactly on a CPU."""

    epoch: int  # counted from 1
    step: int  # steps taken by its end
    learning_rate: float
    terms: dict[str, float]  # means over the epoch
    validation: float | None  # of several sets, the mean of theirs
    best: bool  # so far
    validation_by_set: dict[str, float] = field(default_factory=dict)  # of several sets, each one's

    def to_dict(self) -> dict[str, Any]:
        """Plain types; the sets are left out where there are none."""
        stored = asdict(self)
        if not self.validation_by_set:
            del stored["validation_by_set"]
        return stored


@dataclass(frozen=True)
class Fitted:
    """The outcome of a training."""

    state: dict[str, Tensor]  # of the encoder, on the CPU: the best by validation, else the last
    best_epoch: int  # 0: the encoder as it began
    epochs: tuple[EpochRecord, ...]
    start: EpochRecord | None = None  # of the encoder as it began, where it is validated

    @property
    def kept(self) -> EpochRecord | None:
        """The record of the weights that are kept."""
        return self.epochs[self.best_epoch - 1] if self.best_epoch else self.start


def fit(
    encoder: Trainable,
    source: BatchSource,
    config: TrainConfig,
    *,
    text: Tensor | None = None,
    validate: Validate | None = None,
    checkpoint: Path | None = None,
    on_steps: Callable[[Sequence[StepRecord], float], object] | None = None,
    on_epoch: Callable[[EpochRecord], object] | None = None,
) -> Fitted:
    """Train an encoder; it holds the weights of `Fitted.state` afterwards.

    Of several processes the first one alone reads and writes the checkpoint, validates and calls back.

    Args:
        encoder: on the device to train on
        source: of batches
        config: objective and schedule
        text: (classes, E), text embedding of each base class; None: no semantic attention
        validate: called after each epoch, in evaluation mode without gradients; higher is better
        checkpoint: file to resume from if it exists, and to write; None: neither
        on_steps: called every few steps with their records and the share of their time spent waiting for batches
        on_epoch: called after each epoch, and at once for each epoch of a checkpoint; first of all for the encoder as
            it began, as epoch 0, where it is validated: it is kept where every epoch is behind it

    Raises:
        InputError: if a loss is not finite, or the checkpoint is damaged or of other settings
    """
    loop = _Loop(Stepper(encoder, config, text), source)
    if checkpoint is not None and (state := run_on_main(lambda: _load_if_there(checkpoint))):
        loop.restore(state, checkpoint)
    if validate is not None and not loop.steps and loop.start is None:
        loop.validate_start(validate)
    for record in (*([loop.start] if loop.start else []), *loop.epochs):
        _call(on_epoch, record)
    while len(loop.epochs) < config.epochs:
        for records, waiting in loop.run_epoch():
            _call(on_steps, records, waiting)
            if checkpoint is not None and loop.steps - loop.saved_steps >= config.checkpoint_every:
                loop.save(checkpoint)
        loop.end_epoch(validate)
        if checkpoint is not None:
            loop.save(checkpoint)
        _call(on_epoch, loop.epochs[-1])
    if not loop.best_state:
        loop.keep(0, None)  # no epochs were asked for
    encoder.load_state_dict(loop.best_state)
    return Fitted(loop.best_state, loop.best_epoch, tuple(loop.epochs), loop.start)


def mean_of_sets(measured: float | Mapping[str, float] | None) -> tuple[float | None, dict[str, float]]:
    """The accuracy that chooses the epoch, of several sets the mean of theirs; and that of each set."""
    if isinstance(measured, Mapping):
        return math.fsum(measured.values()) / len(measured), dict(measured)
    return measured, {}


def _load_if_there(checkpoint: Path) -> dict[str, Any] | None:
    return load_checkpoint(checkpoint) if checkpoint.exists() else None


def _call(callback: Callable[..., object] | None, *values: object) -> None:
    if callback is not None and is_main_process():
        callback(*values)


class _Loop:
    """The state of a training."""

    def __init__(self, stepper: Stepper, source: BatchSource) -> None:
        self.stepper, self.source, self.config = stepper, source, stepper.config
        self.steps = self.saved_steps = 0  # taken, and in the last checkpoint
        self.epoch_values: list[list[float]] = []  # of each step of the current epoch
        self.epochs: list[EpochRecord] = []
        self.start: EpochRecord | None = None
        self.best_state: dict[str, Tensor] = {}
        self.best_epoch = 0
        self.best_validation: float | None = None

    def run_epoch(self) -> Iterator[tuple[list[StepRecord], float]]:
        """Take the remaining steps of the epoch.

        Yields:
            the records of the latest steps, and the share of their time that was spent waiting for batches
        """
        self.stepper.encoder.train()
        last = (len(self.epochs) + 1) * self.config.steps_per_epoch
        values: list[Tensor] = []  # on the device, of the steps since the last record
        waited, since = 0.0, perf_counter()
        with closing(self.source.batches(self.steps, last)) as batches:
            for batch in batches:
                values.append(self.stepper.step(self.steps, batch))
                self.steps += 1
                waited += batch.waited
                if self.steps % RECORD_EVERY == 0 or self.steps == last:
                    yield self._record(values), waited / (perf_counter() - since)
                    values, waited, since = [], 0.0, perf_counter()

    def _record(self, latest: list[Tensor]) -> list[StepRecord]:
        """Fetch the values of the latest steps from the device.

        Raises:
            InputError: if one is not finite
        """
        records = []
        for number, values in enumerate(torch.stack(latest).tolist(), start=self.steps - len(latest) + 1):
            terms = dict(zip(self.stepper.names, values, strict=True))
            not_finite = [f"{name} {value}" for name, value in terms.items() if not math.isfinite(value)]
            if not_finite:
                raise InputError(
                    f"step {number}: not finite: {', '.join(not_finite)}; lower --learning-rate (now"
                    f" {self.stepper.learning_rate:g}), raise --temperature (now {self.config.temperature:g})"
                    " or set --precision float32"
                )
            self.epoch_values.append(values)
            records.append(StepRecord(number, self.stepper.learning_rate, terms))
        return records

    def validate_start(self, validate: Validate) -> None:
        """Measure the encoder before its first step: a candidate like the end of any epoch."""
        validation, by_set = self._validate(validate)
        self.keep(0, validation)
        self.start = EpochRecord(0, 0, self.stepper.learning_rate, {}, validation, True, by_set)

    def _validate(self, validate: Validate) -> tuple[float | None, dict[str, float]]:
        encoder = self.stepper.kept
        encoder.eval()
        with torch.no_grad():
            return mean_of_sets(run_on_main(lambda: validate(encoder)))

    def keep(self, epoch: int, validation: float | None) -> None:
        """Take these weights as the best so far."""
        state = self.stepper.kept.state_dict()
        self.best_state = {name: value.detach().cpu().clone() for name, value in state.items()}
        self.best_epoch, self.best_validation = epoch, validation

    def end_epoch(self, validate: Validate | None) -> None:
        """Validate, keep the weights if they are the best, and lower the learning rate when it is time."""
        validation, by_set = (None, {}) if validate is None else self._validate(validate)
        best = validation is None or self.best_validation is None or validation > self.best_validation
        best = best or (self.best_epoch == 0 and validation == self.best_validation)  # learned, and no worse for it
        if best:
            self.keep(len(self.epochs) + 1, validation)
        means = [math.fsum(column) / len(column) for column in zip(*self.epoch_values, strict=True)]
        terms = dict(zip(self.stepper.names, means, strict=True))
        rate = self.stepper.learning_rate
        self.epochs.append(EpochRecord(len(self.epochs) + 1, self.steps, rate, terms, validation, best, by_set))
        self.epoch_values = []
        with warnings.catch_warnings():  # a run that resumes right here took its steps in another process
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
            self.stepper.schedule.step()

    def save(self, file: Path) -> None:
        """Write all that the rest of the training follows from."""
        stepper = self.stepper
        state = {
            "config": asdict(self.config),
            "encoder": stepper.encoder.state_dict(),
            "average": None if stepper.average is None else stepper.average.state_dict(),
            "optimiser": stepper.optimiser.state_dict(),
            "schedule": stepper.schedule.state_dict(),
            "steps": self.steps,
            "epoch_values": self.epoch_values,
            "epochs": [record.to_dict() for record in self.epochs],
            "start": None if self.start is None else self.start.to_dict(),
            "best_state": self.best_state,
            "best_epoch": self.best_epoch,
            "best_validation": self.best_validation,
        }
        if is_main_process():
            save_checkpoint(file, state)
        self.saved_steps = self.steps

    def restore(self, state: dict[str, Any], file: Path) -> None:
        """Resume where `save` was called.

        Raises:
            InputError: if it was called under other settings
        """
        if differences := list_differences(state.get("config") or {}, asdict(self.config), without=FREE_TO_CHANGE):
            raise InputError(
                f"{file}: of a run with other settings ({differences}); give the same or name another --run"
            )
        try:
            self._restore(state)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise InputError(
                f"{file}: not a checkpoint of this run ({first_line(error)}); remove it to train from the start"
            ) from error

    def _restore(self, state: dict[str, Any]) -> None:
        self.stepper.encoder.load_state_dict(state["encoder"])
        if self.stepper.average is not None:
            self.stepper.average.load_state_dict(state["average"])
        self.stepper.optimiser.load_state_dict(state["optimiser"])
        self.stepper.schedule.load_state_dict(state["schedule"])
        self.steps = self.saved_steps = state["steps"]
        self.epoch_values = state["epoch_values"]
        self.epochs = [EpochRecord(**record) for record in state["epochs"]]
        self.start = None if state["start"] is None else EpochRecord(**state["start"])
        self.best_state, self.best_epoch = state["best_state"], state["best_epoch"]
        self.best_validation = state["best_validation"]
