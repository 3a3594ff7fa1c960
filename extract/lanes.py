"""Threads that call torch side by side, each with one thread of torch's own."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


@contextmanager
def one_thread_each(count: int) -> Iterator[ThreadPoolExecutor]:
    """Start workers in which torch has one thread: whole tasks part better than products do.

    Interrupted, the workers end their tasks and begin no others.
    """
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, thread_name_prefix="lane", initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # what a thread sets holds for all that start later
