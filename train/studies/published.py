"""The paper's Tables 5 and 6 beside one's own: every method on a published benchmark, trained on the same maps.

Sipeng Zheng, Shizhe Chen, Qin Jin: Few-shot Action Recognition with Hierarchical Matching and Contrastive Learning,
2022; the row without training is of its Table 1. Its methods finetune their backbones, these share a frozen one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.catalog.benchmarks.coverage import Coverage
from hcl.extract.system.errors import InputError
from hcl.match.config import ALL_LEVELS, BASELINE, HCL, WEIGHTED
from hcl.match.evaluation.cross_validation import CrossValidation, Mean
from hcl.train.studies.ablation import TABLES, Ablation, ablations

Accuracies = Mapping[int, float]  # the paper's, by number of shots

OF_BENCHMARKS = {5: ("kinetics-cmn", "ssv2-cmn", "ssv2-otam"), 6: ("ucf-arn", "hmdb-arn")}  # by table


@dataclass(frozen=True)
class System:
    """A row: what the paper calls a method, what it is called here, and by which score."""

    name: str
    method: str  # as `hcl train --method` has it
    score: str  # of its runs
    paper: Mapping[str, Accuracies]  # by benchmark


def _shots(one: float, two: float | None, five: float | None) -> Accuracies:
    return {shot: value for shot, value in ((1, one), (2, two), (5, five)) if value is not None}


SYSTEMS = (
    System(
        "ResNet, no training",
        HCL,
        BASELINE,
        {"kinetics-cmn": _shots(59.9, None, 80.1), "ssv2-otam": _shots(29.5, None, 44.1)},
    ),
    System("MAML", "maml", "maml", {"kinetics-cmn": _shots(54.2, 65.5, 75.3), "ssv2-cmn": _shots(30.9, 35.1, 41.9)}),
    System(
        "ProtoNet",
        "protonet",
        "protonet",
        {
            "kinetics-cmn": _shots(59.1, 73.6, 83.5),
            "ssv2-cmn": _shots(30.9, 37.2, 47.2),
            "ssv2-otam": _shots(34.0, 41.2, 51.7),
            "ucf-arn": _shots(67.2, None, 93.0),
            "hmdb-arn": _shots(44.2, None, 72.0),
        },
    ),
    System(
        "TARN",
        "tarn",
        "tarn",
        {
            "kinetics-cmn": _shots(66.6, 74.6, 80.7),
            "ucf-arn": _shots(66.3, None, None),
            "hmdb-arn": _shots(45.5, None, 60.6),
        },
    ),
    System("CMN", "cmn", "cmn", {"kinetics-cmn": _shots(60.5, 70.0, 78.9), "ssv2-cmn": _shots(36.2, 42.1, 48.8)}),
    System("TAM", "otam", "otam", {"kinetics-cmn": _shots(73.0, None, 85.8), "ssv2-otam": _shots(42.8, None, 52.3)}),
    System(
        "TRX",
        "trx",
        "trx",
        {
            "kinetics-cmn": _shots(64.6, 76.4, 85.5),
            "ssv2-cmn": _shots(34.7, 43.5, 56.8),
            "ssv2-otam": _shots(38.1, 49.1, 63.9),
            "ucf-arn": _shots(81.3, None, 95.9),
            "hmdb-arn": _shots(52.0, None, 75.6),
        },
    ),
    System("HCL, all levels weighted", HCL, WEIGHTED, {}),
    System(
        "HCL",
        HCL,
        ALL_LEVELS,
        {
            "kinetics-cmn": _shots(73.7, 79.1, 85.8),
            "ssv2-cmn": _shots(38.7, 45.5, 55.4),
            "ssv2-otam": _shots(47.3, 54.5, 64.9),
            "ucf-arn": _shots(82.6, None, 94.5),
            "hmdb-arn": _shots(59.1, None, 76.3),
        },
    ),
)


@dataclass(frozen=True)
class MethodRow:
    """A method with its results, by number of shots."""

    system: System
    accuracies: tuple[Mean, ...]
    differences: tuple[Mean, ...]  # from the last row, over the same episodes


@dataclass(frozen=True)
class MethodTable:
    """One of the paper's tables for one benchmark, filled in."""

    number: int
    coverage: Coverage
    shots: tuple[int, ...]
    rows: tuple[MethodRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything in plain types; accuracies, differences and intervals in percent."""
        rows = [
            {
                "row": row.system.name,
                "method": row.system.method,
                "score": row.system.score,
                "paper": {str(shot): value for shot, value in self.paper(row).items()},
                "shots": {
                    str(shot): {"accuracy": accuracy.to_dict(), "difference": difference.to_dict()}
                    for shot, accuracy, difference in zip(self.shots, row.accuracies, row.differences, strict=True)
                },
            }
            for row in self.rows
        ]
        return {"table": self.number, "benchmark": self.coverage.summary(), "rows": rows}

    def paper(self, row: MethodRow) -> Accuracies:
        """What the paper reports of a row on this benchmark."""
        return row.system.paper.get(self.coverage.benchmark, {})


def paper_tables(
    numbers: Sequence[int], cache: FrameMapCache, run: Callable[..., CrossValidation]
) -> Iterator[Ablation | MethodTable]:
    """Fill in tables of the paper, those of methods first; what is trained alike is run once.

    Args:
        numbers: of the tables
        cache: that is trained on
        run: trains and evaluates with given fields of TrainConfig, in a folder of the given name; with `own_splits` on
            the cache's own split in place of folds

    Raises:
        InputError: if there is no such table, or the cache holds no benchmark of it; nothing is run then
    """
    refuse_unknown_tables(numbers)
    of_methods = [number for number in numbers if number in OF_BENCHMARKS]
    if of_methods:
        coverage = benchmark_of(cache, of_methods)
        of_method = lru_cache(lambda name: run(f"method-{name}", {"method": name}, own_splits=True))
        for number in of_methods:
            yield method_table(number, coverage, of_method)
    if ablated := [number for number in numbers if number in TABLES]:
        yield from ablations(ablated, run)


def refuse_unknown_tables(numbers: Sequence[int]) -> None:
    """Refuse tables that are not repeated here.

    Raises:
        InputError: the message names those that are
    """
    known = (*TABLES, *OF_BENCHMARKS)
    if unknown := [number for number in numbers if number not in known]:
        raise InputError(
            f"--table must be of {', '.join(map(str, known))}, got {unknown[0]}; Table 7 is:"
            " hcl evaluate RUN --on OTHER_CACHE"
        )


def runs_of_tables(numbers: Sequence[int], cache: FrameMapCache) -> dict[str, tuple[Mapping[str, Any], bool]]:
    """What `paper_tables` will train: by folder the fields of TrainConfig, and whether on the cache's own split.

    Raises:
        InputError: as `paper_tables`
    """
    refuse_unknown_tables(numbers)
    found: dict[str, tuple[Mapping[str, Any], bool]] = {}
    if of_methods := [number for number in numbers if number in OF_BENCHMARKS]:
        coverage = benchmark_of(cache, of_methods)
        for method in dict.fromkeys(system.method for system in _systems(coverage)):
            found[f"method-{method}"] = ({"method": method}, True)
    for variant in (variant for number in numbers for variant in TABLES.get(number, ())):
        found[variant.folder] = (variant.settings, False)
    return found


def _systems(coverage: Coverage) -> list[System]:
    """The rows of a benchmark's table."""
    return [one for one in SYSTEMS if one.score in (BASELINE, WEIGHTED) or one.paper.get(coverage.benchmark)]


def benchmark_of(cache: FrameMapCache, numbers: Sequence[int]) -> Coverage:
    """How much of a published benchmark a cache holds, where tables are of that benchmark.

    Args:
        cache: with the published splits
        numbers: of the tables

    Raises:
        InputError: if it holds none, or another one
    """
    coverage = cache.coverage
    for number in numbers:
        if coverage is None or coverage.benchmark not in OF_BENCHMARKS[number]:
            held = f"the benchmark {coverage.benchmark}" if coverage else "no published benchmark"
            names = ", ".join(OF_BENCHMARKS[number])
            raise InputError(f"{cache.path}: holds {held}, Table {number} is of {names}; see hcl extract --benchmark")
    if coverage is None:
        raise ValueError(f"{numbers = }")
    return coverage


def method_table(number: int, coverage: Coverage, run: Callable[[str], CrossValidation]) -> MethodTable:
    """Fill in one of the tables for the benchmark of a cache.

    Args:
        number: of the table
        coverage: of the benchmark
        run: trains and evaluates a method on the published split, once; it is called again for rows of one method
    """
    reference = run(HCL)
    outcomes = reference.evaluations[0][0].outcomes
    *_, last = SYSTEMS
    rows = []
    for system in _systems(coverage):
        found = run(system.method)
        pairs = [(case, system.score) for case in range(len(outcomes))]
        accuracies = tuple(found.accuracy(*pair) for pair in pairs)
        differences = tuple(found.difference(*pair, reference, last.score) for pair in pairs)
        rows.append(MethodRow(system, accuracies, differences))
    return MethodTable(number, coverage, tuple(outcome.case.k_shot for outcome in outcomes), tuple(rows))
