"""The one thread that works: in order, one at a time; failures are told, and nothing is left behind."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from hcl.classify.app import worker as module
from hcl.classify.app.worker import Worker
from hcl.extract.system.errors import InputError


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()


def wait(worker: Worker) -> None:
    end = time.monotonic() + 30
    while worker.is_busy:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_jobs_run_in_order_and_later_ones_once_at_the_end(worker: Worker) -> None:
    done: list[Any] = []
    gate = threading.Event()
    worker.submit("gate", lambda tell: done.append(gate.wait(30)))
    for _ in range(3):
        worker.submit_later("later", lambda tell: done.append("later"))
    for number in range(3):
        worker.submit(str(number), lambda tell, number=number: done.append(number), lambda: done.append("gone"))
    assert [what for _, what, _ in worker.shown()[0]] == ["gate", "0", "1", "2"]
    gate.set()
    wait(worker)
    assert done == [True, 0, "gone", 1, "gone", 2, "gone", "later"]


def test_a_failure_is_told_and_the_next_job_runs(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    def fail(error: Exception) -> Any:
        def run(tell: Any) -> None:
            raise error

        return run

    worker.submit("a", fail(InputError("mend it")), lambda: done.append("disposed"))
    worker.submit("b", fail(ZeroDivisionError("of zero")))
    worker.submit("c", lambda tell: done.append("c"))
    wait(worker)
    _, problems = worker.shown()
    assert done == ["disposed", "c"] and [problem.text for problem in problems] == [
        "mend it",
        "b: unexpected, ZeroDivisionError: of zero",
    ]
    worker.dismiss(problems[0].number)
    assert len(worker.shown()[1]) == 1 and "ZeroDivisionError" in caplog.text


def test_a_cancelled_job_ends_at_its_next_step_and_one_that_waits_never_runs(worker: Worker) -> None:
    done: list[str] = []
    begun, gate = threading.Event(), threading.Event()

    def run(tell: Any) -> None:
        begun.set()
        gate.wait(30)
        tell("next")
        done.append("wrong")

    first = worker.submit("first", run, lambda: done.append("first disposed"))
    second = worker.submit("second", lambda tell: done.append("wrong"), lambda: done.append("second disposed"))
    begun.wait(30)
    worker.cancel(second)
    worker.cancel(first)
    gate.set()
    wait(worker)
    assert done == ["second disposed", "first disposed"] and worker.shown() == ([], [])


def test_too_many_jobs_are_refused(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 1)
    gate, disposed = threading.Event(), []
    begun = threading.Event()
    worker.submit("runs", lambda tell: (begun.set(), gate.wait(30)) and None)
    begun.wait(30)
    worker.submit("waits", lambda tell: None)
    with pytest.raises(InputError, match="try again when some are done"):
        worker.submit("too many", lambda tell: None, lambda: disposed.append(1))
    assert disposed == [1]
    gate.set()


def test_the_end_disposes_of_what_waits() -> None:
    worker, gate, disposed = Worker(), threading.Event(), []
    worker.submit("runs", lambda tell: gate.wait(30) and None)
    worker.submit("waits", lambda tell: None, lambda: disposed.append(1))
    gate.set()
    worker.close()
    assert disposed == [1]
