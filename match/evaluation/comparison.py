"""Several runs or methods over the same episodes: what each recognises, and paired differences."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hcl.extract.system.errors import InputError
from hcl.match.config import BASELINE, EpisodeConfig, EvaluationConfig
from hcl.match.episodes.episode_file import EpisodeList
from hcl.match.episodes.pooling import true_places
from hcl.match.evaluation.evaluation import Evaluation, draw_from, evaluate
from hcl.match.evaluation.predictions import Case
from hcl.match.evaluation.statistics import Accuracy, accuracy_table
from hcl.match.store.embedding_store import EmbeddingStore

INDISTINCT = "not distinguishable"


def verdict(low: float, high: float) -> str:
    """What may be said of a difference with this interval."""
    if low <= 0 <= high:
        return INDISTINCT
    return "better" if low > 0 else "worse"


@dataclass(frozen=True)
class Entry:
    """One row of a comparison."""

    name: str
    method: str
    accuracies: dict[Case, Accuracy]


@dataclass(frozen=True)
class Difference:
    """What one entry recognises more than the first, over the same queries of the same episodes, in percent."""

    name: str
    first: str
    case: Case
    value: Accuracy

    @property
    def verdict(self) -> str:
        """Which is better, by the interval over classes, groups and videos."""
        return verdict(*self.value.bootstrap95)


@dataclass(frozen=True)
class Comparison:
    """The outcome of a comparison."""

    episodes: EpisodeConfig
    plan: EvaluationConfig
    entries: tuple[Entry, ...]  # the untrained baseline, then the runs as given
    differences: tuple[Difference, ...]  # of every other entry from the first run


def compare(
    paths: Mapping[str, Path],
    episodes: EpisodeConfig,
    plan: EvaluationConfig | None = None,
    scoring: Mapping[str, Any] | None = None,
    *,
    listed: EpisodeList | None = None,
) -> Comparison:
    """Evaluate several stores on the episodes drawn from the first.

    Args:
        paths: of the stores, by the name to show
        episodes: what to draw
        plan: as for an evaluation
        scoring: as for an evaluation
        listed: episodes to score instead of drawn ones

    Raises:
        InputError: if there are fewer than two, or a store lacks a video of these episodes
    """
    if len(paths) < 2:
        raise InputError(f"a comparison needs 2 runs or stores, got {len(paths)}; one alone: hcl evaluate")
    plan = plan or EvaluationConfig()
    if listed is None:
        first = EmbeddingStore.open(next(iter(paths.values())))
        drawn = draw_from(first, plan.split, replace(episodes, k_shot=max(plan.shots))).drawn
        listed = EpisodeList.of(drawn, first.videos)
    found = {}
    for name, path in paths.items():
        found[name] = evaluate(path, episodes, plan, scoring, listed=listed)
        if found[name].interrupted:
            raise KeyboardInterrupt  # episodes that only some have scored compare nothing
    return Comparison(episodes, plan, tuple(_entries(found)), tuple(_differences(found)))


def _entries(found: Mapping[str, Evaluation]) -> list[Entry]:
    first = next(iter(found.values()))
    baseline = {outcome.case: outcome.accuracies[BASELINE] for outcome in first.outcomes}
    entries = [Entry("untrained", BASELINE, baseline)]
    for name, of in found.items():
        accuracies = {outcome.case: outcome.accuracies[outcome.headline] for outcome in of.outcomes}
        entries.append(Entry(name, of.method, accuracies))
    return entries


def _differences(found: Mapping[str, Evaluation]) -> list[Difference]:
    """The untrained baseline and every further run, each against the first run."""
    names = list(found)
    first = found[names[0]]
    differences = []
    for number, outcome in enumerate(first.outcomes):
        others = {"untrained": outcome.predictions[BASELINE]}
        for name in names[1:]:
            other = found[name].outcomes[number]
            others[name] = other.predictions[other.headline]
        values = paired(first, outcome.predictions[outcome.headline], others)
        differences += [Difference(name, names[0], outcome.case, value) for name, value in values.items()]
    return differences


def paired(of: Evaluation, first: Any, others: Mapping[str, Any]) -> dict[str, Accuracy]:
    """What other predictions recognise more than the first, with intervals.

    Args:
        of: an evaluation of these episodes, for the classes and groups of their queries
        first: (E, N * M) places that were predicted
        others: the same, by name
    """
    truth, videos = true_places(of.drawn), of.store.videos
    right = (first == truth).astype(float)
    more = {name: (predicted == truth) - right for name, predicted in others.items()}
    return accuracy_table(more, of.drawn.query, videos.label, videos.group)
