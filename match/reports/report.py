"""Evaluations as text for a person (GitHub's Markdown) and as JSON for a program."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tabulate import tabulate

from hcl.extract.system.errors import InputError
from hcl.match.config import BASELINE
from hcl.match.episodes.episode_file import EpisodeList, write_episodes
from hcl.match.evaluation.evaluation import Evaluation, Outcome
from hcl.match.evaluation.predictions import Case

CONFUSED_SHOWN = 10  # pairs of classes
UNTRAINED = "untrained ResNet (cosine of mean maps)"


def as_json(found: Evaluation) -> dict[str, Any]:
    """Everything an evaluation found, in plain types; accuracies and intervals in percent.

    The first outcome stands at the top, for the many who ask for one; all of them stand under "outcomes".
    """
    outcomes = [_outcome_json(found, outcome) for outcome in found.outcomes]
    return {
        "store": str(found.store.path),
        "method": found.method,
        "origin": {key: value for key, value in found.store.attributes.items() if key != "clip_frames"},
        "split": found.plan.split,
        "episodes": asdict(found.episodes),
        "scored_episodes": len(found.drawn),
        "scoring": asdict(found.scoring),
        "classes": dict(zip(found.class_names, found.class_sizes, strict=True)),
        **outcomes[0],
        "outcomes": outcomes,
        "spread": {name: {"mean": mean, "std": std} for name, (mean, std) in found.spread.items()},
        "duplicates": [list(paths) for paths in found.duplicates],
    }


def _outcome_json(found: Evaluation, outcome: Outcome) -> dict[str, Any]:
    return {
        "shot": outcome.case.k_shot,
        "aggregate": outcome.case.aggregate,
        "levels": {name: value.as_dict() for name, value in outcome.accuracies.items() if name != BASELINE},
        "baseline": outcome.accuracies[BASELINE].as_dict(),
        "per_class": _class_accuracies(found, outcome),
        "confusion": {"classes": list(found.class_names), "counts": outcome.confusion.tolist()},
        "most_confused": [
            {"true": true, "predicted": predicted, "percent": share}
            for true, predicted, share in most_confused(found, outcome)
        ],
    }


def _class_accuracies(found: Evaluation, outcome: Outcome) -> dict[str, float | None]:
    """Percent by class; None for a class that was never asked."""
    both = zip(found.class_names, outcome.per_class.tolist(), strict=True)
    return {name: value if value == value else None for name, value in both}


def most_confused(found: Evaluation, outcome: Outcome) -> list[tuple[str, str, float]]:
    """The pairs of classes that are taken for another most: true, predicted, percent of the true one's queries."""
    counts = outcome.confusion
    pairs = [
        (name, other, float(100 * counts[true, predicted] / counts[true].sum()))
        for true, name in enumerate(found.class_names)
        for predicted, other in enumerate(found.class_names)
        if true != predicted and counts[true, predicted]
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:CONFUSED_SHOWN]


def write_json(path: Path, content: Any) -> None:
    """Write a report as JSON.

    Raises:
        InputError: if the file cannot be written
    """
    write_text(path, json.dumps(content, indent=2) + "\n", "--json")


