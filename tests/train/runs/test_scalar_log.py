"""A tracker shows what the metrics hold, once, however often a run was killed, and nothing if it is not wanted."""

import itertools
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.system.errors import InputError
from hcl.extract.system.progress import logger
from hcl.match.store.locate import STORE
from hcl.train.config import TrainConfig
from hcl.train.fitting.loop import EpochRecord, StepRecord
from hcl.train.runs.run_folder import METRICS, TENSORBOARD
from hcl.train.runs.running import train
from hcl.train.runs.tracking import trackers
from hcl.train.runs.tracking.scalar_log import scalar_log
from hcl.train.runs.tracking.trackers import TRACKED, TensorBoard, tracker_of

Scalars = dict[str, list[tuple[int, float]]]
PER_EPOCH, LOOK, LAST = 4, 2, 12  # steps
SMALL = {"dim": 16, "heads": 2, "mlp_dim": 16, "epochs": 2, "steps_per_epoch": 12, "val_episodes": 20}


def logged(folder: Path) -> Scalars:
    """All that TensorBoard shows of a folder: (step, value) by tag."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def quick_train(run: str, **given: Any) -> None:
    settings = {**SMALL, "device": "cpu", **given}
    train(Path("cache.zarr"), run=Path(run), preset="quick", splits=None, settings=settings)


@pytest.fixture
def cache(make_cache: Callable[..., ZarrCache], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache in the working folder."""
    monkeypatch.chdir(tmp_path)
    make_cache(tmp_path / "cache.zarr")


@pytest.mark.usefixtures("cache")
def test_the_log_of_a_run_holds_its_metrics(said: list[str]) -> None:
    quick_train("one", lr_step_size=1)
    scalars = logged(Path("one", TENSORBOARD))
    epochs = [json.loads(line) for line in Path("one", METRICS).read_text().splitlines()]
    for epoch, line in zip(epochs, (line for line in said if line.startswith("epoch ")), strict=True):
        told = f"loss {epoch['terms']['total']:.4f}" if epoch["epoch"] else "nothing learned yet"
        assert line.startswith(f"epoch {epoch['epoch']}: {told}, validation ")
        # there are 2 val classes, so 2-way
        assert f", validation {epoch['validation']:.1f} % (2-way 1-shot; without training " in line
        assert line.endswith(", best") == epoch["best"]
    accuracies = [(epoch["step"], pytest.approx(epoch["validation"])) for epoch in epochs]
    assert [step for step, _ in accuracies] == [0, 12, 24] and scalars.pop("validation/accuracy") == accuracies
    _, *epochs = epochs  # without that before the first step
    for name in epochs[0]["terms"]:
        steps, values = zip(*scalars.pop(f"train/{name}"), strict=True)
        assert steps == tuple(range(24))
        means = [sum(values[:12]) / 12, sum(values[12:]) / 12]
        assert means == pytest.approx([epoch["terms"][name] for epoch in epochs])
    rates = [rate for _, rate in scalars.pop("train/learning_rate")]
    assert rates == pytest.approx([epochs[0]["learning_rate"]] * 12 + [epochs[1]["learning_rate"]] * 12)
    waited = scalars.pop("train/waiting")
    assert [step for step, _ in waited] == [9, 11, 19, 23] and all(0 <= share <= 1 for _, share in waited)
    assert not scalars


def of_step(step: int) -> StepRecord:
    return StepRecord(step, learning_rate=1 / step, terms={"total": step / 2})


