"""The paper's Tables 1 to 4 on any cache: what each loss, cycle, attention and level brings (section 4.2).

Sipeng Zheng, Shizhe Chen, Qin Jin: Few-shot Action Recognition with Hierarchical Matching and Contrastive Learning,
2022. Its accuracies stand beside ours for the form alone: it fine-tunes the backbone, on other videos.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hcl.extract.system.errors import InputError
from hcl.match.config import ALL_LEVELS, BASELINE
from hcl.match.evaluation.comparison import verdict
from hcl.match.evaluation.fold_means import CrossValidation, Mean

Paper = tuple[float, float, float, float]  # Kinetics 1-shot and 5-shot, SSv2* 1-shot and 5-shot

GLOBAL, TEMPORAL, SPATIAL = (
    ("global_contrast",),
    ("temporal_contrast", "temporal_cycle"),
    ("spatial_contrast", "spatial_cycle"),
)
CE = ("cross_entropy",)
FULL = (*CE, *GLOBAL, *TEMPORAL, *SPATIAL)


@dataclass(frozen=True)
class Row:
    """One row of a table: how it is trained, by which levels it is scored, and what the paper reports."""

    shown: str
    terms: tuple[str, ...]  # losses that are on
    score: str
    paper: Paper
    attention: bool = True

    @property
    def settings(self) -> dict[str, bool]:
        """The fields of TrainConfig that the row differs in."""
        return {term: term in self.terms for term in FULL} | {"semantic_attention": self.attention}

    @property
    def folder(self) -> str:
        """Rows that are trained alike share their runs."""
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
_BEST = Row("all", FULL, ALL_LEVELS, (73.7, 85.8, 47.3, 64.9))
TABLES: dict[int, tuple[Row, ...]] = {
    1: (
        Row("untrained", FULL, BASELINE, (59.9, 80.1, 29.5, 44.1)),
        Row("ce", CE, "global", (62.5, 81.6, 37.8, 55.0)),
        Row("g", GLOBAL, "global", (54.9, 76.4, 34.0, 50.9)),
        Row("ce + g", (*CE, *GLOBAL), "global", (66.1, 82.7, 40.3, 56.7)),
        Row("ce + g + t", (*CE, *GLOBAL, *TEMPORAL), "global+temporal", (70.4, 83.9, 45.4, 62.6)),
        Row("ce + g + s", (*CE, *GLOBAL, *SPATIAL), "global+spatial", (72.3, 84.7, 41.5, 58.4)),
        Row("ce + g + t + s", FULL, ALL_LEVELS, _BEST.paper),
    ),
    2: tuple(
        Row(shown, tuple(term for term in FULL if term not in off), ALL_LEVELS, paper)
        for shown, off, paper in (
            ("no cycle", ("temporal_cycle", "spatial_cycle"), (72.1, 84.3, 44.7, 62.5)),
            ("temporal cycle", ("spatial_cycle",), (72.4, 84.7, 46.9, 64.5)),
            ("spatial cycle", ("temporal_cycle",), (73.1, 85.2, 46.2, 64.0)),
            ("both cycles", (), _BEST.paper),
        )
    ),
    3: (
        Row("no semantic attention", FULL, ALL_LEVELS, (71.3, 84.4, 46.3, 64.2), attention=False),
        Row("semantic attention", FULL, ALL_LEVELS, _BEST.paper),
    ),
    4: tuple(
        Row(f"{trained}: {level.replace('+', ' + ')}", terms, level, paper)
        for (trained, terms, papers) in (("ce", CE, _BY_CE), ("all losses", FULL, _BY_HCL))
        for level, paper in zip(_LEVELS, papers, strict=True)
    ),
}


@dataclass(frozen=True)
class Ablated:
    """One row with its results, by number of shots."""

    row: Row
    accuracies: tuple[Mean, ...]
    differences: tuple[Mean, ...]  # from the table's last row, over the same episodes

    @property
    def verdicts(self) -> tuple[str, ...]:
        """What may be said of each difference."""
        return tuple(verdict(*difference.interval) for difference in self.differences)


def ablate(number: int, run: Callable[[str, Mapping[str, Any]], CrossValidation]) -> list[Ablated]:
    """Fill in a table.

    Args:
        number: of the table
        run: cross-validates settings in a folder of the given name

    Raises:
        InputError: if there is no such table
    """
    if number not in TABLES:
        raise InputError(f"--table must be of {', '.join(map(str, TABLES))}, got {number}")
    rows = TABLES[number]
    found: dict[str, CrossValidation] = {}
    for row in rows:
        if row.folder not in found:
            found[row.folder] = run(row.folder, row.settings)
    last = found[rows[-1].folder]
    cases = range(len(last.evaluations[0][0].outcomes))
    return [
        Ablated(
            row,
            tuple(found[row.folder].accuracy(case, row.score) for case in cases),
            tuple(found[row.folder].difference(case, row.score, last, rows[-1].score) for case in cases),
        )
        for row in rows
    ]
