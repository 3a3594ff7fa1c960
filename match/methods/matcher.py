"""A learned comparison: methods whose scores run through weights of their own, the matcher, beside their head.

Most methods score from the arrays of a video alone. Those that compare a query with its episode by a trained network
have a further member, `make_matcher`: its module is a part of the encoder, learns with it, and its weights go into the
embedding store, so that a store alone is enough to score from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hcl.extract.system.errors import InputError, first_line
from hcl.match.embeddings import Arrays

if TYPE_CHECKING:
    from hcl.match.methods.registry import Method

LARGEST = 2**16  # frames, or width, that a matcher is ever made for


class MatcherMethod:
    """What methods with a matcher share: without its weights there are no scores."""

    def class_scores(self, queries: Arrays, supports: Arrays) -> Tensor:
        """There are none.

        Raises:
            ValueError: always
        """
        raise ValueError(f"{type(self).__name__} scores through its matcher: see hcl.match.methods.matcher.bound")


@dataclass(frozen=True, eq=False)
class BoundMethod:
    """A method with the weights of its matcher; scores like any other method."""

    method: Method
    matcher: nn.Module

    @property
    def axes(self) -> Mapping[str, Sequence[str]]:
        """The arrays that the method scores from."""
        return self.method.axes

    @property
    def pairwise(self) -> bool:
        """As of the method."""
        return self.method.pairwise

    @property
    def loss(self) -> Callable[[Arrays, int], Tensor] | None:
        """The method's own loss of a batch, if it has one."""
        return getattr(self.method, "loss", None)

    @property
    def episode_loss(self) -> Callable[[Arrays, Arrays, Tensor], Tensor] | None:
        """The loss of an episode that the matcher has, if it has one."""
        return getattr(self.matcher, "episode_loss", None)

    def class_scores(self, queries: Arrays, supports: Arrays) -> Tensor:
        """Score classes on the matcher's device: (..., Q, *) and (..., N, K, *) by name to (..., Q, N)."""
        given, device = next(iter(queries.values())).device, _device_of(self.matcher)
        moved = ({name: array.to(device) for name, array in arrays.items()} for arrays in (queries, supports))
        scores: Tensor = self.matcher(*moved)
        return scores.to(given)

    def make_head(self, frames: int, width: int) -> nn.Module:
        """As of the method."""
        return self.method.make_head(frames, width)


def bound(method: Method, matcher: nn.Module | None) -> Method:
    """The method that scores: itself, or together with the weights of its matcher."""
    return method if matcher is None else BoundMethod(method, matcher)


def has_matcher(method: Method) -> bool:
    """Whether a method scores through weights of its own."""
    return hasattr(method, "make_matcher")


def make_matcher(method: Method, frames: int, width: int) -> nn.Module | None:
    """Make a method's matcher, whose first weights follow from torch's generator; None where it has none."""
    make = getattr(method, "make_matcher", None)
    return None if make is None else cast(nn.Module, make(frames, width))


@dataclass(frozen=True)
class MatcherWeights:
    """The weights of a matcher as a store keeps them."""

    frames: int  # T
    width: int  # D
    values: Mapping[str, NDArray[Any]]  # by name; a single number as an array of one

    @classmethod
    def of(cls, matcher: nn.Module, frames: int, width: int) -> MatcherWeights:
        """Take the weights of a matcher that was made for T frames and width D."""
        values = {name: value.detach().cpu().numpy() for name, value in matcher.state_dict().items()}
        return cls(frames, width, {name: np.atleast_1d(value) for name, value in values.items()})

    def bind(self, method: Method, name: str, path: object) -> Method:
        """Give a method these weights.

        Args:
            method: that has a matcher
            name: of the method, for the message
            path: of the store that they come from, for the message

        Raises:
            InputError: if they are not those of its matcher
        """
        try:
            sizes = (self.frames, self.width)
            if not all(type(size) is int and 0 < size <= LARGEST for size in sizes):
                raise ValueError(f"made for {sizes}")
            with torch.device("meta"):  # nothing is allocated for what a stranger's file claims
                shapes = {key: tuple(value.shape) for key, value in _made(method, *sizes).state_dict().items()}
            stored = {key: value.shape for key, value in self.values.items()}
            if differing := _differing(stored, {key: shape or (1,) for key, shape in shapes.items()}):
                raise ValueError(f"{differing} differs")
            matcher = _made(method, *sizes)
            matcher.load_state_dict(
                {key: torch.from_numpy(np.array(value)).view(shapes[key]) for key, value in self.values.items()}
            )
        except (ValueError, TypeError, RuntimeError, InputError) as error:
            raise InputError(
                f"{path}: its matcher weights are not those of method {name} ({first_line(error)});"
                " write the store anew with: hcl embed"
            ) from error
        return bound(method, matcher.eval().requires_grad_(False))


def _made(method: Method, frames: int, width: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # its first weights are replaced: nobody's random numbers move on
        matcher = make_matcher(method, frames, width)
    if matcher is None:
        raise ValueError("it has no matcher")
    return matcher


def _differing(stored: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> str | None:
    """The first name whose shape differs, or that only one side has."""
    names = sorted({*stored, *expected})
    return next((name for name in names if stored.get(name) != expected.get(name)), None)


def _device_of(matcher: nn.Module) -> torch.device:
    return next((parameter.device for parameter in matcher.parameters()), torch.device("cpu"))
