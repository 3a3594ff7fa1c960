"""Evaluations as text for a person and as JSON for a program."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tabulate import tabulate

from hcl.extract.errors import InputError
from hcl.match.evaluation import BASELINE, Evaluation


def as_json(found: Evaluation) -> dict[str, Any]:
    """Everything an evaluation found, in plain types; accuracies and intervals in percent."""
    return {
        "store": str(found.store),
        "origin": {key: value for key, value in found.origin.items() if key != "clip_frames"},
        "fold": found.fold,
        "episodes": asdict(found.episodes),
        "scoring": asdict(found.scoring),
        "classes": dict(zip(found.class_names, found.class_sizes, strict=True)),
        "levels": {name: value.as_dict() for name, value in found.accuracies.items() if name != BASELINE},
        "baseline": found.accuracies[BASELINE].as_dict(),
        "per_class": found.per_class,
        "confusion": {"classes": list(found.class_names), "counts": found.confusion.tolist()},
        "spread": {name: {"mean": mean, "std": std} for name, (mean, std) in found.spread.items()},
        "duplicates": [list(paths) for paths in found.duplicates],
    }


def write_json(path: Path, found: Evaluation) -> None:
    """Write the JSON report.

    Raises:
        InputError: if the file cannot be written
    """
    try:
        path.write_text(json.dumps(as_json(found), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); name another file with --json") from error


def as_text(found: Evaluation) -> str:
    """The report that the command prints."""
    drawn = found.episodes
    head = (
        f"{drawn.n_way}-way {drawn.k_shot}-shot, {drawn.n_query} queries a class, {drawn.episodes} episodes, seed"
        f" {drawn.seed}{', group-disjoint' if drawn.group_disjoint else ''}\n"
        f"{sum(found.class_sizes)} {found.fold} videos of {len(found.class_names)} classes in {found.store}"
    )
    parts = [head, _levels(found), _per_class(found), _confusion(found), _spread(found)]
    if found.duplicates:
        listed = "\n".join("  " + " = ".join(paths) for paths in found.duplicates)
        parts.append(f"byte-identical videos, of which only the first was drawn:\n{listed}")
    return "\n\n".join(parts)


def _levels(found: Evaluation) -> str:
    names = [name for name in found.accuracies if name != BASELINE]
    rows = []
    for name, value in [(BASELINE, found.accuracies[BASELINE]), *((name, found.accuracies[name]) for name in names)]:
        low, high = value.bootstrap95
        shown = "untrained ResNet (cosine of mean maps)" if name == BASELINE else name.replace("+", " + ")
        rows.append((shown, f"{value.accuracy:.2f}", f"± {value.ci95:.2f}", f"{low:.1f} to {high:.1f}"))
    return tabulate(
        rows,
        headers=("score", "accuracy %", "95 % (episodes)", "95 % (classes, groups, videos)"),
        tablefmt="github",
        disable_numparse=True,
        colalign=("left", "right", "right", "right"),
    )


def _per_class(found: Evaluation) -> str:
    rows = [
        (name, size, f"{found.per_class[name]:.1f}")
        for name, size in zip(found.class_names, found.class_sizes, strict=True)
    ]
    return tabulate(
        rows, headers=("class", "videos", "accuracy %"), tablefmt="github", colalign=("left", "right", "right")
    )


def _confusion(found: Evaluation) -> str:
    """The confusion matrix in percent of each true class; classes are numbered to keep it narrow."""
    numbers = range(1, len(found.class_names) + 1)
    rows = []
    for number, name, counts in zip(numbers, found.class_names, found.confusion, strict=True):
        rows.append((f"{number} {name}", *(round(100 * count / max(1, counts.sum())) for count in counts)))
    return tabulate(rows, headers=("true \\ predicted, %", *numbers), tablefmt="github")


def _spread(found: Evaluation) -> str:
    levels = ", ".join(f"{name} {mean:.3f} ± {std:.3f}" for name, (mean, std) in found.spread.items())
    return f"scores over pairs of videos (mean ± standard deviation): {levels}"
