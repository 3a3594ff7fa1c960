"""Evaluations as text for a person (GitHub's Markdown), and the files that the user names."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.console import plain
from hcl.extract.system.errors import write_errors
from hcl.match.config import BASELINE, HCL, LEVELS, UNTRAINED_LEVELS, WEIGHTED, ZERO_SHOT, EvaluationConfig
from hcl.match.episodes.class_overlap import of_attributes
from hcl.match.episodes.episode_file import EpisodeList, write_episodes
from hcl.match.episodes.level_table import Case
from hcl.match.episodes.video_pool import LeftOut
from hcl.match.evaluation.level_weights import NEAR, LevelWeights, foreign_shift, trusted
from hcl.match.evaluation.results import Evaluation, Outcome
from hcl.match.reports.confidence_report import Quote as Quote
from hcl.match.reports.confidence_report import confidence_parts

UNTRAINED = "ResNet features, no training (cosine of mean maps)"
BY_NAME = "zero-shot: names of the classes, no supports"
WITHOUT_TRAINING = (BASELINE, *UNTRAINED_LEVELS)  # scores
UNTRAINED_RUN = "ImageNet ResNet"  # the same where names are short


def write_json(path: str | Path, content: Any) -> None:
    """Write plain types as JSON.

    Raises:
        InputError: if the file cannot be written
    """
    write_text(path, json.dumps(content, indent=2) + "\n", "--json")


def write_text(path: str | Path, text: str, option: str) -> None:
    """Write a file that an option named.

    Raises:
        InputError: if the file cannot be written
    """
    path = Path(path)
    with write_errors(path, f"name another file with {option}"):
        if path.exists() and not path.is_file():  # such as /dev/stdout
            path.write_text(text, encoding="utf-8")
            return
        with atomic_file(path) as fresh:
            fresh.write_text(text, encoding="utf-8")


def write_scored_episodes(path: str | Path, evaluation: Evaluation) -> None:
    """Write the episodes that were scored, for another system.

    Raises:
        InputError: if the file cannot be written
    """
    episode_list = EpisodeList.of(evaluation.scored, evaluation.store.videos)
    write_episodes(path, episode_list, asdict(evaluation.episodes))


def as_text(evaluation: Evaluation, quote: Quote = plain) -> str:
    """The report that `hcl evaluate` prints of one evaluation.

    Args:
        evaluation: to report
        quote: what makes labels and paths safe: `plain` for a terminal, `markdown` for a file
    """
    parts = [_head(evaluation, quote), *choice_lines(evaluation.left_out, evaluation.trained_on, quote)]
    parts += [table] if (table := overlap_table(evaluation.store.attributes, quote)) else []
    parts += map(quote, evaluation.store.coverage.sentences() if evaluation.store.coverage else [])
    parts += [_summary(evaluation)] if len(evaluation.outcomes) > 1 else []
    for outcome in evaluation.outcomes:
        title = [f"## {case_name(outcome.case, evaluation.plan)}"] if len(evaluation.outcomes) > 1 else []
        accuracies = {name: value.accuracy for name, value in outcome.accuracies.items()}
        behind = [line] if (line := behind_text(accuracies, outcome.headline)) else []
        parts += [*title, _levels(outcome), *behind, _per_class(evaluation, outcome, quote), _confusion(outcome, quote)]
        if confused := outcome.most_confused:
            headers = ("true class", "most often confused with", "% of its queries")
            rows = [(quote(true), quote(predicted), share) for true, predicted, share in confused]
            parts.append(tabulate(rows, headers=headers, floatfmt=".1f", tablefmt="github", disable_numparse=[0, 1]))
        parts += confidence_parts(outcome, quote)
    if evaluation.spread:
        levels = ", ".join(f"{name} {mean:.3f} ± {std:.3f}" for name, (mean, std) in evaluation.spread.items())
        parts.append(f"scores over pairs of videos (mean ± standard deviation): {levels}")
    parts += [line for line in (weights_text(evaluation, quote), untrained_levels_text(evaluation)) if line]
    if evaluation.left_out.duplicates:
        sets = "\n".join("  " + " = ".join(map(quote, paths)) for paths in evaluation.left_out.duplicates)
        parts.append(f"byte-identical videos, of which only the first was drawn:\n{sets}")
    return "\n\n".join(parts)


def choice_lines(left_out: LeftOut, trained_on: Sequence[str], quote: Quote = plain) -> list[str]:
    """Say which classes and videos were left out and why, and which count although a run was trained on them."""
    known = [f"no new classes, the run was trained on them: {', '.join(trained_on)}"] if trained_on else []
    return list(map(quote, left_out.sentences() + known))


def overlap_table(attributes: Mapping[str, Any], quote: Quote = plain) -> str:
    """Which classes of another set overlap those that a run was trained on, as a store's attributes say; "" if none."""
    rows = [
        (
            *map(quote, (pair.label, pair.trained, pair.why)),
            "" if pair.similarity is None else f"{pair.similarity:.2f}",
            "left out" if pair.leave_out else "kept",
        )
        for pair in of_attributes(attributes)
    ]
    headers = ("class here", "trained class", "in common", "similarity", "")
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True) if rows else ""


