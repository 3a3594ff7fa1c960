"""Several runs or methods over the same episodes: what each recognises, and paired differences."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hcl.extract.system.errors import InputError
from hcl.match.config import BASELINE, EpisodeConfig, EvaluationConfig
from hcl.match.episodes.aggregation import true_places
from hcl.match.episodes.drawing import EpisodeSet, draw_set
from hcl.match.episodes.episode_file import EpisodeList
from hcl.match.episodes.level_table import Case
from hcl.match.episodes.video_pool import LeftOut
from hcl.match.evaluation.evaluate import EvaluationRequest
from hcl.match.evaluation.evaluator import Evaluator, left_out_classes
from hcl.match.evaluation.results import Evaluation, accuracy_frame
from hcl.match.evaluation.statistics import Accuracy, accuracy_table
from hcl.match.store.distinct import refuse_twice
from hcl.match.store.embedding_store import EmbeddingStore, open_store

INDISTINCT = "not distinguishable"
UNTRAINED = "untrained"  # the entry of the ImageNet ResNet without training


def verdict(low: float, high: float) -> str:
    """What may be said of a difference with this interval: "better", "worse" or "not distinguishable"."""
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
    entries: tuple[Entry, ...]  # the ImageNet ResNet without training, then the runs as given
    differences: tuple[Difference, ...]  # of every other entry from the first run
    left_out: LeftOut = LeftOut()  # what was not drawn from
    trained_on: tuple[str, ...] = ()  # classes that count although one of the runs was trained on them
    leading: Mapping[Case, tuple[str, ...]] = field(default_factory=dict)  # the best entry and those not below it

    def to_dict(self) -> dict[str, Any]:
        """The whole result in plain types; accuracies, differences and intervals in percent."""
        return {
            "episodes": asdict(self.episodes),
            "plan": asdict(self.plan),
            "left_out": self.left_out.to_dict(),
            "trained_on": list(self.trained_on),
            "leading": [asdict(case) | {"runs": list(names)} for case, names in self.leading.items()],
            "entries": [
                {
                    "run": entry.name,
                    "method": entry.method,
                    "accuracies": [asdict(case) | value.to_dict() for case, value in entry.accuracies.items()],
                }
                for entry in self.entries
            ],
            "differences": [
                {"run": of.name, "minus": of.first, **asdict(of.case), **of.value.to_dict(), "verdict": of.verdict}
                for of in self.differences
            ],
        }

    def to_pandas(self) -> Any:
        """The paired differences as a DataFrame, a row for each run and case.

        Returns:
            columns run, minus, k_shot, aggregate, verdict; accuracy, ci95, low95 and high95 in percent

        Raises:
            InputError: if pandas is not installed
        """
        return accuracy_frame(
            ({"run": of.name, "minus": of.first, **asdict(of.case), "verdict": of.verdict}, of.value)
            for of in self.differences
        )


def compare(stores: Mapping[str, str | Path | EmbeddingStore], request: EvaluationRequest | None = None) -> Comparison:
    """Evaluate several stores on the same episodes: the listed ones, or those drawn from the first store.

    Args:
        stores: stores, their paths or those of runs, by the name to show
        request: which episodes, and how they are scored

    Raises:
        InputError: if there are fewer than two, or a store lacks a video of these episodes
    """
    if len(stores) < 2:
        raise InputError(f"a comparison needs 2 runs or stores, got {len(stores)}; one alone: hcl evaluate")
    request = request or EvaluationRequest()
    opened = {name: open_store(store) for name, store in stores.items()}
    refuse_twice(list(opened.values()))
    copies = _copies(opened.values(), request.plan.split)
    left_out, episode_list = LeftOut(copies=copies), request.episode_list
    if episode_list is None:
        drawn = _draw_for(list(opened.values()), request, copies)
        left_out, episode_list = drawn.left_out, EpisodeList.of(drawn.episodes, next(iter(opened.values())).videos)
    evaluations = {}
    for name, store in opened.items():
        evaluator = Evaluator(store, request.plan, request.scoring)
        evaluations[name] = evaluator.run(request.episodes, episode_list)
        if evaluations[name].interrupted:
            raise KeyboardInterrupt  # episodes that only some have scored compare nothing
    entries, differences = _entries(evaluations), _differences(evaluations)
    trained_on = sorted({name for evaluation in evaluations.values() for name in evaluation.trained_on})
    return Comparison(
        request.episodes,
        request.plan,
        tuple(entries),
        tuple(differences),
        left_out,
        tuple(trained_on),
        _leading(evaluations, entries),
    )


def _copies(stores: Iterable[EmbeddingStore], split: str) -> tuple[str, ...]:
    """What any of several stores leaves out, since an earlier split has it, each once."""
    return tuple(dict.fromkeys(same for store in stores for same in store.left_out(split)))


def _draw_for(stores: Sequence[EmbeddingStore], request: EvaluationRequest, copies: tuple[str, ...]) -> EpisodeSet:
    """Draw episodes from the first of several stores, without the classes that any of them was trained on."""
    config, plan, first = replace(request.episodes, k_shot=max(request.plan.shots)), request.plan, stores[0]
    trained = {name for store in stores for name in left_out_classes(store, plan)}
    choice = {"where": str(first.path), "trained": trained, "min_videos": plan.min_videos, "copies": copies}
    return draw_set(first.videos, plan.split, config, **choice)


def _entries(evaluations: Mapping[str, Evaluation]) -> list[Entry]:
    first = next(iter(evaluations.values()))
    baseline = {outcome.case: outcome.accuracies[BASELINE] for outcome in first.outcomes}
    entries = [Entry(UNTRAINED, BASELINE, baseline)]
    for name, evaluation in evaluations.items():
        accuracies = {outcome.case: outcome.accuracies[outcome.headline] for outcome in evaluation.outcomes}
        entries.append(Entry(name, evaluation.method, accuracies))
    return entries


def _differences(evaluations: Mapping[str, Evaluation]) -> list[Difference]:
    """The ImageNet ResNet without training and every further run, each against the first run."""
    names = list(evaluations)
    first = evaluations[names[0]]
    differences = []
    for number, outcome in enumerate(first.outcomes):
        others = {UNTRAINED: outcome.predictions[BASELINE]}
        for name in names[1:]:
            other = evaluations[name].outcomes[number]
            others[name] = other.predictions[other.headline]
        values = _paired(first, outcome.predictions[outcome.headline], others)
        differences += [Difference(name, names[0], outcome.case, value) for name, value in values.items()]
    return differences


def _leading(evaluations: Mapping[str, Evaluation], entries: Sequence[Entry]) -> dict[Case, tuple[str, ...]]:
    """Of each case, the entry of highest accuracy and all whose paired difference from it is not clear of 0."""
    first = next(iter(evaluations.values()))
    leading = {}
    for number, outcome in enumerate(first.outcomes):
        predictions = {UNTRAINED: outcome.predictions[BASELINE]}
        for name, evaluation in evaluations.items():
            of_run = evaluation.outcomes[number]
            predictions[name] = of_run.predictions[of_run.headline]
        best = max(entries, key=lambda entry: entry.accuracies[outcome.case].accuracy).name
        values = _paired(first, predictions.pop(best), predictions)
        level = {name for name, value in values.items() if verdict(*value.bootstrap95) == INDISTINCT}
        leading[outcome.case] = tuple(entry.name for entry in entries if entry.name == best or entry.name in level)
    return leading


def _paired(evaluation: Evaluation, first: NDArray[Any], others: Mapping[str, NDArray[Any]]) -> dict[str, Accuracy]:
    """What other predictions recognise more than the first, with intervals.

    Args:
        evaluation: of these episodes, for the classes and groups of their queries
        first: (E, N * M) places that were predicted
        others: the same, by name
    """
    truth, videos = true_places(evaluation.scored), evaluation.store.videos
    right = (first == truth).astype(float)
    more = {name: (predicted == truth) - right for name, predicted in others.items()}
    return accuracy_table(more, evaluation.scored.query, videos.label, videos.group)
