"""Ablations as text beside the paper's numbers, and as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from hcl.train.studies.ablation import Ablated
from hcl.train.studies.crossval_report import interval

TITLES = {1: "training objectives", 2: "cycle consistency", 3: "semantic attention", 4: "levels at test time"}


def as_text(number: int, found: Sequence[Ablated], shots: Sequence[int]) -> str:
    """The table, one part for each number of shots."""
    parts = [f"Table {number}: {TITLES[number]}; differences are paired, from the last row"]
    for case, shot in enumerate(shots):
        rows = [_row(of, case, shot) for of in found]
        headers = (f"{shot}-shot", "%", "95 %", "difference", "95 %", "", "paper: Kinetics", "SSv2*")
        parts.append(tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True))
    return "\n\n".join(parts)


def _row(of: Ablated, case: int, shot: int) -> tuple[str, ...]:
    accuracy, difference = of.accuracies[case], of.differences[case]
    ours = (of.row.shown, f"{accuracy.mean:.1f}", interval(accuracy))
    kinetics, something = of.row.paper[::2] if shot == 1 else of.row.paper[1::2]
    paper = (str(kinetics), str(something)) if shot in (1, 5) else ("", "")
    if of.differences[case].interval == (0.0, 0.0):
        return (*ours, "", "", "", *paper)
    return (*ours, f"{difference.mean:+.1f}", interval(difference, "+"), of.verdicts[case], *paper)


def as_json(found: Mapping[int, Sequence[Ablated]], shots: Sequence[int]) -> dict[str, Any]:
    """All tables in plain types; accuracies, differences and intervals in percent."""
    return {
        f"table {number}": [
            {
                "row": of.row.shown,
                "score": of.row.score,
                "settings": of.row.settings,
                "paper": dict(zip(("kinetics 1", "kinetics 5", "ssv2 1", "ssv2 5"), of.row.paper, strict=True)),
                "shots": {
                    str(shot): {
                        "accuracy": of.accuracies[case].to_dict(),
                        "difference": of.differences[case].to_dict(),
                        "verdict": of.verdicts[case],
                    }
                    for case, shot in enumerate(shots)
                },
            }
            for of in rows
        ]
        for number, rows in found.items()
    }