def of_epoch(step: int) -> EpochRecord:
    return EpochRecord(step // PER_EPOCH, step, 1.0, {}, validation=step / 4, best=True)


class Killed(Exception):
    """Stands for the end of the process."""


def follow(folder: Path, start: int, stop: int, *, last_told: bool = True) -> None:
    """What `fit` calls back with after a checkpoint at `start`, until the process ends after `stop` steps."""
    with scalar_log(lambda updates: TensorBoard(folder, updates)) as log:
        for step in range(PER_EPOCH, start + 1, PER_EPOCH):
            log.epoch(of_epoch(step))
        for step in range(start + LOOK, stop + 1, LOOK):
            log.steps([of_step(number) for number in range(step - LOOK + 1, step + 1)], step / 100)
            if step % PER_EPOCH == 0 and (last_told or step < stop):
                log.epoch(of_epoch(step))
        if stop < LAST or not last_told:
            raise Killed


@pytest.mark.parametrize(
    "lives",
    [
        [(0, 6, True), (4, 12, True)],  # killed after steps that are in no checkpoint
        [(0, 6, True), (0, 12, True)],  # before there was one
        [(0, 6, True), (6, 6, True), (6, 12, True)],  # before it had taken a new step
        [(0, 8, True), (8, 12, True)],
        [(0, 8, False), (8, 12, True)],  # between the checkpoint of an epoch and its callback
        [(0, 12, False), (12, 12, True)],
        [(0, 12, True), (12, 12, True)],
        [(0, 10, True), (6, 8, False), (8, 10, True), (8, 12, True)],
    ],
)
def test_a_resumed_run_has_the_log_of_one_that_never_stopped(
    lives: list[tuple[int, int, bool]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count(10**9)  # of the names of files, by which they are sorted
    monkeypatch.setattr(time, "time", lambda: float(next(seconds)))
    follow(tmp_path / "whole", 0, LAST)
    for start, stop, last_told in lives:
        with suppress(Killed):
            follow(tmp_path / "cut", start, stop, last_told=last_told)
    whole = logged(tmp_path / "whole")
    assert [step for step, _ in whole["train/total"]] == list(range(LAST))
    assert logged(tmp_path / "cut") == whole


@contextmanager
def interrupted_at(line: str) -> Iterator[None]:
    """Interrupt whatever logs a line that begins so."""

    def interrupt(record: logging.LogRecord) -> bool:
        if record.getMessage().startswith(line):
            raise KeyboardInterrupt
        return True

    logger.addFilter(interrupt)
    with pytest.raises(KeyboardInterrupt):
        yield
    logger.removeFilter(interrupt)


@pytest.mark.usefixtures("cache", "said")
def test_a_run_can_do_without_and_be_resumed_without() -> None:
    quick_train("one", tracker="none")
    with interrupted_at("epoch 1: "):
        quick_train("two")
    quick_train("two", tracker="none")
    assert not Path("one", TENSORBOARD).exists() and Path("two", STORE).is_dir()
    assert len(logged(Path("two", TENSORBOARD))["train/total"]) == 12


def test_tensorboard_is_imported_where_it_is_wanted_alone() -> None:
    code = "import sys, hcl.train.runs.running; sys.exit('tensorboard' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class FakeRun:
    """What wandb.init gives, as far as it is used; a run that is resumed knows its next step."""

    kept: ClassVar[dict[str, dict[int, dict[str, float]]]] = {}

    def __init__(self, identity: str | None) -> None:
        self.id = identity or f"run{len(self.kept)}"
        self.history = self.kept.setdefault(self.id, {})
        self.step = max(self.history, default=-1) + 1

    def log(self, values: dict[str, float], *, step: int) -> None:
        assert step >= max(self.history, default=0), "its history only grows"
        self.history.setdefault(step, {}).update(values)

    def finish(self) -> None:
        pass


@pytest.mark.usefixtures("cache", "said")
def test_a_resumed_run_goes_on_in_weights_and_biases(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def init(**given: Any) -> FakeRun:
        asked.append(given)
        return FakeRun(given["id"])

    fake = ModuleType("wandb")
    fake.init = init  # type: ignore[attr-defined]
    fake.__spec__ = ModuleSpec("wandb", None)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr(FakeRun, "kept", {})
    monkeypatch.setenv("WANDB_PROJECT", "clips")
    quick_train("whole", tracker="wandb")
    with interrupted_at("epoch 1: "):
        quick_train("cut", tracker="wandb")
    quick_train("cut", tracker="wandb")
    assert [given["name"] for given in asked] == ["whole", "cut", "cut"]
    assert [given["id"] for given in asked] == [None, None, "run1"]
    assert {given["project"] for given in asked} == {"clips"} and asked[0]["config"]["tracker"] == "wandb"
    assert json.loads(Path("cut", TRACKED).read_text())["wandb"] == "run1"
    whole, cut = FakeRun.kept["run0"], FakeRun.kept["run1"]
    for history in (whole, cut):
        assert list(history) == list(range(25))
        for values in history.values():
            values.pop("train/waiting", None)
    before = {name: whole[12][name] for name in whole[12] if name.startswith("validation/")}
    assert cut == {**whole, 12: before} and set(whole[12]) > {"validation/accuracy", "train/total"}


@pytest.mark.usefixtures("cache", "said")
def test_a_resumed_run_goes_on_in_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the mlflow extra is not installed")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with interrupted_at("epoch 1: "):
        quick_train("cut", tracker="mlflow")
    quick_train("cut", tracker="mlflow")
    client, identity = mlflow.MlflowClient(), json.loads(Path("cut", TRACKED).read_text())["mlflow"]
    steps = [value.step for value in client.get_metric_history(identity, "train/total")]
    assert steps == list(range(24)) and client.get_run(identity).data.params["dim"] == "16"


def test_a_tracker_that_is_not_installed_is_told_before_the_work(cache: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    for name in ("wandb", "mlflow"):
        with pytest.raises(InputError, match=rf'--tracker {name} needs a package .*: pip install "hcl\[{name}\]"'):
            quick_train("one", tracker=name)
    assert not Path("one").exists()
    with pytest.raises(InputError, match="--tracker must be one of tensorboard, wandb, mlflow, none, got 'paper'"):
        quick_train("one", tracker="paper")


def test_a_damaged_record_of_the_tracker_is_named(tmp_path: Path) -> None:
    (tmp_path / TRACKED).write_text("[]")
    opening = tracker_of(tmp_path, TrainConfig(tracker="mlflow"))
    assert opening is not None and tracker_of(tmp_path, TrainConfig(tracker="none")) is None
    pytest.importorskip("mlflow", reason="the mlflow extra is not installed")
    with pytest.raises(InputError, match=r"tracker.json: not as it was written; remove it"):
        opening(0)
