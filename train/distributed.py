"""Several processes that train one encoder, as torchrun starts them: each embeds a share of every batch.

Every process computes its part of the losses against the whole batch. The parts add up to the losses of one process
with that batch, and so do the gradients. With one process, every function here does nothing or returns its input.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from hcl.extract.system.errors import InputError
from hcl.extract.system.progress import logger

Result = TypeVar("Result")
TIMEOUT = timedelta(minutes=30)  # longest wait for another process, such as for the main one's validation
_GROUPS = count()  # numbers the process groups, alike in all processes: each of them joins every group
OF_TORCHRUN = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}


@contextmanager
def process_group() -> Iterator[None]:
    """Join the other processes, if torchrun started this one, and leave them at the end; only the main one logs INFO.

    After an error in one process the group is not left, since the others may be within a step: torchrun ends them.
    """
    if not os.environ.keys() >= OF_TORCHRUN:
        yield
        return
    from torch.distributed.rendezvous import rendezvous  # not in every build of torch

    on_gpus = torch.cuda.is_available() and dist.is_nccl_available()
    shared, number, processes = next(rendezvous("env://", timeout=TIMEOUT))
    shared.set_timeout(TIMEOUT)
    # The keys of an earlier group name ports that are closed by now.
    own_keys = dist.PrefixStore(f"hcl/{next(_GROUPS)}", shared)  # type: ignore[attr-defined]
    backend = "cpu:gloo,cuda:nccl" if on_gpus else "gloo"
    dist.init_process_group(backend, store=own_keys, rank=number, world_size=processes, timeout=TIMEOUT)
    level = logger.level
    if not is_main_process():
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
    dist.destroy_process_group()


def process_count() -> int:
    """The number of processes that train together, the world size of torch.distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process among all of them, from 0."""
    return dist.get_rank() if process_count() > 1 else 0


def is_main_process() -> bool:
    """Whether this is the process that logs, validates and writes files: the one of rank 0."""
    return rank() == 0


def processes_here() -> int:
    """The number of processes that share this machine and its memory."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if process_count() > 1 else 1


def own_gpu(device: torch.device) -> torch.device:
    """Choose a GPU for each process of a machine.

    Args:
        device: that was asked for

    Returns:
        the GPU of this process's local rank; the device as it is, if it is no GPU or there is one process

    Raises:
        InputError: if there are fewer GPUs than processes
    """
    if device.type != "cuda" or process_count() == 1:
        return device
    here, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if here >= gpus:
        raise InputError(
            f"{processes_here()} processes on a machine of {gpus} GPUs;"
            f" use torchrun --nproc-per-node {gpus}, or hcl train --device cpu"
        )
    torch.cuda.set_device(here)
    return torch.device("cuda", here)


def rank_slice(videos: int) -> slice:
    """Choose the videos of a batch that this process embeds: equal shares, in the order of ranks.

    Args:
        videos: B, in the batch

    Raises:
        InputError: if they cannot be shared evenly
    """
    count = process_count()
    if count == 1:
        return slice(None)
    if videos % count:
        raise InputError(
            f"a batch of {videos} videos cannot be shared evenly by {count} processes;"
            " change --classes-per-batch, --videos-per-class or the processes of torchrun"
        )
    share = videos // count
    return slice(rank() * share, (rank() + 1) * share)


def gathered(arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Concatenate the shares of all processes, with gradients: (b, ...) arrays to (B, ...) arrays, by name."""
    if process_count() == 1:
        return dict(arrays)
    return {name: cast(Tensor, _Gather.apply(array)) for name, array in arrays.items()}


class _Gather(torch.autograd.Function):
    """Gathers the shares; backward adds up the gradients of each share, on which the losses of all processes depend."""

    @staticmethod
    def forward(ctx: Any, share: Tensor) -> Tensor:
        joint = share.new_empty(process_count() * len(share), *share.shape[1:])
        dist.all_gather_into_tensor(joint, share.contiguous())
        return joint

    @staticmethod
    def backward(ctx: Any, joint: Tensor) -> Tensor:
        share = joint.new_empty(len(joint) // process_count(), *joint.shape[1:])
        dist.reduce_scatter_tensor(share, joint.contiguous())
        return share


def summed(parts: Tensor) -> Tensor:
    """Add up the parts of all processes, in place and without gradients."""
    if process_count() > 1:
        dist.all_reduce(parts)
    return parts


def sum_gradients(parameters: Iterable[Tensor]) -> None:
    """Add up the gradients of all processes, in place, by one call over all parameters."""
    if process_count() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    joint = summed(torch.cat([gradient.flatten() for gradient in gradients]))
    parts = torch.split(joint, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def run_on_main(work: Callable[[], Result]) -> Result:
    """Run some work in the main process alone, and return its outcome in all processes.

    Args:
        work: what it returns or raises is broadcast

    Raises:
        InputError: in the main process, if the work raises it; the others then exit silently
    """
    if process_count() == 1:
        return work()
    outcome: list[Any] = [None]
    if is_main_process():
        try:
            outcome = [work()]
        except InputError as error:
            outcome = [error]
    dist.broadcast_object_list(outcome, src=0, device=torch.device("cpu"))
    if isinstance(outcome[0], InputError):
        on_main = is_main_process()
        dist.destroy_process_group()  # all processes know of this error, so all can leave
        raise outcome[0] if on_main else SystemExit  # exit code 0: at a failure torchrun would end the main process
    return cast(Result, outcome[0])