def behind_text(accuracies: Mapping[str, float], headline: str) -> str:
    """Say that something without training leads, where it does; "" where it does not.

    Args:
        accuracies: in percent, by score
        headline: the score that stands for the method
    """
    untrained = {name: accuracies[name] for name in WITHOUT_TRAINING if name in accuracies}
    leading = max(untrained, key=lambda name: untrained[name])
    reached = accuracies[headline]
    if untrained[leading] <= reached:
        return ""
    return (
        f"without training, {score_name(leading)} is ahead here: {untrained[leading]:.1f} % against {reached:.1f} %;"
        " more base classes of this kind would help, or going without training: hcl embed CACHE --untrained"
    )


def weights_text(evaluation: Evaluation, quote: Quote = plain) -> str:
    """Which weights the weighted sum has, and how far they are trusted; "" where there is no such sum."""
    store, first = evaluation.store, evaluation.outcomes[0]
    if WEIGHTED not in first.accuracies:
        return ""
    chosen = LevelWeights.of(store)
    if chosen is None:
        return "weights of the levels: fixed ratios; there were no classes to choose them on"
    largest = max(chosen.weights.values(), default=0.0) or 1.0  # ratios alone matter
    factors = ", ".join(f"{level_name(name)} {weight / largest:.2g}" for name, weight in chosen.weights.items())
    line = f"weights of the levels, chosen on {quote(chosen.chosen_on)}: {factors or 'none counts'}"
    shift = foreign_shift(store, chosen, np.unique(evaluation.scored.query))
    if shift is None:
        return line
    trust = f"{100 * trusted(shift):.0f} % of the weighted score is theirs, the rest that of the untrained levels"
    return f"{line}\nthese videos are {shift:.2f} away from those trained on (within one domain under {NEAR}): {trust}"


def untrained_levels_text(evaluation: Evaluation) -> str:
    """Name the levels whose losses were not trained, which count in no headline; "" where there are none."""
    trained = evaluation.store.trained_levels if evaluation.method == HCL else LEVELS
    untrained = [level for level in LEVELS if level not in trained]
    if not untrained:
        return ""
    return (
        f"trained without the losses of {', '.join(untrained)}: left out of the weighted sum and of the last sum above"
    )


def _head(evaluation: Evaluation, quote: Quote) -> str:
    config = evaluation.episodes
    scored = f"{len(evaluation.scored)} of " if evaluation.interrupted else ""
    return (
        f"{config.n_way}-way {shots_name(evaluation.plan.shots)}, {queries_name(config.n_query)},"
        f" {scored}{counted(config.episodes, 'episode')}, seed {config.seed}"
        f"{', group-disjoint' if config.group_disjoint else ''}\n"
        f"{sum(evaluation.class_sizes)} {evaluation.plan.split} videos of {len(evaluation.class_names)} classes in"
        f" {quote(evaluation.store.path)}"
    )


