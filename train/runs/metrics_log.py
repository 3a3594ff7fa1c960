"""What a training tells while it runs: a bar on the terminal, metrics.jsonl and TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.progress import progress_bar
from hcl.train.config import TrainConfig
from hcl.train.fitting.loop import EpochRecord, StepRecord
from hcl.train.runs.run_folder import METRICS, TENSORBOARD
from hcl.train.runs.tensorboard_log import TensorBoardLog, tensorboard_log

SHOWN_TERMS = 4  # digits


@contextmanager
def run_record(run: Path, config: TrainConfig) -> Iterator[RunRecord]:
    """Keep the record of a run in its folder; closed also after an error.

    Args:
        run: the run's folder
        config: its schedule, and whether TensorBoard is wanted
    """
    logs = tensorboard_log(run / TENSORBOARD) if config.tensorboard else nullcontext()
    bar = progress_bar(config.epochs * config.steps_per_epoch, "step", "train")
    with bar, logs as log:
        yield RunRecord(run, bar, log)


class RunRecord:
    """Takes what `fit` calls back with."""

    def __init__(self, run: Path, bar: tqdm[Any], log: TensorBoardLog | None) -> None:
        self._run, self._bar, self._log = run, bar, log
        self._epochs: list[EpochRecord] = []

    def steps(self, records: Sequence[StepRecord], waited: float) -> None:
        """Show the terms of the last of some steps and the share of their time that was spent waiting for batches."""
        last = records[-1]
        self._bar.update(last.step - self._bar.n)
        shown = {name: f"{value:.{SHOWN_TERMS}g}" for name, value in last.terms.items()}
        self._bar.set_postfix(shown | {"waiting": f"{100 * waited:.0f} %"}, refresh=False)
        if self._log is not None:
            self._log.steps(records, waited)

    def epoch(self, record: EpochRecord) -> None:
        """Write the metrics of all epochs so far and show those of this one."""
        self._bar.update(record.step - self._bar.n)
        self._epochs.append(record)
        write_metrics(self._run, self._epochs)
        if self._log is not None:
            self._log.epoch(record)
        found = "" if record.validation is None else f", validation {record.validation:.1f} %"
        best = " (best)" if record.best else ""
        self._bar.write(f"epoch {record.epoch}: loss {record.terms['total']:.4f}{found}{best}")


def write_metrics(run: Path, records: Sequence[EpochRecord]) -> None:
    """Write the metrics of all epochs so far, one JSON object a line."""
    with atomic_file(run / METRICS) as fresh:
        fresh.write_text("".join(json.dumps(asdict(record)) + "\n" for record in records), encoding="utf-8")
