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
    """Open the log in a folder, where an earlier one is continued; it is closed also after an error."""
    log = TensorBoardLog(folder)
    try:
        yield log
        log.finish()
    finally:
        log.close()


class TensorBoardLog:
    """Writes scalars, each at the number of updates that the weights had seen by then.

    So step 1 is at 0, and the validation after an epoch of 30 steps at 30, as is the first step of the next epoch. A
    resumed run purges whatever is at its first new step or later: nothing is lost or written twice. That step is known
    only when it comes: until then, the epochs of the checkpoint, which `fit` reports again, are held back.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: SummaryWriter | None = None
        self._held_back: list[EpochRecord] = []

    def steps(self, records: Sequence[StepRecord], waited: float) -> None:
        """Write the losses of some steps and the share of their time that was spent waiting for batches."""
        writer = self._writer_from(records[0].step - 1)
        for record in records:
            for name, value in {**record.terms, "learning_rate": record.learning_rate}.items():
                writer.add_scalar(f"train/{name}", value, record.step - 1)
        writer.add_scalar("train/waiting", waited, records[-1].step - 1)
        writer.flush()  # before the checkpoint of these steps, so that a killed run has no gap

    def epoch(self, record: EpochRecord) -> None:
        """Write the validation of an epoch, if there was one."""
        if self._writer is None:
            self._held_back.append(record)
        elif record.validation is not None:
            self._writer.add_scalar("validation/accuracy", record.validation, record.step)
            for name, accuracy in record.validation_by_set.items():
                self._writer.add_scalar(f"validation/accuracy/{name}", accuracy, record.step)
            self._writer.flush()

    def finish(self) -> None:
        """Write the last epoch of a training that was resumed after its last step."""
        if self._held_back:
            self._writer_from(self._held_back[-1].step)

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._writer is not None:
            self._writer.close()

    def _writer_from(self, updates: int) -> SummaryWriter:
        """The writer; a new one purges what an earlier run wrote at `updates` or later."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(self._folder, purge_step=updates)
            held_back, self._held_back = self._held_back, []
            for record in held_back:
                if record.step >= updates:
                    self.epoch(record)
        return self._writer
