"""Videos decoded ahead of the caller, in worker processes that are watched and, if they crash or hang, replaced.

A thread of this process keeps the workers busy while the caller computes. A worker has one video at a time, so its
end costs that video alone.
"""

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from hcl.extract.decoding.source import Source
from hcl.extract.decoding.worker import (
    MEMORY_EXIT_CODE,
    TIME_EXIT_CODE,
    Answer,
    Decoded,
    DecodeTask,
    Failed,
    serve,
)
from hcl.extract.system.errors import InputError, first_line
from hcl.extract.system.progress import logger
from hcl.extract.system.threads import cores, main_left_alone

AHEAD = 16  # decoded videos that may wait for the caller; 4.8 MB each at the defaults
_CLOCK = 10  # a video may take so many times its processor time by the clock: others use the machine, too
_STARTS, _REST = 5, 0.2  # tries to start a worker, and the seconds between them


def decode_ahead(
    paths: Sequence[tuple[int, Path]],
    task: DecodeTask,
    *,
    workers: int = 0,
    finished: Callable[[tuple[int, Path]], None] | None = None,
) -> Generator[Decoded | Failed, None, None]:
    """Decode videos in worker processes, some ahead of the caller, and yield them in the order of `paths`.

    Closing the generator, or any exception in it, ends the workers.

    Args:
        paths: a row number, and a file or a folder of images, for each video
        task: what is done with each video
        workers: processes, one thread each; 0 means one per core
        finished: called in another thread with each of `paths` that no worker reads any more
    """
    if not paths:
        return
    pool = DecodePool(task, min(workers or cores(), len(paths)), finished)
    try:
        given = map(paths.__getitem__, range(len(paths)))
        pool.add(*islice(given, AHEAD))
        for _ in range(len(paths)):
            pool.add(*islice(given, 1))
            yield pool.take()
    finally:
        pool.close()


@dataclass
class _Worker:
    """One process, and the video that it has."""

    process: SpawnProcess
    connection: Connection
    starts: int  # tries that it took
    is_ready: bool = False
    number: int | None = None  # of its video among the paths
    source: Source = field(default_factory=Source)
    deadline: float = float("inf")

    def end(self, *, patience: float = 0.0) -> int:
        """Wait for the process, kill it if it still runs, and return how it ended."""
        self.connection.close()
        self.process.join(patience)
        self.process.kill()
        self.process.join()
        code = self.process.exitcode or 0
        self.process.close()
        return code


