"""The loss of methods other than HCL: a batch is an episode, learned by the very scores that it is evaluated by.

A method may have a loss of its own, of a batch or of an episode (`hcl.match.methods.registry.Method`). Otherwise: cross
entropy over the classes of the batch, with the scores as they are for logits: squared distances (ProtoNet, TRX, CTX)
and sums of distances (OTAM, Bi-MHM) have no temperature in the papers, and the log-probabilities of Matching Networks
hold theirs already.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hcl.match.embeddings import Arrays
from hcl.match.methods.registry import Method


def method_loss(method: Method, arrays: Arrays, n_way: int) -> Tensor:
    """The scalar loss of a batch: the method's own where it has one, else the episodic cross entropy.

    Args:
        method: whose losses or scores are learned
        arrays: (B, ...) of a batch of n_way classes with equally many videos, class by class
        n_way: N

    Raises:
        ValueError: if a class has fewer than two videos
    """
    own = getattr(method, "loss", None)
    loss: Tensor = own(arrays, n_way) if own is not None else episodic_loss(method, arrays, n_way)
    return loss


def episodic_loss(method: Method, arrays: Arrays, n_way: int) -> Tensor:
    """Let the first half of each class's videos be supports of the others, then the other way round.

    Args:
        method: whose scores are learned
        arrays: of a batch of n_way classes with equally many videos, class by class, two or more each
        n_way: N

    Returns:
        the mean of the losses of both episodes
    """
    classes = {name: array.view(n_way, -1, *array.shape[1:]) for name, array in arrays.items()}  # (N, M, ...)
    count = next(iter(classes.values())).shape[1]
    if count < 2:
        raise ValueError(f"{count} videos of each of {n_way} classes: no query beside a support")
    first = {name: array[:, : count // 2] for name, array in classes.items()}
    others = {name: array[:, count // 2 :] for name, array in classes.items()}
    return (_loss_of_episode(method, first, others) + _loss_of_episode(method, others, first)) / 2


def _loss_of_episode(method: Method, queries: Arrays, supports: Arrays) -> Tensor:
    """Classify queries (N, M, ...), whose classes are those of the supports (N, K, ...)."""
    some = next(iter(queries.values()))
    truth = torch.arange(len(some), device=some.device).repeat_interleave(some.shape[1])
    asked = {name: array.flatten(0, 1) for name, array in queries.items()}
    own = getattr(method, "episode_loss", None)
    loss: Tensor = (
        F.cross_entropy(method.class_scores(asked, supports), truth) if own is None else own(asked, supports, truth)
    )
    return loss