def write_text(path: Path, text: str, option: str) -> None:
    """Write a file that an option named."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); name another file with {option}") from error


def write_episodes_of(path: Path, found: Evaluation) -> None:
    """Write the episodes that were scored, for another system."""
    write_episodes(path, EpisodeList.of(found.drawn, found.store.videos), asdict(found.episodes))


def as_text(found: Evaluation) -> str:
    """The report that the command prints."""
    parts = [_head(found)]
    for outcome in found.outcomes:
        title = [f"## {_case(outcome.case, found)}"] if len(found.outcomes) > 1 else []
        parts += [*title, _levels(outcome), _per_class(found, outcome), _confusion(found, outcome)]
        if confused := most_confused(found, outcome):
            headers = ("true class", "most often taken for", "% of its queries")
            parts.append(tabulate(confused, headers=headers, floatfmt=".1f", tablefmt="github"))
    if found.spread:
        levels = ", ".join(f"{name} {mean:.3f} ± {std:.3f}" for name, (mean, std) in found.spread.items())
        parts.append(f"scores over pairs of videos (mean ± standard deviation): {levels}")
    if found.duplicates:
        listed = "\n".join("  " + " = ".join(paths) for paths in found.duplicates)
        parts.append(f"byte-identical videos, of which only the first was drawn:\n{listed}")
    return "\n\n".join(parts)


def _head(found: Evaluation) -> str:
    drawn = found.episodes
    shots = ", ".join(map(str, found.plan.shots))
    scored = f"{len(found.drawn)} of " if found.interrupted else ""
    return (
        f"{drawn.n_way}-way {shots}-shot, {drawn.n_query} queries a class, {scored}{drawn.episodes} episodes, seed"
        f" {drawn.seed}{', group-disjoint' if drawn.group_disjoint else ''}\n"
        f"{sum(found.class_sizes)} {found.plan.split} videos of {len(found.class_names)} classes in {found.store.path}"
    )


def _case(case: Case, found: Evaluation) -> str:
    return f"{case.k_shot}-shot" + (f", {case.aggregate} over supports" if len(found.plan.aggregates) > 1 else "")


def score_name(name: str) -> str:
    """How a score is shown."""
    return UNTRAINED if name == BASELINE else name.replace("+", " + ")


def _levels(outcome: Outcome) -> str:
    rows = []
    for name, value in outcome.accuracies.items():
        low, high = value.bootstrap95
        rows.append((score_name(name), f"{value.accuracy:.2f}", f"± {value.ci95:.2f}", f"{low:.1f} to {high:.1f}"))
    return tabulate(
        rows,
        headers=("score", "accuracy %", "95 % (episodes)", "95 % (classes, groups, videos)"),
        tablefmt="github",
        disable_numparse=True,
        colalign=("left", "right", "right", "right"),
    )


def _per_class(found: Evaluation, outcome: Outcome) -> str:
    accuracies = _class_accuracies(found, outcome)
    rows = [
        (name, size, "not asked" if accuracies[name] is None else f"{accuracies[name]:.1f}")
        for name, size in zip(found.class_names, found.class_sizes, strict=True)
    ]
    return tabulate(
        rows,
        headers=("class", "videos", "accuracy %"),
        tablefmt="github",
        disable_numparse=True,
        colalign=("left", "right", "right"),
    )


def _confusion(found: Evaluation, outcome: Outcome) -> str:
    """The confusion matrix in percent of each true class; classes are numbered to keep it narrow."""
    numbers = range(1, len(found.class_names) + 1)
    rows = []
    for number, name, counts in zip(numbers, found.class_names, outcome.confusion, strict=True):
        rows.append((f"{number} {name}", *(round(100 * count / max(1, counts.sum())) for count in counts)))
    return tabulate(rows, headers=("true \\ predicted, %", *numbers), tablefmt="github")


def over_runs(found: Sequence[Evaluation]) -> str:
    """Several draws or trained runs side by side: each score's accuracy, its mean and standard deviation."""
    tables = []
    for number, outcome in enumerate(found[0].outcomes):
        columns = [evaluation.outcomes[number].accuracies for evaluation in found]
        rows = [(score_name(name), *spread_over([of[name].accuracy for of in columns])) for name in columns[0]]
        names = [f"{of.store.path.parent.name or of.store.path.name}, seed {of.episodes.seed}" for of in found]
        headers = (_case(outcome.case, found[0]), *names, "mean", "std")
        tables.append(tabulate(rows, headers=headers, floatfmt=".2f", tablefmt="github"))
    return "\n\n".join(tables)


def spread_over(values: Iterable[float]) -> tuple[float, ...]:
    """Some values, then their mean and standard deviation."""
    listed = list(values)
    return (*listed, statistics.fmean(listed), statistics.stdev(listed) if len(listed) > 1 else 0.0)
