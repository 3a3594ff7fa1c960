"""Reach a Ray cluster, or make one of this machine, and share its cores and GPUs out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hcl.extract.pipeline.cluster.config import LOCAL, ClusterConfig
from hcl.extract.system.errors import InputError, first_line
from hcl.extract.system.progress import logger
from hcl.extract.system.threads import cores

EXTRA = "pip install 'hcl[cluster]'"


def import_ray() -> Any:
    """Import Ray where it is used.

    Raises:
        InputError: if it is not installed
    """
    try:
        import ray
    except ImportError as error:
        raise InputError(f"--ray needs ray ({first_line(error)}); install the extra cluster: {EXTRA}") from error
    return ray


@contextmanager
def connected(config: ClusterConfig) -> Iterator[Any]:
    """Connect to a cluster while the block runs, and give Ray; a connection that is there already is used and kept.

    Raises:
        InputError: if Ray is not installed, or no cluster answers
    """
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    given: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if config.ray == LOCAL:
        given |= {"address": LOCAL, "num_cpus": cores(), "include_dashboard": None}
    else:
        given |= {"address": config.ray}
    try:
        context = ray.init(**given)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise InputError(
            f"--ray {config.ray}: no cluster can be reached ({first_line(error)}); start one with: ray start --head,"
            " give its HOST:PORT and, if it asks for a token, RAY_AUTH_MODE=token and RAY_AUTH_TOKEN as its nodes have;"
            " or use --ray local"
        ) from error
    try:
        if context.dashboard_url:
            logger.info(f"Ray's dashboard: http://{context.dashboard_url}")
        yield ray
    finally:
        ray.shutdown()


@dataclass(frozen=True)
class Share:
    """What each worker gets of the cluster."""

    cpus: int
    gpus: float
    room: int  # workers that fit now

    def __str__(self) -> str:
        return f"{self.cpus} cores and {self.gpus:g} GPUs"

    @property
    def resources(self) -> dict[str, float]:
        """As Ray's options have it."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus}


def share_out(nodes: list[Mapping[str, Any]], config: ClusterConfig) -> Share:
    """Share the cores and GPUs of the nodes that are alive among workers.

    Each GPU worker gets the cores that are its GPUs' share, to decode with, and each CPU worker those of the smallest
    node, so that one backbone serves a node.

    Args:
        nodes: as `ray.nodes()` has them
        config: what is asked for

    Raises:
        InputError: if no node has room for a worker
    """
    alive = [dict(node["Resources"]) for node in nodes if node["Alive"]]
    of_gpus = [node for node in alive if node.get("GPU", 0) > 0]
    gpus = (1.0 if of_gpus else 0.0) if config.gpus is None else float(config.gpus)
    usable = [node for node in (of_gpus if gpus else alive) if node.get("CPU", 0) >= 1]
    shares = [int(node["CPU"] * min(1.0, gpus / node["GPU"])) if gpus else int(node["CPU"]) for node in usable]
    cpus = config.cpus or max(1, min(shares, default=1))
    room = sum(_fitting(node, cpus, gpus) for node in usable)
    if not room and not config.workers:  # with a number of workers an autoscaler may bring nodes
        found = ", ".join(f"{node.get('CPU', 0):.0f} cores and {node.get('GPU', 0):.0f} GPUs" for node in alive)
        raise InputError(
            f"no node has room for a worker of {cpus} cores and {gpus:g} GPUs (found: {found or 'no node'}); lower"
            " --ray-cpus or --ray-gpus, or give --ray-workers where an autoscaler adds nodes"
        )
    return Share(cpus, gpus, room)


def _fitting(node: Mapping[str, Any], cpus: int, gpus: float) -> int:
    by_cores = int(node["CPU"] // cpus)
    if not gpus:
        return by_cores
    a_gpu = int(1 / gpus + 1e-9) if gpus < 1 else 0  # a fraction never spreads over two GPUs
    by_gpus = int(node["GPU"]) * a_gpu if a_gpu else int(node["GPU"] // gpus)
    return min(by_cores, by_gpus)
