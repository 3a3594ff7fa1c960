"""Scalars of a training for TensorBoard, Weights & Biases or MLflow, each once however often the run was killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hcl.train.fitting.loop import EpochRecord, StepRecord
from hcl.train.runs.trackers import ScalarWriter


@contextmanager
def scalar_log(open_writer: Callable[[int], ScalarWriter]) -> Iterator[ScalarLog]:
    """Open the log of a run, where an earlier one is continued; it is closed also after an error.

    Args:
        open_writer: given the number of updates at which the first new value stands
    """
    log = ScalarLog(open_writer)
    try:
        yield log
        log.finish()
    finally:
        log.close()


class ScalarLog:
    """Writes scalars, each at the number of updates that the weights had seen by then.

    So step 1 is at 0, and the validation after an epoch of 30 steps at 30, as is the first step of the next epoch. A
    resumed run purges whatever is at its first new step or later: nothing is lost or written twice. That step is known
    only when it comes: until then, the epochs of the checkpoint, which `fit` reports again, are held back.
    """

    def __init__(self, open_writer: Callable[[int], ScalarWriter]) -> None:
        self._open_writer = open_writer
        self._writer: ScalarWriter | None = None
        self._held_back: list[EpochRecord] = []

    def steps(self, records: Sequence[StepRecord], waited: float) -> None:
        """Write the losses of some steps and the share of their time that was spent waiting for batches."""
        writer = self._writer_from(records[0].step - 1)
        for record in records:
            values = {f"train/{name}": value for name, value in record.terms.items()}
            further = {"train/waiting": waited} if record is records[-1] else {}
            writer.add({**values, "train/learning_rate": record.learning_rate, **further}, record.step - 1)
        writer.flush()  # before the checkpoint of these steps, so that a killed run has no gap

    def epoch(self, record: EpochRecord) -> None:
        """Write the validation of an epoch, if there was one."""
        if self._writer is None:
            self._held_back.append(record)
        elif record.validation is not None:
            of_sets = {f"validation/accuracy/{name}": value for name, value in record.validation_by_set.items()}
            self._writer.add({"validation/accuracy": record.validation, **of_sets}, record.step)
            self._writer.flush()

    def finish(self) -> None:
        """Write the last epoch of a training that was resumed after its last step."""
        if self._held_back:
            self._writer_from(self._held_back[-1].step)

    def close(self) -> None:
        """Close what is open."""
        if self._writer is not None:
            self._writer.close()

    def _writer_from(self, updates: int) -> ScalarWriter:
        """The writer; a new one purges what an earlier run wrote at `updates` or later."""
        if self._writer is None:
            self._writer = self._open_writer(updates)
            held_back, self._held_back = self._held_back, []
            for record in held_back:
                if record.step >= updates:
                    self.epoch(record)
        return self._writer
