"""The paper's Tables 5 to 7 beside one's own: every method on a published benchmark, trained on the same maps, and
methods trained on one set and evaluated on another.

The paper's methods finetune their backbones, these share a frozen one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.catalog.benchmarks.coverage import Coverage
from hcl.extract.system.errors import InputError
from hcl.match.config import BASELINE, HCL, WEIGHTED
from hcl.match.episodes.class_overlap import of_attributes, to_attribute
from hcl.match.evaluation.cross_validation import CrossValidation, Mean
from hcl.train.runs.cross_domain import OtherSet
from hcl.train.studies.ablation import TABLES, Ablation, ablations
from hcl.train.studies.published import ACROSS, OF_BENCHMARKS, SYSTEMS, TRAINED_ON, Accuracies, System


@dataclass(frozen=True)
class MethodRow:
    """A method with its results, by number of shots."""

    system: System
    paper: Accuracies  # on the same benchmark
    accuracies: tuple[Mean, ...]
    differences: tuple[Mean, ...]  # from the last row, over the same episodes


@dataclass(frozen=True)
class MethodTable:
    """One of the paper's tables for one benchmark, or for one pair of sets, filled in."""

    number: int
    title: str
    sources: tuple[Coverage, ...]  # how much there is of the published benchmarks
    facts: Mapping[str, Any]  # what it is of, in plain types
    shots: tuple[int, ...]
    rows: tuple[MethodRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything in plain types; accuracies, differences and intervals in percent."""
        rows = [
            {
                "row": row.system.name,
                "method": row.system.method,
                "score": row.system.score,
                "paper": {str(shot): value for shot, value in row.paper.items()},
                "shots": {
                    str(shot): {"accuracy": accuracy.to_dict(), "difference": difference.to_dict()}
                    for shot, accuracy, difference in zip(self.shots, row.accuracies, row.differences, strict=True)
                },
            }
            for row in self.rows
        ]
        return {"table": self.number, **self.facts, "rows": rows}


def paper_tables(
    numbers: Sequence[int],
    cache: FrameMapCache,
    run: Callable[..., CrossValidation],
    others: Sequence[OtherSet] = (),
) -> Iterator[Ablation | MethodTable]:
    """Fill in tables of the paper, those of methods first; what is trained alike is run once.

    Args:
        numbers: of the tables
        cache: that is trained on
        run: trains and evaluates with given fields of TrainConfig, in a folder of the given name; with `own_split` on
            the cache's own split in place of folds, with `on` on another set
        others: sets that Table 7 evaluates on

    Raises:
        InputError: if there is no such table, the cache holds no benchmark of it, or it lacks another set; nothing is
            run then
    """
    refuse_tables(numbers, others)
    of_methods = [number for number in numbers if number in OF_BENCHMARKS]
    coverage = benchmark_of(cache, of_methods) if of_methods else None

    @lru_cache
    def of_method(name: str, on: OtherSet | None = None) -> CrossValidation:
        return run(f"method-{name}", {"method": name}, own_split=True, **({} if on is None else {"on": on}))

    for number in of_methods:
        if coverage is not None:
            yield method_table(number, coverage, of_method)
    for other in others:
        yield table_across(cache, other, partial(of_method, on=other))
    if ablated := [number for number in numbers if number in TABLES]:
        yield from ablations(ablated, run)


def refuse_tables(numbers: Sequence[int], others: Sequence[OtherSet]) -> None:
    """Refuse tables that are not of the paper's, or that need another set.

    Raises:
        InputError: the message names those that there are
    """
    known = (*TABLES, *OF_BENCHMARKS, ACROSS)
    if unknown := [number for number in numbers if number not in known]:
        raise InputError(f"--table must be of {', '.join(map(str, known))}, got {unknown[0]}")
    if (ACROSS in numbers) != bool(others):
        raise InputError(
            f"--table {ACROSS} evaluates on another set, which --on names, such as: --table {ACROSS} --on ucf101.zarr"
        )


@dataclass(frozen=True)
class TableRun:
    """What runs of a table are trained with."""

    switches: Mapping[str, Any]  # fields of TrainConfig
    own_split: bool = False  # on the cache's own split
    on: OtherSet | None = None  # where it is evaluated on another set alone


def runs_of_tables(
    numbers: Sequence[int], cache: FrameMapCache, others: Sequence[OtherSet] = ()
) -> dict[str, TableRun]:
    """What `paper_tables` will train, by folder.

    Args: as of `paper_tables`

    Raises:
        InputError: as `paper_tables`
    """
    refuse_tables(numbers, others)
    papers = [papers_across(cache, other) for other in others]
    on = others[0] if others else None
    if of_methods := [number for number in numbers if number in OF_BENCHMARKS]:
        papers, on = [*papers, papers_of(benchmark_of(cache, of_methods))], None
    methods = dict.fromkeys(system.method for some in papers for system, _ in reported(some))
    found = {f"method-{name}": TableRun({"method": name}, own_split=True, on=on) for name in methods}
    variants = (variant for number in numbers for variant in TABLES.get(number, ()))
    return found | {variant.folder: TableRun(variant.settings) for variant in variants}


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
    shots, rows = _fill_in(papers_of(coverage), run)
    title = f"methods on {coverage.benchmark}, published split, the same maps and episodes"
    return MethodTable(number, title, (coverage,), {"benchmark": coverage.summary()}, shots, rows)


def table_across(cache: FrameMapCache, other: OtherSet, run: Callable[[str], CrossValidation]) -> MethodTable:
    """Fill in Table 7 for a pair of sets: trained on the base classes of one, evaluated on classes of the other.

    The paper's numbers stand beside Kinetics to UCF-101 or HMDB-51 alone.

    Args:
        cache: that is trained on, with its own split
        other: the other set
        run: trains a method and evaluates it on the other set, once; it is called again for rows of one method
    """
    here, there = cache.coverage, other.cache.coverage
    shots, rows = _fill_in(papers_across(cache, other), run)
    store = run(HCL).evaluations[0][0].store
    facts = {
        "trained_on": str(cache.path),
        "on": str(other.cache.path),
        "benchmarks": {name: of.summary() for name, of in (("trained_on", here), ("on", there)) if of},
        "overlap": to_attribute(of_attributes(store.attributes)),
    }
    title = f"methods trained on {_set_name(cache)}, on {_set_name(other.cache)}, the same maps and episodes"
    return MethodTable(ACROSS, title, tuple(of for of in (here, there) if of), facts, shots, rows)


def papers_of(coverage: Coverage) -> list[tuple[System, Accuracies]]:
    """The systems, and what the paper reports of each on a benchmark."""
    return [(system, system.paper.get(coverage.benchmark, {})) for system in SYSTEMS]


def papers_across(cache: FrameMapCache, other: OtherSet) -> list[tuple[System, Accuracies]]:
    """The systems of Table 7, and what the paper reports of each, trained on one set and evaluated on another."""
    here, there = cache.coverage, other.cache.coverage
    on = there.benchmark if here and there and here.benchmark == TRAINED_ON else ""
    return [
        (system, system.across.get(on, {}))
        for system in SYSTEMS
        if system.across or system.score in (BASELINE, WEIGHTED)
    ]


def reported(papers: Sequence[tuple[System, Accuracies]]) -> list[tuple[System, Accuracies]]:
    """Those that the paper reports, and those that it does not but that cost nothing beside them."""
    has_none = not any(paper for _, paper in papers)
    return [(one, paper) for one, paper in papers if one.score in (BASELINE, WEIGHTED) or paper or has_none]


def _set_name(cache: FrameMapCache) -> str:
    return cache.coverage.benchmark if cache.coverage else cache.path.name


def _fill_in(
    papers: Sequence[tuple[System, Accuracies]], run: Callable[[str], CrossValidation]
) -> tuple[tuple[int, ...], tuple[MethodRow, ...]]:
    """Run the methods that are `reported`.

    Returns:
        the numbers of shots, and the rows
    """
    reference, (*_, last) = run(HCL), SYSTEMS
    outcomes = reference.evaluations[0][0].outcomes
    rows = []
    for system, paper in reported(papers):
        found = run(system.method)
        pairs = [(case, system.score) for case in range(len(outcomes))]
        accuracies = tuple(found.accuracy(*pair) for pair in pairs)
        differences = tuple(found.difference(*pair, reference, last.score) for pair in pairs)
        rows.append(MethodRow(system, paper, accuracies, differences))
    return tuple(outcome.case.k_shot for outcome in outcomes), tuple(rows)
