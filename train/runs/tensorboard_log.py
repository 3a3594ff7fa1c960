"""Scalars of a training for TensorBoard, in the folder of its run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hcl.train.fitting.loop import EpochRecord, StepRecord

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@contextmanager
def tensorboard_log(folder: Path) -> Iterator[TensorBoardLog]:
    """Keep a log in a folder, going on with the one that is there; closed also after an error."""
    log = TensorBoardLog(folder)
    try:
        yield log
        log.finish()
    finally:
        log.close()


class TensorBoardLog:
    """Writes what `fit` calls back with, each value at the number of updates that the weights had seen by then.

    So step 1 stands at 0, and what an epoch of 30 steps ends with at 30: as the first value of the next epoch does. A
    run that goes on therefore takes back all from its first new step on, and nothing is lost or written twice. Which
    step is the first is known when it comes: until then, the epochs that are told again are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: SummaryWriter | None = None
        self._kept: list[EpochRecord] = []

    def steps(self, records: Sequence[StepRecord], waited: float) -> None:
        """Write the values of some steps and the share of their time that was spent waiting for batches."""
        writer = self._begun(records[0].step - 1)
        for record in records:
            for name, value in {**record.terms, "learning_rate": record.learning_rate}.items():
                writer.add_scalar(f"train/{name}", value, record.step - 1)
        writer.add_scalar("train/waiting", waited, records[-1].step - 1)
        writer.flush()  # before the checkpoint of these steps, so that a killed run has no gap

    def epoch(self, record: EpochRecord) -> None:
        """Write the validation of an epoch, if there was one."""
        if self._writer is None:
            self._kept.append(record)
        elif record.validation is not None:
            self._writer.add_scalar("validation/accuracy", record.validation, record.step)
            self._writer.flush()

    def finish(self) -> None:
        """Write the last epoch of a training that had all its steps behind it when it went on."""
        if self._kept:
            self._begun(self._kept[-1].step)

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._writer is not None:
            self._writer.close()

    def _begun(self, updates: int) -> SummaryWriter:
        """The writer; made where there is none, it takes back what stands at `updates` or later."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(self._folder, purge_step=updates)
            kept, self._kept = self._kept, []
            for record in kept:
                if record.step >= updates:
                    self.epoch(record)
        return self._writer
