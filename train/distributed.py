"""Several processes that train one encoder, as torchrun starts them: each embeds a share of every batch.

Every process computes its part of the losses against the whole batch. The parts add up to the losses of one process
with that batch, and so do the gradients. Where there is one process, all of this leaves things as they are.
"""

from __future__ import annotations

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

Outcome = TypeVar("Outcome")
TIMEOUT = timedelta(minutes=30)  # longest wait for another process, such as for the first one's validation
_MEETINGS = count()  # in step, since all processes join each one
OF_TORCHRUN = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}


@contextmanager
def process_group() -> Iterator[None]:
    """Join the other processes, if torchrun started this one, and part from them at the end.

    After an error of one alone there is no parting, since the others may be within a step: torchrun ends them.
    """
    if not os.environ.keys() >= OF_TORCHRUN:
        yield
        return
    from torch.distributed.rendezvous import rendezvous  # not in every build of torch

    on_gpus = torch.cuda.is_available() and dist.is_nccl_available()
    shared, number, processes = next(rendezvous("env://", timeout=TIMEOUT))
    shared.set_timeout(TIMEOUT)
    # The keys of an earlier meeting name ports that are closed by now.
    own_keys = dist.PrefixStore(f"hcl/{next(_MEETINGS)}", shared)  # type: ignore[attr-defined]
    backend = "cpu:gloo,cuda:nccl" if on_gpus else "gloo"
    dist.init_process_group(backend, store=own_keys, rank=number, world_size=processes, timeout=TIMEOUT)
    yield
    dist.destroy_process_group()


def process_count() -> int:
    """Count the processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number this process among them, from 0."""
    return dist.get_rank() if process_count() > 1 else 0


def is_main_process() -> bool:
    """Tell whether this is the process that speaks to the user and writes files."""
    return rank() == 0


def processes_here() -> int:
    """Count the processes that share this machine and its memory."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if process_count() > 1 else 1


def own_gpu(device: torch.device) -> torch.device:
    """Give each process of a machine a GPU of its own; other devices stay what they are.

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
    """Choose the videos of a batch that this process embeds: as many as every other does, in the order of ranks.

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
    """Put the shares of all processes together: (b, ...) each to (B, ...) each, with gradients."""
    if process_count() == 1:
        return dict(arrays)
    return {name: cast(Tensor, _Gather.apply(array)) for name, array in arrays.items()}


class _Gather(torch.autograd.Function):
    """Backward, the gradients of each share are added up over all processes, whose losses all depend on it."""

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
    """Add up, in place, what each process has a part of; without gradients."""
    if process_count() > 1:
        dist.all_reduce(parts)
    return parts


def sum_gradients(parameters: Iterable[Tensor]) -> None:
    """Add up the gradients of all processes, in place and all at once."""
    if process_count() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    joint = summed(torch.cat([gradient.flatten() for gradient in gradients]))
    parts = torch.split(joint, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def run_on_main(work: Callable[[], Outcome]) -> Outcome:
    """Let the first process do some work, and give its outcome to all.

    Raises:
        InputError: if the work does; the other processes then leave without a word
    """
    if process_count() == 1:
        return work()
    first, found = is_main_process(), list[Any]([None])
    if first:
        try:
            found = [work()]
        except InputError as error:
            found = [error]
    dist.broadcast_object_list(found, src=0, device=torch.device("cpu"))
    if isinstance(found[0], InputError):
        dist.destroy_process_group()  # all know of this error, so they can part
        raise found[0] if first else SystemExit  # as a success: torchrun ends the first one at another's failure
    return cast(Outcome, found[0])
