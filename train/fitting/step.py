"""One training step: losses, backward, update; nothing in it waits for the device."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hcl.extract.system.device import cpu_has_bfloat16
from hcl.match.scoring.cosines import quiet_sparse_tensors
from hcl.train.config import TrainConfig
from hcl.train.data.batches import Batch
from hcl.train.distributed import rank, sum_gradients, summed
from hcl.train.encoders.factory import Trainable
from hcl.train.encoders.trunk import Trunk
from hcl.train.losses.batch_losses import make_losses

DROPOUT = 1  # tells the random numbers of the dropout from those of the batches


class Stepper:
    """An encoder, its optimiser and its learning rate.

    Args:
        encoder: on the device to train on
        config: objective, optimiser and precision
        text: (classes, E), text embedding of each base class; None: no semantic attention
    """

    def __init__(self, encoder: Trainable, config: TrainConfig, text: Tensor | None) -> None:
        quiet_sparse_tensors()
        self.encoder, self.config = encoder, config
        self.device = next(encoder.parameters()).device
        self.losses = make_losses(encoder, config, text, autocast_dtype(config.precision, self.device))
        self.optimiser = make_optimiser(encoder, config)
        self.average = make_average(encoder, config.ema_decay) if config.ema_decay else None
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimiser, config.lr_step_size, config.lr_gamma)
        self.names = (*self.losses.names, "gradient_norm")

    @property
    def kept(self) -> Trainable:
        """The encoder that is validated, and kept in the end: of the averaged weights, where there are any."""
        return self.encoder if self.average is None else self.average.module  # type: ignore[return-value]

    @property
    def learning_rate(self) -> float:
        return float(self.optimiser.param_groups[0]["lr"])

    def step(self, number: int, batch: Batch) -> Tensor:
        """Take step `number`.

        Args:
            number: counted from 0; with the seed, all random numbers of the step follow from it
            batch: the process's share of the maps, and the labels of all videos

        Returns:
            the values that `names` names, on the device: the losses before the step changed the weights
        """
        with seeded(self.config.seed, number, self.device, rank()):
            losses = self.losses(batch)
            self.optimiser.zero_grad()
            losses["total"].backward()  # type: ignore[no-untyped-call]
            sum_gradients(self.encoder.parameters())
            largest = self.config.max_grad_norm or math.inf
            norm = torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), largest)
            self.optimiser.step()
            if self.average is not None:
                self.average.update_parameters(self.encoder)
        values = summed(torch.stack([losses[name].detach().float() for name in self.losses.names]))
        return torch.cat([values, norm[None]])


def make_optimiser(encoder: Trunk, config: TrainConfig) -> torch.optim.Optimizer:
    """Make AdamW or SGD.

    Biases, norms and positions have no weight decay; nor has the finetuned layer 4, which learns at its own rate.
    """
    positions = {id(encoder.frame_position), id(encoder.patch_position)}
    finetuned = list(encoder.layer4.parameters()) if encoder.layer4 is not None else []
    of_layer4 = {id(parameter) for parameter in finetuned}
    parameters = [parameter for parameter in encoder.parameters() if id(parameter) not in of_layer4]
    decaying = [parameter for parameter in parameters if parameter.ndim > 1 and id(parameter) not in positions]
    others = [parameter for parameter in parameters if parameter.ndim < 2 or id(parameter) in positions]
    groups = [{"params": decaying, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if config.finetune != "none":
        groups.append({"params": finetuned, "weight_decay": 0.0, "lr": config.backbone_lr})
    if config.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def make_average(encoder: Trainable, decay: float) -> AveragedModel:
    """Make an encoder whose weights are a running mean of another's, over about the last 1 / (1 - decay) steps."""
    return AveragedModel(encoder, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Choose the precision of the encoder's matrix products; None: float32.

    "auto" is bfloat16 where the hardware has it.
    """
    if precision == "float32":
        return None
    if precision == "bfloat16" or (device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)):
        return torch.bfloat16
    return torch.bfloat16 if device.type == "cpu" and cpu_has_bfloat16() else None


@contextmanager
def seeded(seed: int, step: int, device: torch.device, rank: int = 0) -> Iterator[None]:
    """Give a step its own random numbers, whatever was drawn before; the generators' states are restored afterwards.

    Each of several processes has its own: process r takes the r-th seed that the step draws.
    Dropout takes no generator, so the global ones are set for the length of a step. Nothing random is carried from
    step to step: a checkpoint needs no state of a generator.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(np.random.default_rng([seed, step, DROPOUT]).integers(2**63, size=rank + 1)[rank]))
        yield
