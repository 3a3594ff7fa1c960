"""Cores, and threads that call torch side by side, each with one thread of torch's own."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


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