def counted(count: int, singular: str, plural: str = "") -> str:
    """A number of things, such as "1 fold" or "2 folds"."""
    return f"{count} {singular if count == 1 else plural or singular + 's'}"


def queries_name(count: int) -> str:
    """How many queries an episode has, such as "1 query per class"."""
    return f"{counted(count, 'query', 'queries')} per class"


def shots_name(shots: Sequence[int]) -> str:
    """Numbers of supports, such as "1-shot" or "1-, 2- and 5-shot"."""
    *others, last = map(str, shots)
    return f"{'-, '.join(others)}- and {last}-shot" if others else f"{last}-shot"


def case_name(case: Case, plan: EvaluationConfig, separator: str = ", ") -> str:
    """How a case is shown: its shots, and its aggregate where there are several."""
    return f"{case.k_shot}-shot" + (f"{separator}{case.aggregate}" if len(plan.aggregates) > 1 else "")


def score_name(name: str) -> str:
    """How a score is shown."""
    if name == WEIGHTED:
        return "all levels, weighted"
    named = {BASELINE: UNTRAINED, ZERO_SHOT: BY_NAME}
    return named[name] if name in named else level_name(name).replace("+", " + ")


def level_name(name: str) -> str:
    """How a level or a sum of levels is shown; the name of somebody's own method as it is."""
    return name if ":" in name else name.replace("_", " ")


def _summary(evaluation: Evaluation) -> str:
    """All cases side by side: a row a score, a column a case."""
    cases = evaluation.outcomes
    rows = [
        (score_name(name), *(f"{of.accuracies[name].accuracy:.2f} ± {of.accuracies[name].ci95:.2f}" for of in cases))
        for name in cases[0].accuracies
    ]
    headers = ("accuracy % ± 95 % CI (episodes)", *(case_name(of.case, evaluation.plan) for of in cases))
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def _levels(outcome: Outcome) -> str:
    rows = []
    for name, value in outcome.accuracies.items():
        low, high = value.bootstrap95
        rows.append((score_name(name), f"{value.accuracy:.2f}", f"± {value.ci95:.2f}", f"{low:.1f} to {high:.1f}"))
    return tabulate(
        rows,
        headers=("score", "accuracy %", "95 % CI (episodes)", "95 % CI (bootstrap over classes, groups, videos)"),
        tablefmt="github",
        disable_numparse=True,
        colalign=("left", "right", "right", "right"),
    )


def _per_class(evaluation: Evaluation, outcome: Outcome, quote: Quote) -> str:
    columns = zip(evaluation.class_names, evaluation.class_sizes, outcome.per_class.tolist(), strict=True)
    rows = [(quote(name), size, "no query" if isnan(value) else f"{value:.1f}") for name, size, value in columns]
    return tabulate(
        rows,
        headers=("class", "videos", "accuracy %"),
        tablefmt="github",
        disable_numparse=True,
        colalign=("left", "right", "right"),
    )


def _confusion(outcome: Outcome, quote: Quote) -> str:
    """The confusion matrix in percent of each true class; classes are numbered to keep it narrow."""
    numbers = range(1, len(outcome.class_names) + 1)
    rows = []
    for number, name, counts in zip(numbers, outcome.class_names, outcome.confusion, strict=True):
        rows.append((f"{number} {quote(name)}", *(round(100 * count / max(1, counts.sum())) for count in counts)))
    return tabulate(rows, headers=("true \\ predicted, %", *numbers), tablefmt="github")


def settings_name(evaluation: Evaluation) -> str:
    """What was drawn, such as "5-way, 1 query per class, 10000 episodes of novel classes, group-disjoint"."""
    config = evaluation.episodes
    return (
        f"{config.n_way}-way, {queries_name(config.n_query)}, {counted(len(evaluation.scored), 'episode')} of"
        f" {evaluation.plan.split} classes{', group-disjoint' if config.group_disjoint else ''}"
    )
