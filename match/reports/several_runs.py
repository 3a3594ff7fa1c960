"""Several evaluations as one text: trained runs or draws side by side, their mean and standard deviation."""

import statistics
from collections.abc import Sequence

from tabulate import tabulate

from hcl.extract.system.console import plain
from hcl.match.evaluation.results import Evaluation, Outcome
from hcl.match.reports.report import (
    Quote,
    as_text,
    behind_text,
    case_name,
    choice_lines,
    counted,
    score_name,
    settings_name,
    shots_name,
)
from hcl.match.store.locate import STORE


def over_runs(evaluations: Sequence[Evaluation], quote: Quote = plain) -> str:
    """Several draws or trained runs side by side: each score's accuracy, its mean and standard deviation.

    Scores that only some of the stores have are left out. Several cases come first in one table.
    """
    first = evaluations[0]
    names = [
        name for name in first.outcomes[0].accuracies if all(name in of.outcomes[0].accuracies for of in evaluations)
    ]
    parts = [_head_of_all(evaluations)]
    parts += list(dict.fromkeys(line for of in evaluations for line in choice_lines(of.left_out, of.trained_on, quote)))
    covered = (of.store.coverage.sentences() for of in evaluations if of.store.coverage)
    parts += dict.fromkeys(quote(line) for lines in covered for line in lines)
    parts += [_summary_of_all(evaluations, names)] if len(first.outcomes) > 1 else []
    labels = [quote(label) for label in run_labels(evaluations)]
    for number, outcome in enumerate(first.outcomes):
        columns = [evaluation.outcomes[number].accuracies for evaluation in evaluations]
        rows = [(score_name(name), *with_spread([of[name].accuracy for of in columns])) for name in names]
        headers = (case_name(outcome.case, first.plan), *labels, "mean", "std")
        parts.append(tabulate(rows, headers=headers, floatfmt=".2f", tablefmt="github"))
        means = {name: statistics.fmean(of[name].accuracy for of in columns) for name in names}
        parts += _confidence_of_all([evaluation.outcomes[number] for evaluation in evaluations], labels)
        parts += [line] if (line := behind_text(means, outcome.headline)) else []
    return "\n\n".join(parts)


def with_details(evaluations: Sequence[Evaluation], quote: Quote = plain) -> str:
    """The report of one evaluation, or of several: side by side, then each for itself."""
    if len(evaluations) == 1:
        return as_text(evaluations[0], quote)
    titles = run_labels(evaluations)
    each = [f"# {quote(title)}\n\n{as_text(of, quote)}" for title, of in zip(titles, evaluations, strict=True)]
    return "\n\n".join([over_runs(evaluations, quote), *each])


def run_labels(evaluations: Sequence[Evaluation]) -> list[str]:
    """A name for each evaluation: its run or store, by its path where that alone tells them apart, and its seed."""
    paths = [of.store.path.parent if of.store.path.name == STORE else of.store.path for of in evaluations]
    shown = [path.name if len({one for one in paths if one.name == path.name}) == 1 else str(path) for path in paths]
    return [
        f"{name or path}, seed {of.episodes.seed}" for name, path, of in zip(shown, paths, evaluations, strict=True)
    ]


def _head_of_all(evaluations: Sequence[Evaluation]) -> str:
    stores = len({of.store.path for of in evaluations})
    of_what = [counted(stores, "run")] if stores > 1 else []
    of_what += [counted(len(evaluations) // stores, "draw")] if len(evaluations) > stores else []
    shots = shots_name(evaluations[0].plan.shots)
    return f"{settings_name(evaluations[0])}, {shots}; mean and standard deviation over {' x '.join(of_what)}"


def _summary_of_all(evaluations: Sequence[Evaluation], names: Sequence[str]) -> str:
    """The means of all cases side by side."""
    first = evaluations[0]
    rows = []
    for name in names:
        cells = []
        for number in range(len(first.outcomes)):
            *_, mean, std = with_spread([of.outcomes[number].accuracies[name].accuracy for of in evaluations])
            cells.append(f"{mean:.2f} ± {std:.2f}")
        rows.append((score_name(name), *cells))
    headers = ("mean % ± standard deviation", *(case_name(of.case, first.plan) for of in first.outcomes))
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def _confidence_of_all(outcomes: Sequence[Outcome], labels: Sequence[str]) -> list[str]:
    """What was measured of the confidence of all of them, if anything was."""
    figures = [outcome.confidence_figures for outcome in outcomes]
    shared = [name for name in figures[0] if all(name in of for of in figures)]
    rows = [(name, *with_spread([of[name] for of in figures])) for name in shared]
    headers = ("confidence, %", *labels, "mean", "std")
    return [tabulate(rows, headers=headers, floatfmt=".1f", tablefmt="github")] if rows else []


def with_spread(values: Sequence[float]) -> tuple[float, ...]:
    """Some values, then their mean and standard deviation; 0 of a single one."""
    return (*values, statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0)
