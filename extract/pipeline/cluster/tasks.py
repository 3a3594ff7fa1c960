"""Lists of tasks on a cluster: results come in the order of the tasks, and a few tasks are out at a time.

Ray gives a task whose worker or node died to another one.
"""

from __future__ import annotations

import platform
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, TypeVar

import torch

from hcl.extract.backbones.machine import MachineKind
from hcl.extract.pipeline.cluster.config import ClusterConfig
from hcl.extract.pipeline.cluster.connecting import connected, share_out
from hcl.extract.system.errors import InputError
from hcl.extract.system.progress import logger

RETRIES = 3  # of a task whose worker died
AHEAD = 2  # tasks for each that can run, so that none waits
Task = TypeVar("Task")
Result = TypeVar("Result")


def run_tasks(
    function: Callable[[Any, Task], Result],
    tasks: Sequence[Task],
    cluster: ClusterConfig,
    *,
    shared: Any = None,
    name: Callable[[Task], str],
    on_cpu: bool = False,
) -> Generator[Result, None, None]:
    """Call a function for each task, on the workers of a cluster.

    Args:
        function: of a module, so that workers can import it; it takes `shared` and a task
        tasks: small values
        cluster: which, and what each task gets of it
        shared: what all tasks read; its numpy arrays are kept once a node, read-only
        name: of a task, for Ray's dashboard
        on_cpu: whether tasks have no use for a GPU

    Yields:
        the results, in the order of the tasks

    Raises:
        InputError: if no cluster can be reached, or a task raised one
    """
    if on_cpu and cluster.gpus is None:
        cluster = replace(cluster, gpus=0.0)
    with connected(cluster) as ray:
        share = share_out(ray.nodes(), cluster)
        remote = ray.remote(**share.resources, max_retries=RETRIES, scheduling_strategy="SPREAD")(_call)
        reference, most = ray.put(shared), cluster.workers or AHEAD * max(1, share.room)
        with closing(_in_order(ray, remote, function, reference, tasks, name, share.cpus, most)) as results:
            yield from results


def _in_order(
    ray: Any,
    remote: Any,
    function: Callable[[Any, Task], Result],
    shared: Any,
    tasks: Sequence[Task],
    name: Callable[[Task], str],
    cpus: int,
    most: int,
) -> Generator[Result, None, None]:
    out: deque[Any] = deque()
    left, kinds = iter(tasks), dict[MachineKind, str]()
    try:
        while True:
            for task in left if len(out) < most else ():
                out.append(remote.options(name=name(task)).remote(function, shared, task, cpus))
                if len(out) >= most:
                    break
            if not out:
                return
            node, kind, result = _result(ray, out.popleft())
            _warn_of_others(kinds, kind, node)
            yield result
    finally:
        for reference in out:
            ray.cancel(reference, force=True)


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, InputError):
            raise InputError(str(cause)) from error
        raise
    except ray.exceptions.RayError as error:
        said = " ".join(str(error).split())[:300]
        raise InputError(
            f"a worker of the cluster died {RETRIES + 1} times over one task ({said}); run again"
        ) from error


def _call(
    function: Callable[[Any, Task], Result], shared: Any, task: Task, cpus: int
) -> tuple[str, MachineKind, Result]:
    """The worker's side of a task: its result, and where it was computed."""
    torch.set_num_threads(cpus)
    return platform.node(), MachineKind.here(), function(shared, task)


def _warn_of_others(kinds: dict[MachineKind, str], kind: MachineKind, node: str) -> None:
    """Say once of each further kind of worker in what it differs: its sums differ in the last bits."""
    if kind not in kinds:
        if kinds:
            first, of_first = next(iter(kinds.items()))
            differences = kind.differences(first, here="there", there=f"on {of_first}")
            logger.warning(f"{node} is of another version or kind, results may differ in the last bits: {differences}")
        kinds[kind] = node
