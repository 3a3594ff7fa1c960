"""A linear classifier whose first weights are learned so that a few steps on the supports suffice.

Chelsea Finn, Pieter Abbeel, Sergey Levine: Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks, 2017,
Algorithm 2 (`maml`) and its first-order approximation of section 5.2 (`fomaml`). The classifier takes a video's mean
frame embedding. Its weights theta descend the cross entropy of the supports, theta' = theta - alpha grad L(theta), five
times; queries are classified by theta'. Their cross entropy trains theta, alpha (which the paper lets be meta-learned)
and the encoder, through the steps; of first order, the gradients of the steps count as constants.

Deviations: the steps change the classifier alone, not the encoder, whose embeddings a store holds; the mean frame
embeddings are centred over their channels and scaled to length 1, so that one alpha serves any width. The classifier
has OUTPUTS outputs, of which an episode uses one a class: random ones while training, so that no output can learn a
class by heart, the first ones afterwards.
"""

from __future__ import annotations

from math import log
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hcl.extract.system.errors import InputError
from hcl.match.embeddings import Arrays
from hcl.match.methods.matcher import MatcherMethod
from hcl.match.scoring.cosines import l2_normalise

OUTPUTS = 64  # classes of an episode, at most
STEPS = 5
FIRST_RATE = 5.0  # alpha, before it learns; of features of length 1


class Maml(MatcherMethod):
    """A class is an output of a classifier that learns the supports.

    Args:
        second_order: train through the gradients of the steps, too
    """

    axes = {"global": ("video", "embedding")}
    pairwise = False

    def __init__(self, *, second_order: bool = True) -> None:
        self.second_order = second_order

    def make_head(self, frames: int, width: int) -> nn.Module:
        """One embedding per video, of length 1."""
        return UnitVideoHead()

    def make_matcher(self, frames: int, width: int) -> nn.Module:
        """The classifier before it has seen an episode."""
        return FirstClassifier(width, second_order=self.second_order)


class UnitVideoHead(nn.Module):
    """One embedding per video: the mean over its frames, centred over its channels and scaled to length 1."""

    def forward(self, frame_embeddings: Tensor) -> dict[str, Tensor]:
        """(B, T, D) to "global" (B, D)."""
        means = frame_embeddings.mean(dim=1)
        return {"global": l2_normalise(means - means.mean(dim=-1, keepdim=True))}


class FirstClassifier(nn.Module):
    """The weights that every episode starts from.

    Args:
        width: D
        second_order: as of `Maml`
    """

    def __init__(self, width: int, *, second_order: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(width, OUTPUTS)
        self.log_rate = nn.Parameter(torch.tensor(log(FIRST_RATE)))
        self.second_order = second_order

    def forward(self, queries: Arrays, supports: Arrays) -> Tensor:
        """Learn the supports (..., N, K, D) and score the queries (..., Q, D), of "global": (..., Q, N) logits.

        Raises:
            InputError: if there are more classes than outputs
        """
        asked, given = queries["global"], supports["global"]
        if given.shape[-3] > OUTPUTS:
            raise InputError(
                f"method maml tells {OUTPUTS} classes apart at most, got {given.shape[-3]}: lower --way, and in"
                " training --classes-per-batch"
            )
        if torch.is_inference_mode_enabled():  # where no gradient can be taken, not even that of a step
            with torch.inference_mode(False), torch.no_grad():
                return self._scores(asked.clone(), given.clone())
        return self._scores(asked, given)

    def _scores(self, queries: Tensor, supports: Tensor) -> Tensor:
        leading, (n_way, k_shot, width) = supports.shape[:-3], supports.shape[-3:]
        asked = queries.reshape(-1, *queries.shape[-2:])  # (E, Q, D)
        given = supports.reshape(-1, n_way * k_shot, width)  # (E, N * K, D)
        outputs = self._outputs(len(given), n_way)  # (E, N)
        labels = torch.arange(n_way, device=given.device).repeat_interleave(k_shot)

        def classify(weight: Tensor, bias: Tensor, of_queries: Tensor, of_supports: Tensor) -> Tensor:
            learned = descend((weight, bias), of_supports, labels, rate, second_order=self.second_order)
            return F.linear(of_queries, *learned)

        rate = self.log_rate.exp()
        chosen = outputs.flatten()  # index_select, not [...]: its gradient adds up in a fixed order
        weight = self.linear.weight.index_select(0, chosen).view(*outputs.shape, width)  # (E, N, D)
        first = weight, self.linear.bias.index_select(0, chosen).view(outputs.shape)
        scores: Tensor = torch.func.vmap(classify)(*first, asked, given)  # (E, Q, N)
        return scores.view(*leading, *scores.shape[1:])

    def _outputs(self, episodes: int, n_way: int) -> Tensor:
        """Which outputs stand for the classes of each episode: (E, N) int64."""
        device = self.linear.weight.device
        if not self.training:
            return torch.arange(n_way, device=device).expand(episodes, -1)
        return torch.rand(episodes, OUTPUTS).argsort(dim=1)[:, :n_way].to(device)


def descend(
    first: tuple[Tensor, Tensor], features: Tensor, labels: Tensor, rate: Any, *, second_order: bool, steps: int = STEPS
) -> tuple[Tensor, Tensor]:
    """Descend the mean cross entropy of a linear classifier.

    Args:
        first: weight (N, D) and bias (N)
        features: (S, D)
        labels: (S) int64
        rate: alpha
        second_order: False: gradients count as constants
        steps: how often

    Returns:
        weight and bias
    """

    def loss(weights: tuple[Tensor, Tensor]) -> Tensor:
        return F.cross_entropy(F.linear(features, *weights), labels)

    weights = first
    for _ in range(steps):
        gradients = torch.func.grad(loss)(weights)
        if not second_order:
            gradients = tuple(gradient.detach() for gradient in gradients)
        weights = (weights[0] - rate * gradients[0], weights[1] - rate * gradients[1])
    return weights
