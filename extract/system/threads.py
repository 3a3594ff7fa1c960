"""Work side by side: cores, threads that call torch, and child processes that end with their parent."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

_PR_SET_PDEATHSIG = 1  # of Linux's prctl


@contextmanager
def single_threaded_pool(count: int) -> Iterator[ThreadPoolExecutor]:
    """Start workers in which torch has one thread: whole tasks part better than products do.

    Interrupted, the workers end their tasks and begin no others.
    """
    import torch  # here, so that those who only count cores stay free of it

    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, thread_name_prefix="lane", initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # what a thread sets holds for all that start later


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_with_parent() -> None:
    """End this child process when the process that started it is gone, however that ended.

    Linux ends it at once, whatever it does, and already when the thread that started it ends. Elsewhere a thread waits
    for the parent's end.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise ValueError("this process was not started by multiprocessing")
    if sys.platform != "linux":
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent.pid:  # it went before the request was made
        os._exit(1)


@contextmanager
def main_left_alone() -> Iterator[None]:
    """Let a process that starts meanwhile not run the user's script: it needs nothing of it, and few scripts have the
    guard `if __name__ == "__main__"` that would stop them there from starting over.
    """
    main = sys.modules["__main__"]
    hidden: dict[str, Any] = {name: vars(main).pop(name) for name in ("__file__", "__spec__") if name in vars(main)}
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(hidden)


def _end_after(parent: "multiprocessing.process.BaseProcess") -> None:
    parent.join()
    os._exit(1)
