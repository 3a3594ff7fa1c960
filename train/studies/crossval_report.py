"""Cross-validations as text and JSON."""

from dataclasses import asdict
from typing import Any

from tabulate import tabulate

from hcl.match.evaluation.fold_means import CrossValidation, Mean
from hcl.match.reports.report import score_name


def as_text(found: CrossValidation) -> str:
    """One table for each number of shots: folds by column, their mean and its interval."""
    first = found.evaluations[0][0]
    seeds = len(found.evaluations[0])
    head = (
        f"{first.episodes.n_way}-way, {first.episodes.n_query} queries a class, {first.episodes.episodes} episodes of"
        f" {first.plan.split} classes a fold{', group-disjoint' if first.episodes.group_disjoint else ''};"
        f" {len(found.evaluations)} folds x {seeds} trained seeds\n"
        "95 % by resampling folds, seeds, classes, groups and videos"
    )
    parts = [head]
    for number, outcome in enumerate(first.outcomes):
        means = {name: found.accuracy(number, name) for name in outcome.accuracies}
        headers = (f"{outcome.case.k_shot}-shot, %", *range(len(found.evaluations)), "mean", "95 %")
        rows = [(score_name(name), *_row(mean)) for name, mean in means.items()]
        parts.append(tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True))
    return "\n\n".join(parts)


def _row(mean: Mean) -> tuple[str, ...]:
    return (*(f"{value:.1f}" for value in mean.by_fold), f"{mean.mean:.1f}", interval(mean))


def interval(mean: Mean, sign: str = "") -> str:
    """An interval as it is shown."""
    low, high = mean.interval
    return f"{low:{sign}.1f} to {high:{sign}.1f}"


def as_json(found: CrossValidation) -> dict[str, Any]:
    """Everything a cross-validation found, in plain types; accuracies and intervals in percent."""
    first = found.evaluations[0][0]
    return {
        "episodes": asdict(first.episodes),
        "plan": asdict(first.plan),
        "runs": [[str(of.store.path.parent) for of in of_seeds] for of_seeds in found.evaluations],
        "novel": [list(of_seeds[0].class_names) for of_seeds in found.evaluations],
        "outcomes": [
            {
                **asdict(outcome.case),
                "scores": {name: found.accuracy(number, name).to_dict() for name in outcome.accuracies},
            }
            for number, outcome in enumerate(first.outcomes)
        ],
    }
