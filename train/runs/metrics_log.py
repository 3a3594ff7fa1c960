"""The record of a training while it runs: a bar, a line per epoch, metrics.jsonl and a tracker."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.errors import InputError, first_line
from hcl.extract.system.progress import logger, progress_bar
from hcl.train.config import TrainConfig
from hcl.train.fitting.loop import EpochRecord, StepRecord
from hcl.train.fitting.set_validation import SetValidation
from hcl.train.fitting.validation import Validation
from hcl.train.runs.file_hashes import check_sum, is_recorded
from hcl.train.runs.run_folder import METRICS
from hcl.train.runs.scalar_log import ScalarLog, scalar_log
from hcl.train.runs.trackers import tracker_of

SHOWN_DIGITS = 4  # of a loss beside the bar


@contextmanager
def metrics_log(
    run: Path, config: TrainConfig, *, validation: Validation | SetValidation | None = None
) -> Iterator[MetricsLog]:
    """Open the log of a run in its folder; it is closed also after an error.

    Args:
        run: the run's folder
        config: number of steps, and which tracker is wanted
        validation: whose accuracies the epochs have
    """
    tracker = tracker_of(run, config)
    scalars = scalar_log(tracker) if tracker is not None else nullcontext()
    bar = progress_bar(config.epochs * config.steps_per_epoch, "step", "train")
    with bar, scalars as writer:
        yield MetricsLog(run, bar, writer, validation)


class MetricsLog:
    """The callbacks of `fit`.

    Args:
        run: folder that metrics.jsonl is written to
        bar: counts steps
        scalars: for a tracker, if one is wanted
        validation: whose accuracies the epochs have
    """

    def __init__(
        self,
        run: Path,
        bar: tqdm[Any],
        scalars: ScalarLog | None,
        validation: Validation | SetValidation | None,
    ) -> None:
        self._run, self._bar, self._scalars, self._validation = run, bar, scalars, validation
        self._epochs: list[EpochRecord] = []

    def steps(self, records: Sequence[StepRecord], waited: float) -> None:
        """Log some steps, and the share of their time that was spent waiting for batches; the bar shows the last."""
        last = records[-1]
        self._bar.update(last.step - self._bar.n)
        losses = {name: f"{value:.{SHOWN_DIGITS}g}" for name, value in last.terms.items()}
        self._bar.set_postfix(losses | {"waiting": f"{100 * waited:.0f} %"}, refresh=False)
        if self._scalars is not None:
            self._scalars.steps(records, waited)

    def epoch(self, record: EpochRecord) -> None:
        """Write the metrics of all epochs so far, and log a line on this one."""
        self._bar.update(record.step - self._bar.n)
        self._epochs.append(record)
        write_metrics(self._run, self._epochs)
        if self._scalars is not None:
            self._scalars.epoch(record)
        best = ", best" if record.best else ""
        loss = f"loss {record.terms['total']:.4f}" if record.epoch else "nothing learned yet"
        logger.info(f"epoch {record.epoch}: {loss}{self._accuracy(record)}{best}")

    def _accuracy(self, record: EpochRecord) -> str:
        """The accuracy of an epoch, beside that of the maps without training."""
        if record.validation is None or self._validation is None:
            return ""
        of_sets = self._validation.of_sets if isinstance(self._validation, SetValidation) else {}
        return f", validation {_beside_untrained(record.validation, self._validation)}" + "".join(
            f"; {name} {_beside_untrained(record.validation_by_set[name], of_set)}" for name, of_set in of_sets.items()
        )


def _beside_untrained(accuracy: float, validation: Validation | SetValidation) -> str:
    """An accuracy, what it is of, and that of the maps without training."""
    return f"{accuracy:.1f} % ({validation.case}; without training {validation.untrained:.1f} %)"


def write_metrics(run: Path, records: Sequence[EpochRecord]) -> None:
    """Write the metrics of all epochs so far, one JSON object per line."""
    with atomic_file(run / METRICS) as fresh:
        fresh.write_text("".join(json.dumps(record.to_dict()) + "\n" for record in records), encoding="utf-8")


def kept_epoch(run: Path) -> int:
    """The epoch whose weights a trained run kept, as its metrics say; 0: the encoder as it began.

    Raises:
        InputError: if they are damaged
    """
    check_sum(run, METRICS)
    kept = [record["epoch"] for record in read_metrics(run) if record["best"]]
    if not kept:
        raise InputError(f"{run / METRICS}: no epoch is the best; train the run anew")
    return int(kept[-1])


def metrics_so_far(run: Path) -> list[dict[str, Any]]:
    """The metrics of all epochs so far; none before there are any.

    Raises:
        InputError: if they are damaged
    """
    if is_recorded(run, METRICS):
        check_sum(run, METRICS)
    return read_metrics(run) if (run / METRICS).is_file() else []


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The metrics of all epochs so far.

    Raises:
        InputError: if a line does not hold those of an epoch
    """
    try:
        lines = (run / METRICS).read_text(encoding="utf-8").splitlines()
        records: list[dict[str, Any]] = [EpochRecord(**json.loads(line)).to_dict() for line in lines]
        for record in records:
            if not isinstance(record["epoch"], int) or not all(map(_is_number, dict(record["terms"]).values())):
                raise ValueError(f"epoch {record['epoch']!r}")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{run / METRICS}: not the metrics of a run ({first_line(error)}); train the run anew, or let it finish"
        ) from error
    return records


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
