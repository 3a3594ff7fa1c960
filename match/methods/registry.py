"""The baselines of HCL by name: what each scores from, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from hcl.match.methods import matchingnet, otam, protonet, trx
from hcl.match.methods import mean_map as resnet

Arrays = Mapping[str, Tensor]  # of some videos, by their names in the embedding store


@dataclass(frozen=True)
class Method:
    """How a method scores the classes of episodes."""

    name: str
    arrays: tuple[str, ...]  # of the embedding store that it scores from
    pairwise: bool  # a class's score is the mean over its supports of scores of (query, support) pairs
    class_scores: Callable[[Arrays, Arrays], Tensor]  # queries (..., Q, *), supports (..., N, K, *) to (..., Q, N)


def _of_one_array(
    name: str, array: str, scores: Callable[[Tensor, Tensor], Tensor], *, pairwise: bool = False
) -> Method:
    return Method(name, (array,), pairwise, lambda queries, supports: scores(queries[array], supports[array]))


def _trx_scores(queries: Arrays, supports: Arrays) -> Tensor:
    return trx.class_scores(_tuples(queries), _tuples(supports))


def _tuples(arrays: Arrays) -> list[trx.Tuples]:
    return [(arrays[f"keys_{size}"], arrays[f"values_{size}"]) for size in trx.SIZES]


_TUPLE_ARRAYS = tuple(f"{kind}_{size}" for size in trx.SIZES for kind in ("keys", "values"))
BASELINES = {
    method.name: method
    for method in (
        _of_one_array("resnet", "mean_map", resnet.class_scores, pairwise=True),
        _of_one_array("protonet", "global", protonet.class_scores),
        _of_one_array("matchingnet", "global", matchingnet.class_scores),
        _of_one_array("otam", "frames", otam.class_scores, pairwise=True),
        Method("trx", _TUPLE_ARRAYS, False, _trx_scores),
    )
}
