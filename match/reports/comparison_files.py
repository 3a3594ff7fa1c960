"""A comparison for a paper and for other programs: a LaTeX table in the style of booktabs, and CSV."""

from collections.abc import Sequence

from hcl.extract.system.console import csv_cell, csv_text, plain
from hcl.match.evaluation.comparison import Comparison, Entry
from hcl.match.evaluation.statistics import Accuracy
from hcl.match.reports.comparison_report import run_name
from hcl.match.reports.report import case_name, counted, queries_name

LATEX = str.maketrans(
    {letter: f"\\{letter}" for letter in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
)
COLUMNS = ("run", "method", "shot", "aggregate", "accuracy", "ci95", "low95", "high95", "is_leading")
OF_DIFFERENCE = ("minus", "difference", "difference_low95", "difference_high95", "verdict")


def latex(text: object) -> str:
    """Write text so that LaTeX prints it as it is."""
    return plain(text).translate(LATEX)


def as_latex(comparison: Comparison) -> str:
    """A table to put into a paper: a row a run, a column a case, 95 % intervals over classes, groups and videos.

    Bold in a column are the highest accuracy and all whose paired difference from it is not clear of 0. It needs the
    package booktabs.
    """
    cases = list(comparison.entries[0].accuracies)
    rows = [
        " & ".join([latex(run_name(entry.name)), latex(entry.method), *_latex_cells(comparison, entry)])
        for entry in comparison.entries
    ]
    header = " & ".join(["Run", "Method", *(latex(case_name(case, comparison.plan, " ")) for case in cases)])
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{latex(_caption(comparison))}}}",
        rf"  \begin{{tabular}}{{ll{'c' * len(cases)}}}",
        r"    \toprule",
        rf"    {header} \\",
        r"    \midrule",
        *(rf"    {row} \\" for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def as_csv(comparison: Comparison) -> str:
    """A row for each run and case: accuracies in percent, and the paired difference from the first run."""
    differences = {(of.name, of.case): of for of in comparison.differences}
    rows: list[Sequence[object]] = [(*COLUMNS, *OF_DIFFERENCE)]
    for entry in comparison.entries:
        for case, value in entry.accuracies.items():
            leads = entry.name in comparison.leading.get(case, ())
            row: list[object] = [
                csv_cell(entry.name),
                csv_cell(entry.method),
                case.k_shot,
                case.aggregate,
                *_figures(value),
                leads,
            ]
            of = differences.get((entry.name, case))
            pair = of.value if of else None
            row += [csv_cell(of.first), pair.accuracy, *pair.bootstrap95, of.verdict] if of and pair else [""] * 5
            rows.append(row)
    return csv_text(rows)


def _figures(value: Accuracy) -> tuple[float, float, float, float]:
    return (value.accuracy, value.ci95, *value.bootstrap95)


def _latex_cells(comparison: Comparison, entry: Entry) -> list[str]:
    cells = []
    for case, value in entry.accuracies.items():
        shown = f"{value.accuracy:.1f}"
        if entry.name in comparison.leading.get(case, ()):
            shown = rf"\textbf{{{shown}}}"
        low, high = value.bootstrap95
        cells.append(rf"{shown} {{\scriptsize [{low:.1f}, {high:.1f}]}}")
    return cells


def _caption(comparison: Comparison) -> str:
    config, plan = comparison.episodes, comparison.plan
    disjoint = ", group-disjoint" if config.group_disjoint else ""
    return (
        f"Accuracy in % over the same {counted(config.episodes, 'episode')} of {plan.split} classes,"
        f" {config.n_way}-way, {queries_name(config.n_query)}{disjoint}; in brackets 95 %"
        " intervals over classes, groups and videos; bold: the highest, and those whose paired difference from it is"
        " not distinguishable from 0."
    )
