"""The paper's Tables 1 to 4 on any cache: what each loss, cycle, attention and level brings (section 4.2).

Sipeng Zheng, Shizhe Chen, Qin Jin: Few-shot Action Recognition with Hierarchical Matching and Contrastive Learning,
2022. Its accuracies stand beside ours for the form alone: it fine-tunes the backbone, on other videos.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hcl.extract.system.errors import InputError
from hcl.extract.system.settings import check_distinct
from hcl.match.config import ALL_LEVELS, BASELINE, HCL
from hcl.match.evaluation.comparison import verdict
from hcl.match.evaluation.cross_validation import CrossValidation, Mean
from hcl.match.evaluation.results import data_frame

Paper = tuple[float, float, float, float]  # Kinetics 1-shot and 5-shot, SSv2* 1-shot and 5-shot

GLOBAL, TEMPORAL, SPATIAL = (
    ("global_contrast",),
    ("temporal_contrast", "temporal_cycle"),
    ("spatial_contrast", "spatial_cycle"),
)
CE = ("cross_entropy",)
FULL = (*CE, *GLOBAL, *TEMPORAL, *SPATIAL)
TITLES = {1: "training objectives", 2: "cycle consistency", 3: "semantic attention", 4: "levels at test time"}


@dataclass(frozen=True)
class Variant:
    """One row of a table: how it is trained, by which levels it is scored, and what the paper reports."""

    name: str
    terms: tuple[str, ...]  # losses that are on
    score: str
    paper: Paper
    attention: bool = True

    @property
    def settings(self) -> dict[str, bool]:
        """The fields of TrainConfig that the tables switch, with this row's values."""
        return {term: term in self.terms for term in FULL} | {"semantic_attention": self.attention}

    @property
    def folder(self) -> str:
        """The folder of its runs; rows that are trained alike share it."""
        off = [term for term in FULL if term not in self.terms] + ([] if self.attention else ["semantic_attention"])
        return "full" if not off else "without-" + "-".join(off)


_LEVELS = ("global", "temporal", "spatial", "global+temporal", "global+spatial", ALL_LEVELS)
_BY_CE: tuple[Paper, ...] = (
    (62.5, 81.6, 37.8, 55.0),
    (62.1, 81.3, 40.5, 57.0),
    (59.0, 79.8, 33.2, 49.5),
    (62.9, 81.8, 40.2, 56.6),
    (63.8, 82.2, 38.5, 55.4),
    (64.4, 82.5, 40.8, 57.3),
)
_BY_HCL: tuple[Paper, ...] = (
    (69.1, 83.2, 42.9, 59.2),
    (71.3, 84.2, 45.9, 62.9),
    (71.8, 84.5, 38.1, 53.2),
    (71.5, 84.3, 46.4, 63.5),
    (72.7, 84.9, 43.7, 59.8),
    (73.7, 85.8, 47.3, 64.9),
)
_BEST = _BY_HCL[-1]
TABLES: dict[int, tuple[Variant, ...]] = {
    1: (
        Variant("untrained", FULL, BASELINE, (59.9, 80.1, 29.5, 44.1)),
        Variant("ce", CE, "global", (62.5, 81.6, 37.8, 55.0)),
        Variant("g", GLOBAL, "global", (54.9, 76.4, 34.0, 50.9)),
        Variant("ce + g", (*CE, *GLOBAL), "global", (66.1, 82.7, 40.3, 56.7)),
        Variant("ce + g + t", (*CE, *GLOBAL, *TEMPORAL), "global+temporal", (70.4, 83.9, 45.4, 62.6)),
        Variant("ce + g + s", (*CE, *GLOBAL, *SPATIAL), "global+spatial", (72.3, 84.7, 41.5, 58.4)),
        Variant("ce + g + t + s", FULL, ALL_LEVELS, _BEST),
    ),
    2: tuple(
        Variant(name, tuple(term for term in FULL if term not in off), ALL_LEVELS, paper)
        for name, off, paper in (
            ("no cycle", ("temporal_cycle", "spatial_cycle"), (72.1, 84.3, 44.7, 62.5)),
            ("temporal cycle", ("spatial_cycle",), (72.4, 84.7, 46.9, 64.5)),
            ("spatial cycle", ("temporal_cycle",), (73.1, 85.2, 46.2, 64.0)),
            ("both cycles", (), _BEST),
        )
    ),
    3: (
        Variant("no semantic attention", FULL, ALL_LEVELS, (71.3, 84.4, 46.3, 64.2), attention=False),
        Variant("semantic attention", FULL, ALL_LEVELS, _BEST),
    ),
    4: tuple(
        Variant(f"{trained}: {level.replace('+', ' + ')}", terms, level, paper)
        for (trained, terms, papers) in (("ce", CE, _BY_CE), ("all losses", FULL, _BY_HCL))
        for level, paper in zip(_LEVELS, papers, strict=True)
    ),
}


