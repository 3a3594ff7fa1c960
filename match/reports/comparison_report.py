"""A comparison as text in the form of the paper's Table 5, and as JSON."""

from dataclasses import asdict
from typing import Any

from tabulate import tabulate

from hcl.match.evaluation.comparison import Comparison
from hcl.match.evaluation.predictions import Case


def as_text(found: Comparison) -> str:
    """Methods by row and shots by column, then the paired differences."""
    drawn = found.episodes
    head = (
        f"{drawn.n_way}-way, {drawn.n_query} queries a class, the same {drawn.episodes} {found.plan.split} episodes for"
        f" all{', group-disjoint' if drawn.group_disjoint else ''}; accuracy in % ± 95 % over episodes"
    )
    return "\n\n".join((head, _accuracies(found), _differences(found)))


def _accuracies(found: Comparison) -> str:
    cases = list(found.entries[0].accuracies)
    rows = [
        (entry.name, entry.method, *(f"{of.accuracy:.2f} ± {of.ci95:.2f}" for of in entry.accuracies.values()))
        for entry in found.entries
    ]
    headers = ("run", "method", *(_case(case, cases) for case in cases))
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def _differences(found: Comparison) -> str:
    cases = list(found.entries[0].accuracies)
    rows = []
    for difference in found.differences:
        value, (low, high) = difference.value, difference.value.bootstrap95
        rows.append(
            (
                f"{difference.name} - {difference.first}",
                _case(difference.case, cases),
                f"{value.accuracy:+.2f}",
                f"± {value.ci95:.2f}",
                f"{low:+.1f} to {high:+.1f}",
                difference.verdict,
            )
        )
    headers = ("paired difference", "", "points", "95 % (episodes)", "95 % (classes, groups, videos)", "")
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def _case(case: Case, cases: list[Case]) -> str:
    several = len({other.aggregate for other in cases}) > 1
    return f"{case.k_shot}-shot" + (f" {case.aggregate}" if several else "")


def as_json(found: Comparison) -> dict[str, Any]:
    """Everything a comparison found, in plain types; accuracies, differences and intervals in percent."""
    return {
        "episodes": asdict(found.episodes),
        "plan": asdict(found.plan),
        "entries": [
            {
                "run": entry.name,
                "method": entry.method,
                "accuracies": [asdict(case) | of.as_dict() for case, of in entry.accuracies.items()],
            }
            for entry in found.entries
        ],
        "differences": [
            {"run": of.name, "minus": of.first, **asdict(of.case), **of.value.as_dict(), "verdict": of.verdict}
            for of in found.differences
        ],
    }
