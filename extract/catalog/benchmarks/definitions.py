"""The five benchmarks of the paper: their sets, splits and published counts."""

from collections.abc import Mapping
from dataclasses import dataclass

from hcl.extract.catalog.benchmarks.naming import HMDB, KINETICS, SOMETHING, UCF, Naming
from hcl.extract.config import BENCHMARKS, SPLITS


@dataclass(frozen=True)
class Benchmark:
    """One published few-shot benchmark."""

    name: str
    title: str  # the set, and whose split of it
    naming: Naming
    counts: Mapping[str, int]  # published videos by split
    last_of_v1: int = 0  # the largest number in the older version of the set, whose numbers mean other videos; 0: none


def _counts(*numbers: int) -> dict[str, int]:
    return dict(zip(SPLITS, numbers, strict=True))


_V1_LAST = 108_499  # Something-Something V1 numbers its videos 1 to 108499, V2 other videos 1 to 220847
DEFINED = {
    each.name: each
    for each in (
        Benchmark("kinetics-cmn", "Kinetics-400, 100 classes, split of CMN", KINETICS, _counts(6400, 1200, 2400)),
        Benchmark("ssv2-cmn", "Something-Something V2, split of CMN", SOMETHING, _counts(6400, 1200, 2400), _V1_LAST),
        Benchmark(
            "ssv2-otam", "Something-Something V2, split of OTAM", SOMETHING, _counts(67013, 1926, 2857), _V1_LAST
        ),
        Benchmark("hmdb-arn", "HMDB-51, split of ARN", HMDB, _counts(4280, 1194, 1292)),
        Benchmark("ucf-arn", "UCF-101, split of ARN", UCF, _counts(9154, 1421, 2745)),
    )
}
if tuple(DEFINED) != BENCHMARKS:
    raise ValueError(f"{tuple(DEFINED)} are defined, {BENCHMARKS} are offered")
