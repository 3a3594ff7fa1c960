"""Whether adapting pays: parts of the clips are left out in turn, of the training and of the supports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from hcl.classify.adaptation.held_out import embedded_clips, parts, recognised
from hcl.classify.answers.matcher import Matching
from hcl.classify.embedding.origin import Origin
from hcl.classify.embedding.recipe import views_of_run
from hcl.classify.support.support_set import SupportSet
from hcl.extract.cache.video_table import Rows
from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.device import choose_device
from hcl.extract.system.errors import InputError
from hcl.extract.system.progress import logger
from hcl.match.evaluation.statistics import BOOTSTRAP_SEED, QueryCounts, bootstrap_intervals
from hcl.train.adaptation.fitting import adapted_state
from hcl.train.adaptation.planning import Adaptation
from hcl.train.data.map_source import MapSource
from hcl.train.encoders.factory import Encoder, make_encoder
from hcl.train.encoders.layer4 import inputs_in
from hcl.train.encoders.untrained import Untrained
from hcl.train.runs.run_folder import load_encoder

UNTRAINED, BEFORE, ADAPTED = "untrained", "the run as it was", "adapted"
NAMES = (UNTRAINED, BEFORE, ADAPTED)
ANSWERS = "answers.json"  # in the folder of a part


@dataclass(frozen=True)
class Measured:
    """What one encoder recognises of the clips that were left out."""

    name: str
    right: int
    accuracy: float  # percent
    interval: tuple[float, float]  # 95 %, over classes, groups and clips


@dataclass(frozen=True)
class Comparison:
    """What left-out clips say of adapting."""

    measured: tuple[Measured, ...]  # by NAMES; none where it was not measured
    clips: int  # that were asked for
    parts: int
    by_group: bool  # whether the clips of a group were left out together
    difference: tuple[float, float] = (0.0, 0.0)  # 95 % of adapted minus before, in percentage points
    untried: tuple[str, ...] = ()  # classes of which no clip could be asked for

    @property
    def keeps_adapted(self) -> bool:
        """Whether the adapted weights are the better ones; those that were not measured are kept."""
        if not self.measured:
            return True
        of = {each.name: each.right for each in self.measured}
        return of[ADAPTED] > of[BEFORE]

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        accuracies = {
            each.name: {"right": each.right, "accuracy": each.accuracy, "bootstrap95": list(each.interval)}
            for each in self.measured
        }
        return {
            "kept": ADAPTED if self.keeps_adapted else BEFORE,
            "clips": self.clips,
            "parts": self.parts,
            "groups_apart": self.by_group,
            "leave_out": accuracies,
            "difference95": list(self.difference),
            "untried_classes": list(self.untried),
        }

    def __str__(self) -> str:
        if not self.measured:
            return "whether adapting pays was not measured (--folds 0)"
        rows = [(each.name, f"{each.right} of {self.clips}", each.accuracy, _range(each)) for each in self.measured]
        apart = ", groups apart" if self.by_group else ""
        head = f"clips that were left out of training and supports ({self.parts} parts{apart}):"
        table = tabulate(rows, headers=("encoder", "right", "accuracy %", "95 % interval"), floatfmt=".1f")
        return "\n".join([head, table, *self._verdict()])

    def _verdict(self) -> list[str]:
        of = {each.name: each for each in self.measured}
        gain, (low, high) = of[ADAPTED].right - of[BEFORE].right, self.difference
        sure = "" if low > 0 or high < 0 else "; so few clips leave it open whether that is chance"
        lines = [f"adapted minus before: {gain:+d} clips, 95 % from {low:+.1f} to {high:+.1f} points{sure}"]
        if of[UNTRAINED].right > max(of[ADAPTED].right, of[BEFORE].right):
            lines.append("without any training more are recognised than by either: try hcl classify without --run")
        if self.untried:
            names = ", ".join(self.untried)
            lines.append(f"not measured, since no clip is left of the class when one is left out: {names}")
        return lines


def _range(each: Measured) -> str:
    return "{:.1f} to {:.1f}".format(*each.interval)


def unmeasured() -> Comparison:
    """Nothing was measured."""
    return Comparison((), 0, 0, by_group=False)


def compare(plan: Adaptation, rows: Rows, folder: Path) -> Comparison:
    """Adapt once for each part of the clips, without that part, and ask for it; parts that are done are kept.

    Args:
        plan: of the adaptation
        rows: (V,) the clips
        folder: for the parts

    Raises:
        InputError: if no class has two clips
    """
    videos = plan.clips.videos.take(rows)
    held = parts(videos.label, videos.group, plan.config.folds, plan.config.seed)
    asked = [askable(videos.label, part) for part in held]
    if not any(map(len, asked)):
        raise InputError(
            "no class has clips that can be left out (one clip or one group each), so nobody can tell whether adapting"
            " pays; add clips, or adapt unmeasured with --folds 0"
        )
    source = MapSource(plan.clips, plan.weights, choose_device(plan.config.device))
    without = _Contest(plan, source, rows)
    right = np.zeros((len(NAMES), len(rows)))
    for number, part in enumerate(held):
        if len(asked[number]):
            logger.info(f"part {number + 1} of {len(held)}: adapting without {len(part)} of {len(rows)} clips")
            right[:, asked[number]] = without.answers(folder / str(number), part, asked[number])
    places = np.sort(np.concatenate(asked))
    labels = [videos.label[place] for place in places]
    untried = tuple(sorted(set(videos.label) - set(labels)))
    compared = summarised(right[:, places], labels, videos.group, places, len(held))
    return replace(compared, untried=untried)


def askable(labels: Sequence[str], part: Rows) -> Rows:
    """Those of a part whose class has clips outside it."""
    outside = {label for place, label in enumerate(labels) if place not in set(part.tolist())}
    return np.array([place for place in part if labels[place] in outside], dtype=np.int64)


def summarised(
    right: NDArray[np.float64], labels: Sequence[str], groups: Sequence[str], places: Rows, count: int
) -> Comparison:
    """Put answers together.

    Args:
        right: (3, n) whether each clip was recognised, by NAMES
        labels: (n,) class of each
        groups: of all clips
        places: (n,) of these among all
        count: of parts
    """
    of_clips = [groups[place] for place in places]
    with_difference = np.concatenate([right, right[2:] - right[1:2]])
    counts = QueryCounts(with_difference, np.ones(right.shape[1]), list(labels), of_clips)
    *intervals, difference = bootstrap_intervals(counts, BOOTSTRAP_SEED).tolist()
    measured = tuple(
        Measured(name, int(values.sum()), float(100 * values.mean()), (low, high))
        for name, values, (low, high) in zip(NAMES, right, intervals, strict=True)
    )
    return Comparison(measured, right.shape[1], count, any(groups), (difference[0], difference[1]))


class _Contest:
    """The encoders that are compared on each part."""

    def __init__(self, plan: Adaptation, source: MapSource, rows: Rows) -> None:
        self.plan, self.source, self.rows = plan, source, rows
        settings, training = plan.run.config.cache["settings"], plan.run.config.training
        self.views = min(views_of_run(settings, training.test_views), plan.clips.n_views)
        self.matching = Matching.of_run(plan.run)
        untrained = Untrained(inputs=inputs_in(plan.clips.settings))
        self.fixed = (
            (self._embedded(untrained, ""), Matching()),
            (self._embedded(load_encoder(plan.run.folder), BEFORE), self.matching),
        )

    def answers(self, folder: Path, part: Rows, asked: Rows) -> NDArray[np.float64]:
        """Whether each clip is recognised by each encoder: (3, n); read from the folder where they are there."""
        file = folder / ANSWERS
        if file.is_file():
            stored = json.loads(file.read_text(encoding="utf-8"))
            if stored.get("asked") == asked.tolist():
                return np.array(stored["right"], dtype=np.float64)
        supports = np.setdiff1d(np.arange(len(self.rows)), part)
        state = adapted_state(folder, self.plan, self.rows[supports])
        config = self.plan.run_config(self.rows[supports])
        encoder = make_encoder(config.training, config.encoder, self.source.layer4)
        encoder.load_state_dict(state)
        contestants = (*self.fixed, (self._embedded(encoder.eval(), ADAPTED), self.matching))
        right = [recognised(clips, matching, supports.tolist(), asked.tolist()) for clips, matching in contestants]
        with atomic_file(file) as fresh:
            answers = {"asked": asked.tolist(), "right": np.array(right, dtype=int).tolist()}
            fresh.write_text(json.dumps(answers) + "\n", encoding="utf-8")
        return np.array(right, dtype=np.float64)

    def _embedded(self, encoder: Encoder, named: str) -> SupportSet:
        origin = Origin("", named, self.plan.clips.settings, self.views)
        return embedded_clips(encoder.to(self.source.device), self.source, self.rows, origin)
