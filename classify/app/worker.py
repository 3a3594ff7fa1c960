"""One thread that does all that computes, in the order in which it is asked for, and tells how far it is."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from hcl.extract.system.errors import InputError, VideoError, first_line
from hcl.extract.system.progress import logger

MOST_WAITING = 100  # jobs
MOST_PROBLEMS = 10  # that are shown, the latest

Tell = Callable[[str], None]  # takes how far a job is; raises Cancelled where nobody wants it any more


class Cancelled(Exception):
    """Somebody cancelled the job."""


@dataclass
class Job:
    """Something that waits or runs."""

    number: int
    what: str  # as it is shown
    run: Callable[[Tell], None] = field(repr=False)
    dispose: Callable[[], None] = field(repr=False)  # removes what the job alone needs, however it ends
    progress: str = "waits"
    is_cancelled: bool = False


@dataclass(frozen=True)
class Problem:
    """A job that failed, and why."""

    number: int
    text: str


class Worker:
    """Runs one job at a time; a failure is told, and the next job runs."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._later: dict[str, Callable[[Tell], None]] = {}  # by what they are: run where nothing else waits
        self._current: Job | None = None
        self._problems: deque[Problem] = deque(maxlen=MOST_PROBLEMS)
        self._count = 0
        self._is_closing = False
        self._thread = threading.Thread(target=self._work, name="worker", daemon=True)
        self._thread.start()

    def submit(self, what: str, run: Callable[[Tell], None], dispose: Callable[[], None] = lambda: None) -> int:
        """Let a job run after those that wait.

        Args:
            what: as it is shown
            run: the job
            dispose: runs after it, also where it failed or never ran

        Returns:
            its number

        Raises:
            InputError: if too many wait
        """
        with self._changed:
            if self._is_closing or len(self._waiting) >= MOST_WAITING:
                dispose()
                raise InputError(f"{what}: {len(self._waiting)} jobs wait already; try again when some are done")
            self._count += 1
            self._waiting.append(Job(self._count, what, run, dispose))
            self._changed.notify_all()
            return self._count

    def submit_later(self, what: str, run: Callable[[Tell], None]) -> None:
        """Let a job run once nothing else waits; asked for twice before that, it runs once."""
        with self._changed:
            self._later[what] = run
            self._changed.notify_all()

    def cancel(self, number: int) -> None:
        """Let a job not run, or end at its next step."""
        with self._changed:
            for job in (*self._waiting, *([self._current] if self._current else [])):
                job.is_cancelled = job.is_cancelled or job.number == number
            for job in [job for job in self._waiting if job.is_cancelled]:
                self._waiting.remove(job)
                job.dispose()

    def dismiss(self, number: int) -> None:
        """Forget a problem."""
        with self._changed:
            kept = [problem for problem in self._problems if problem.number != number]
            self._problems = deque(kept, maxlen=MOST_PROBLEMS)

    def shown(self) -> tuple[list[tuple[int, str, str]], list[Problem]]:
        """The jobs that run and wait as (number, what, progress), and the problems."""
        with self._changed:
            jobs = ([self._current] if self._current else []) + list(self._waiting)
            return [(job.number, job.what, job.progress) for job in jobs], list(self._problems)

    @property
    def is_busy(self) -> bool:
        """Whether anything runs or waits."""
        with self._changed:
            return bool(self._current or self._waiting or self._later)

    def close(self) -> None:
        """Drop what waits, cancel what runs, and wait for its next step."""
        with self._changed:
            self._is_closing = True
            waiting, self._waiting, self._later = list(self._waiting), deque(), {}
            if self._current:
                self._current.is_cancelled = True
            self._changed.notify_all()
        for job in waiting:
            job.dispose()
        self._thread.join(timeout=10)

    def _work(self) -> None:
        while job := self._next():
            self._run(job)

    def _next(self) -> Job | None:
        """Wait for a job; None at the end."""
        with self._changed:
            self._current = None
            while not (self._waiting or self._later or self._is_closing):
                self._changed.wait(timeout=1.0)
            if self._is_closing:
                return None
            if self._waiting:
                self._current = self._waiting.popleft()
            else:
                what = next(iter(self._later))
                self._current = Job(0, what, self._later.pop(what), lambda: None)
            self._current.progress = "runs"
            return self._current

    def _run(self, job: Job) -> None:
        def tell(progress: str) -> None:
            job.progress = progress
            if job.is_cancelled:
                raise Cancelled

        try:
            job.run(tell)
        except Cancelled:
            pass
        except (InputError, VideoError) as error:
            self._fail(job, str(error))
        except Exception as error:  # the page must live on; what it was is told
            logger.warning(f"{job.what}: {type(error).__name__}: {first_line(error)}", exc_info=True)
            self._fail(job, f"{job.what}: unexpected, {type(error).__name__}: {first_line(error)}")
        finally:
            job.dispose()

    def _fail(self, job: Job, text: str) -> None:
        with self._changed:
            self._count += 1
            self._problems.append(Problem(self._count, text))
