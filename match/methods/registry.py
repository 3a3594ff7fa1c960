"""What a method is, and how it is found: among the shipped ones, in an installed package, or by its code's place."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Protocol, cast

from torch import Tensor, nn

from hcl.extract.system.errors import InputError, first_line
from hcl.match.config import HCL
from hcl.match.embeddings import MEAN_MAP, ZERO_SHOT_AXES, Arrays
from hcl.match.methods.frames.bimhm import BiMhm
from hcl.match.methods.frames.ctx import Ctx
from hcl.match.methods.frames.hyrsm import HyRsm
from hcl.match.methods.frames.otam import Otam
from hcl.match.methods.frames.strm import Strm
from hcl.match.methods.frames.tarn import Tarn
from hcl.match.methods.frames.trx import Trx
from hcl.match.methods.video.cmn import Cmn
from hcl.match.methods.video.maml import Maml
from hcl.match.methods.video.matchingnet import MatchingNet
from hcl.match.methods.video.mean_map import MeanMap
from hcl.match.methods.video.pal import Pal
from hcl.match.methods.video.protonet import ProtoNet

GROUP = "hcl.methods"  # of entry points
TAKEN = (
    "path",
    "label",
    "split",
    "group",
    "content",
    *MEAN_MAP,
    *ZERO_SHOT_AXES,
)  # names of arrays that every store has


class Method(Protocol):
    """How a method recognises a query among the classes of an episode.

    A method of your own is a class with these four members, in any package; it has no state. hcl trains it on the trunk
    that all methods share (frame maps to frame embeddings), stores the arrays of its head, and evaluates, compares and
    validates it like the shipped ones:

        hcl train CACHE --method package.module:Name

    or, where the package declares an entry point `mine = package.module:Name` in the group `hcl.methods`, by
    `--method mine`.

    A training batch is an episode twice: half of each class's videos are the supports of the others, then the other way
    round. What is minimised is the cross entropy of `class_scores`. Further members, all optional:

    - `episode_loss(queries, supports, truth) -> Tensor` takes the place of the cross entropy: the scalar loss of Q
      queries (Q, *) with classes `truth` (Q) int64 among supports (N, K, *).
    - `loss(arrays, n_way) -> Tensor` takes the place of the episode: the scalar loss of a batch of `n_way` classes with
      equally many videos, class by class, from the arrays (B, ...) of its head.
    - `make_matcher(frames, width) -> nn.Module`, where the comparison itself has weights: a module from queries and
      supports, as `class_scores` takes them, to the scores, in whose place it is called; it may have `episode_loss`,
      too. Its weights learn with the encoder and are kept in the store; it is also made on torch's device "meta", to
      compare their shapes.

    A head with an attribute `takes_patches` that is true is given patch embeddings (B, T, P, D), of which a training
    step leaves out some, in place of frame embeddings.
    """

    @property
    def axes(self) -> Mapping[str, Sequence[str]]:
        """The arrays that it scores from: their names and, for each, the names of its axes, "video" first."""

    @property
    def pairwise(self) -> bool:
        """Whether a class's score is the mean over its supports of scores of (query, support) pairs.

        Such pairs are scored once, however many episodes ask for them, and `--aggregate` may replace the mean. Where
        the class also has an attribute `are_cosines` that is true, it may be replaced by the prototype of the class.
        """

    def class_scores(self, queries: Arrays, supports: Arrays) -> Tensor:
        """Score the classes of episodes; differentiable, in float32, on the device of its input.

        Args:
            queries: by name of the array, (..., Q, *) of Q queries; any number of leading axes, episodes for instance
            supports: likewise (..., N, K, *), of K supports of each of N classes

        Returns:
            (..., Q, N), higher is better
        """

    def make_head(self, frames: int, width: int) -> nn.Module:
        """Make the part of the encoder that is the method's own; its first weights follow from torch's generator.

        Args:
            frames: T
            width: D

        Returns:
            a module from frame embeddings (B, T, D) to the arrays (B, *) by name, all that `axes` names
        """


BASELINES: dict[str, Method] = {
    "resnet": MeanMap(),
    "protonet": ProtoNet(),
    "matchingnet": MatchingNet(),
    "maml": Maml(),
    "fomaml": Maml(second_order=False),
    "cmn": Cmn(),
    "pal": Pal(),
    "otam": Otam(),
    "bimhm": BiMhm(),
    "tarn": Tarn(),
    "trx": Trx(),
    "ctx": Ctx(),
    "hyrsm": HyRsm(),
    "strm": Strm(),
}


def find_method(name: str) -> Method:
    """Find a method other than HCL.

    Args:
        name: of a shipped method, of an entry point of the group `hcl.methods`, or `package.module:Name`; the folder
            that the program runs in is searched for the module, too

    Raises:
        InputError: if there is none of that name, or it lacks a part of `Method`
    """
    if name in BASELINES:
        return BASELINES[name]
    installed = {entry.name: entry.value for entry in entry_points(group=GROUP)}
    place = name if ":" in name else installed.get(name)
    if place is None:
        names = ", ".join(dict.fromkeys((HCL, *BASELINES, *sorted(installed))))
        raise InputError(
            f"--method must be one of {names}, an entry point of the group {GROUP} or package.module:Name, got {name!r}"
        )
    try:
        return _checked(_imported(place))
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise InputError(
            f"method {name!r} cannot be loaded ({first_line(error)}); give it as package.module:Name, with the four"
            " members of hcl.match.methods.registry.Method"
        ) from error


def _imported(place: str) -> object:
    """Import `package.module:Name`; a class is called without arguments."""
    module, _, attribute = place.partition(":")
    with _folder_on_path():
        value: object = importlib.import_module(module)
    for part in attribute.split("."):
        value = getattr(value, part)
    return value() if isinstance(value, type) else value


@contextmanager
def _folder_on_path() -> Iterator[None]:
    """Search the folder that the program runs in last: the installed command leaves it out."""
    here = os.getcwd()
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _checked(value: object) -> Method:
    scores = "make_matcher" if hasattr(value, "make_matcher") else "class_scores"
    missing = [part for part in ("axes", "pairwise", scores, "make_head") if not hasattr(value, part)]
    if missing:
        raise TypeError(f"it has no {missing[0]}")
    method = cast(Method, value)
    for array, axes in method.axes.items():
        if array in TAKEN or not array.isidentifier():
            raise ValueError(f"an array cannot be called {array!r}")
        if isinstance(axes, str) or tuple(axes)[:1] != ("video",):
            raise ValueError(f"the first axis of array {array!r} must be 'video', got {axes!r}")
    if not method.axes:
        raise ValueError("its axes name no array")
    return method