@dataclass(frozen=True)
class AblationRow:
    """One row with its results, by number of shots."""

    variant: Variant
    accuracies: tuple[Mean, ...]
    differences: tuple[Mean, ...]  # from the table's last row, over the same episodes

    @property
    def verdicts(self) -> tuple[str, ...]:
        """What may be said of each difference."""
        return tuple(verdict(*difference.interval) for difference in self.differences)


@dataclass(frozen=True)
class Ablation:
    """One of the paper's tables, filled in."""

    number: int
    shots: tuple[int, ...]
    rows: tuple[AblationRow, ...]

    @property
    def title(self) -> str:
        """What the table ablates."""
        return TITLES[self.number]

    def to_dict(self) -> dict[str, Any]:
        """Everything in plain types; accuracies, differences and intervals in percent."""
        return {"table": self.number, "title": self.title, "rows": [self._row_dict(row) for row in self.rows]}

    def _row_dict(self, row: AblationRow) -> dict[str, Any]:
        names = ("kinetics 1", "kinetics 5", "ssv2 1", "ssv2 5")
        return {
            "row": row.variant.name,
            "score": row.variant.score,
            "settings": row.variant.settings,
            "paper": dict(zip(names, row.variant.paper, strict=True)),
            "shots": {
                str(shot): {
                    "accuracy": row.accuracies[case].to_dict(),
                    "difference": row.differences[case].to_dict(),
                    "verdict": row.verdicts[case],
                }
                for case, shot in enumerate(self.shots)
            },
        }

    def to_pandas(self) -> Any:
        """The table as a DataFrame, a row for each row and number of shots; accuracies and differences in percent.

        Raises:
            InputError: if pandas is not installed
        """
        return data_frame(
            {
                "row": row.variant.name,
                "score": row.variant.score,
                "shot": shot,
                **row.accuracies[case].columns("accuracy"),
                **row.differences[case].columns("difference"),
                "verdict": row.verdicts[case],
            }
            for row in self.rows
            for case, shot in enumerate(self.shots)
        )


def ablations(numbers: Sequence[int], run: Callable[[str, Mapping[str, Any]], CrossValidation]) -> Iterator[Ablation]:
    """Fill in tables of the paper, one after the other; rows that are trained alike are run once for all tables.

    Args:
        numbers: of the tables
        run: cross-validates with the given fields of TrainConfig, in a folder of the given name

    Raises:
        InputError: if there is no such table; nothing is run then
    """
    check_distinct("--table", numbers, f"numbers of {', '.join(map(str, TABLES))}", at_least=1)
    for number in numbers:
        if number not in TABLES:
            raise InputError(f"--table must be of {', '.join(map(str, TABLES))}, got {number}")
    results: dict[str, CrossValidation] = {}
    for number in numbers:
        for variant in TABLES[number]:
            if variant.folder not in results:
                results[variant.folder] = run(variant.folder, variant.settings)
        yield _fill_in(number, results)


def refuse_other_methods(method: str | None) -> None:
    """Refuse a method whose losses and levels are not those that the tables switch, before anything is trained.

    Raises:
        InputError: the message names what compares methods
    """
    if method not in (None, HCL):
        raise InputError(
            f"--method {method}: the paper's tables switch losses and levels of {HCL} alone; leave the option out, or"
            f" see how far the method comes with: hcl crossval CACHE --method {method}"
        )


def _fill_in(number: int, results: Mapping[str, CrossValidation]) -> Ablation:
    """Put a table together from the cross-validations of its rows, by folder."""
    *_, last = TABLES[number]
    reference = results[last.folder]
    outcomes = reference.evaluations[0][0].outcomes
    cases = range(len(outcomes))
    rows = [
        AblationRow(
            variant,
            tuple(results[variant.folder].accuracy(case, variant.score) for case in cases),
            tuple(results[variant.folder].difference(case, variant.score, reference, last.score) for case in cases),
        )
        for variant in TABLES[number]
    ]
    return Ablation(number, tuple(outcome.case.k_shot for outcome in outcomes), tuple(rows))