class DecodePool:
    """Worker processes and the thread that feeds them: videos are added at any time, and come back in their order.

    The workers live until the pool is closed, so that the next video waits for no process to start.

    Args:
        task: what is done with each video
        workers: processes, one thread each
        finished: called in the pool's thread with each video that no worker reads any more
    """

    def __init__(
        self, task: DecodeTask, workers: int, finished: Callable[[tuple[int, Path]], None] | None = None
    ) -> None:
        self._paths: dict[int, tuple[int, Path]] = {}  # by number, of videos that are not finished
        self._count = 0  # videos that were ever given
        self._task, self._finished = task, finished
        self._size = workers
        self._workers: list[_Worker] = []
        self._next = 0  # the first video that no worker has had yet
        self._taken = 0  # videos that the caller has got
        self._results: dict[int, Decoded | Failed] = {}
        self._failure: BaseException | None = None
        self._is_closing = False
        self._changed = threading.Condition()
        self._wakeup_receiver, self._wakeup_sender = multiprocessing.Pipe(duplex=False)  # wakes the thread
        # The thread starts the workers: Linux ends them with the thread that did.
        self._thread = threading.Thread(target=self._run, name="decode-ahead", daemon=True)
        self._thread.start()

    def add(self, *paths: tuple[int, Path]) -> None:
        """Let further videos be decoded: of each a number that its result bears, and a file or a folder of images."""
        self._paths |= dict(enumerate(paths, start=self._count))
        self._count += len(paths)
        self._wake()

    def take(self) -> Decoded | Failed:
        """Wait for the result of the next video, in the order in which they were added.

        Raises:
            InputError: if no worker can be started
        """
        number = self._taken
        if number >= self._count:
            raise ValueError(f"{number} videos were added, and all are taken")
        with self._changed:
            while number not in self._results and self._failure is None:
                self._changed.wait(timeout=1.0)  # in steps: Windows does not interrupt a long wait
            if number not in self._results and self._failure is not None:
                raise self._failure
            result = self._results.pop(number)
            self._taken = number + 1
        self._wake()
        return result

    def close(self) -> None:
        """End the thread and all workers; once closed, nothing more."""
        if self._is_closing:
            return
        self._is_closing = True
        self._wake()
        self._thread.join()
        self._wakeup_sender.close()
        self._wakeup_receiver.close()

    def _wake(self) -> None:
        """Let the thread look around; it may have ended by a failure, which `take` raises."""
        if self._thread.is_alive():
            self._wakeup_sender.send_bytes(b".")

    def _run(self) -> None:
        try:
            while not self._is_closing:
                self._grow()
                self._hand_out()
                self._listen()
                self._end_late_ones()
        except BaseException as failure:  # of any kind: the caller's thread raises it
            self._failure = failure
        finally:
            for worker in self._workers:
                worker.end()
            with self._changed:
                self._changed.notify_all()

    def _grow(self) -> None:
        """Start workers while there are fewer than videos to decode, up to the pool's size."""
        while len(self._workers) < min(self._size, len(self._paths)) and not self._is_closing:
            self._start()

    def _start(self, starts: int = 1) -> None:
        """Start a worker; `starts` counts the tries."""
        context = multiprocessing.get_context("spawn")
        try:
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, self._task), name="decode", daemon=True)
            with main_left_alone():
                process.start()
        except OSError as error:
            self._start_again(starts, first_line(error))
            return
        theirs.close()  # so that the end of the worker is the end of the pipe
        self._workers.append(_Worker(process, ours, starts))

    def _start_again(self, starts: int, ending: str) -> None:
        """Replace a worker that ended while it started; after a few tries, do with those that live."""
        if starts < _STARTS:
            time.sleep(_REST)
            self._start(starts + 1)
            return
        self._size -= 1
        told = f"a decoding process ended {starts} times while it started ({ending})"
        remedy = "use fewer --workers, or free memory"
        if not self._size:
            raise InputError(f"{told}, and none is left; {remedy}, and see what it printed above, if anything")
        logger.warning(f"{told}; {self._size} others go on; to avoid this, {remedy}")

    def _hand_out(self) -> None:
        limit = min(self._count, self._taken + self._size + AHEAD)
        for worker in self._workers:
            if worker.is_ready and worker.number is None and self._next < limit:
                try:
                    worker.connection.send(self._paths[self._next])
                except OSError:
                    continue  # it ended while idle: its pipe says so next, and another takes over
                worker.number, worker.source = self._next, Source()
                worker.deadline = time.monotonic() + self._clock(worker.source)
                self._next += 1

    def _listen(self) -> None:
        first = min((worker.deadline for worker in self._workers), default=float("inf")) - time.monotonic()
        sources = [self._wakeup_receiver, *(worker.connection for worker in self._workers)]
        heard = wait(sources, timeout=min(max(first, 0.0), 60.0))
        if self._wakeup_receiver in heard:
            self._wakeup_receiver.recv_bytes()
        for worker in [worker for worker in self._workers if worker.connection in heard]:
            self._receive(worker)

    def _receive(self, worker: _Worker) -> None:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            self._replace(worker, "")
            return
        if isinstance(message, Source):
            worker.source = message
            worker.deadline = time.monotonic() + self._clock(message)
        elif isinstance(message, Answer):
            self._finish(worker, message.result)
            if message.is_spent:
                self._replace(worker, "")
        else:
            worker.is_ready = True

    def _end_late_ones(self) -> None:
        now = time.monotonic()
        for worker in list(self._workers):
            if worker.deadline < now and not worker.connection.poll():
                clock = f"{self._clock(worker.source):.0f} seconds by the clock"
                self._replace(worker, f"decoding it took longer than {clock}; raise --video-timeout")

    def _replace(self, worker: _Worker, reason: str) -> None:
        """End a worker, let the video that it had fail, and start another worker."""
        code = worker.end(patience=0.0 if reason else 5.0)  # a closed pipe comes just before the exit code
        self._workers.remove(worker)
        if not worker.is_ready:
            self._start_again(worker.starts, _how(code))
            return
        if worker.number is not None:
            row = self._paths[worker.number][0]
            self._finish(worker, Failed(row, reason or self._ending(code, worker.source), worker.source))
        self._start()

    def _finish(self, worker: _Worker, result: Decoded | Failed) -> None:
        if worker.number is None:
            raise ValueError(f"a worker without a video answered {result}")
        if self._finished is not None:
            self._finished(self._paths[worker.number])
        with self._changed:
            self._results[worker.number] = result
            del self._paths[worker.number]
            self._changed.notify_all()
        worker.number, worker.deadline = None, float("inf")

    def _clock(self, source: Source) -> float:
        """The seconds by the clock after which a worker is killed."""
        return _CLOCK * self._task.processor_seconds(source)

    def _ending(self, code: int, source: Source) -> str:
        """Say in words how a process ended by itself."""
        if code == MEMORY_EXIT_CODE:
            return f"decoding it takes more than {self._task.mib_per_video} MiB of memory"
        if code == TIME_EXIT_CODE:
            seconds = f"{self._task.processor_seconds(source):.0f} seconds of processor time"
            return f"decoding it took longer than {seconds}; raise --video-timeout"
        return f"the decoder crashed on it ({_how(code)})"


def _how(code: int) -> str:
    """Name what ended a process: a signal, or its exit code."""
    names = {int(each): each.name for each in signal.Signals}
    return names.get(-code, "an unknown signal") if code < 0 else f"exit code {code}"
