"""Run the self-test: embed the clips, leave each out, look at the frames, and put together what is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hcl.classify.answers.classify import load_embedder
from hcl.classify.answers.matcher import Matcher, Matching
from hcl.classify.config import ClassifyConfig
from hcl.classify.embedding.embedder import VideoEmbedder
from hcl.classify.selftest.findings import (
    SAME_COURSE,
    SAME_MAPS,
    Alike,
    ClassFound,
    Confusion,
    Mislabelled,
    alike,
    class_table,
    confusions,
    film_more,
    mislabelled,
)
from hcl.classify.selftest.leaving_out import Floats, LeftOut, allowed_supports, growth, leave_out
from hcl.classify.selftest.looks import STILL, Look, look_at_files, readable_files
from hcl.classify.support.embedding import embed_supports, labelled_videos
from hcl.classify.support.store import is_support_set, read_support
from hcl.classify.support.support_set import SupportSet
from hcl.extract.system.errors import InputError
from hcl.extract.system.places.location import place_of
from hcl.match.evaluation.statistics import BOOTSTRAP_SEED, QueryCounts, bootstrap_intervals
from hcl.match.reports.report import counted
from hcl.train.runs.planning import BASE_CONTENTS, CONTENT_LENGTH

SCHEMA, VERSION = "hcl-check", 1


@dataclass(frozen=True)
class Problem:
    """A clip that says nothing, or could not be read."""

    path: str
    reason: str


@dataclass(frozen=True)
class Clips:
    """What is tested: the clips that could be read, and what is known of the others."""

    support: SupportSet
    broken: tuple[Problem, ...] = ()
    copies: tuple[str, ...] = ()  # clips that are byte-identical to an earlier one
    looks: Mapping[int, Look] = field(default_factory=dict)  # by the place of the clip, of those whose files are there
    frames: int = 1  # that are taken of each clip

    def silent(self) -> Iterator[Problem]:
        """The clips that say nothing."""
        for place, look in self.looks.items():
            for reason in look.problems(self.frames):
                yield Problem(self.support.videos.path[place], reason)

    def alike(self) -> list[Alike]:
        """Pairs that are nearly the same: by their frames, by their mean maps where there are no frames to look at."""
        videos, width = self.support.videos, max((len(look.course) for look in self.looks.values()), default=1)
        courses = np.zeros((len(videos), width), np.float32)
        maps = self.support.batch.mean_map.copy()
        for place, look in self.looks.items():
            courses[place, : len(look.course)] = look.course if look.movement >= STILL else 0
            maps[place] = 0
        return [
            *alike(courses, SAME_COURSE, videos.path, videos.label),
            *alike(maps, SAME_MAPS, videos.path, videos.label),
        ]


@dataclass(frozen=True)
class Check:
    """All that the self-test says."""

    classes: tuple[ClassFound, ...]
    run: str  # "" untrained
    asked: int
    right: int
    interval: tuple[float, float]  # 95 % of the accuracy, over classes, groups and clips; percent
    by_group: bool
    confusion: tuple[Confusion, ...]
    counts: tuple[tuple[int, ...], ...]  # (N, N) true class by named class
    mislabelled: tuple[Mislabelled, ...]
    alike: tuple[Alike, ...]
    silent: tuple[Problem, ...]
    broken: tuple[Problem, ...]
    copies: tuple[str, ...]
    curve: tuple[float, ...]  # percent recognised by 1, 2, ... clips of each class
    advice: str
    notes: tuple[str, ...]  # what the numbers do not say

    @property
    def accuracy(self) -> float:
        """Percent of the clips that could be asked for; NaN without any."""
        return 100 * self.right / self.asked if self.asked else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Plain types, as JSON holds them; a number that is not there is null."""
        said = asdict(self)
        for each, found in zip(said["classes"], self.classes, strict=True):
            each["recall"] = found.recall if found.asked else None
        accuracy = {
            "asked": said.pop("asked"),
            "right": said.pop("right"),
            "accuracy": self.accuracy if self.asked else None,
            "bootstrap95": list(said.pop("interval")) if self.asked else None,
            "groups_apart": said.pop("by_group"),
        }
        return {"schema": SCHEMA, "version": VERSION, "run": said.pop("run") or None, "leave_one_out": accuracy, **said}


def check(support: str | Path, run: str | Path | None = None, config: ClassifyConfig | None = None) -> Check:
    """Test a few labelled clips by leaving each out.

    Args:
        support: folder of class folders, CSV manifest, or a support set
        run: whose encoder embeds; None: that of the support set, else untrained
        config: text model, device and workers count

    Raises:
        InputError: if clips, run or support set cannot be used
    """
    config, support = config or ClassifyConfig(), place_of(support)
    stored = read_support(support) if is_support_set(support) else None
    given = [] if stored else labelled_videos(support)
    _refuse_one_class(stored.class_names if stored else sorted({each.label for each in given}))
    with load_embedder(None if run is None else place_of(run), config, stored) as embedder:
        if stored is not None:
            return judge(_looked_at(Clips(stored), embedder, config), Matching.of_run(embedder.run), embedder)
        embedded = embed_supports(embedder, given, config.text_model)
        broken = tuple(Problem(each.name, each.reason) for each in embedded.broken)
        known = {*embedded.support.videos.path, *(each.path for each in broken)}
        copies = tuple(each.name for each in given if each.name not in known)
        clips = Clips(embedded.support, broken, copies)
        return judge(_looked_at(clips, embedder, config), Matching.of_run(embedder.run), embedder)


def judge(clips: Clips, matching: Matching, embedder: VideoEmbedder) -> Check:
    """Leave each clip out and put together what is found."""
    support, videos = clips.support, clips.support.videos
    matcher = Matcher(support, matching)
    pool = partial(matcher.growing, matcher.of_supports)
    allowed = allowed_supports(support.classes, videos.group)
    left_out = leave_out(pool, support.classes, allowed)
    names = support.class_names
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (left_out.classes, left_out.named), 1)
    found = class_table(left_out, names, support.classes, videos.group)
    curve = 100 * growth(pool, support.classes, allowed).mean(axis=1) if len(left_out.rows) else []
    return Check(
        classes=tuple(found),
        run="" if embedder.run is None else str(embedder.run.folder),
        asked=len(left_out.rows),
        right=int(left_out.right.sum()),
        interval=_interval(left_out, support),
        by_group=any(videos.group),
        confusion=tuple(confusions(left_out, names)),
        counts=tuple(map(tuple, counts.tolist())),
        mislabelled=tuple(mislabelled(left_out, videos.path, names)),
        alike=tuple(clips.alike()),
        silent=tuple(clips.silent()),
        broken=clips.broken,
        copies=clips.copies,
        curve=tuple(map(float, curve)),
        advice=film_more(found, np.array(curve, dtype=np.float64)),
        notes=tuple([*_learned(clips, embedder), *_notes(clips, found, left_out)]),
    )


def _interval(left_out: LeftOut, support: SupportSet) -> tuple[float, float]:
    if not len(left_out.rows):
        return float("nan"), float("nan")
    videos = support.videos.take(left_out.rows)
    right: Floats = left_out.right[None].astype(np.float64)
    counted = QueryCounts(right, np.ones(len(left_out.rows)), videos.label, videos.group)
    ((low, high),) = bootstrap_intervals(counted, BOOTSTRAP_SEED).tolist()
    return low, high


def _looked_at(clips: Clips, embedder: VideoEmbedder, config: ClassifyConfig) -> Clips:
    """Look at the frames of the clips whose files are there."""
    files = readable_files(clips.support.sources)
    looks = look_at_files(list(files.values()), embedder.task, workers=config.workers)
    seen = {place: look for place, look in zip(files, looks, strict=True) if look is not None}
    return replace(clips, looks=seen, frames=embedder.task.frames)


def _learned(clips: Clips, embedder: VideoEmbedder) -> Iterator[str]:
    """Warn of clips that the run was trained on."""
    cache = {} if embedder.run is None else embedder.run.config.cache
    known = {*str(cache.get(BASE_CONTENTS, "")).split()}
    learned = sum(content[:CONTENT_LENGTH] in known for content in clips.support.videos.content)
    if learned:
        yield (
            f"{counted(learned, 'clip')} were learned from by the run, so new clips are harder than these figures say;"
            " hcl adapt measures it on clips that are left out of the training, too"
        )


def _notes(clips: Clips, found: Sequence[ClassFound], left_out: LeftOut) -> list[str]:
    """What the numbers do not say."""
    videos, notes = clips.support.videos, []
    if single := [each.name for each in found if each.clips == 1]:
        notes.append(f"one clip each, which cannot be left out: {', '.join(single)}")
    if not any(videos.group):
        notes.append(
            "no groups are known: if one person filmed several clips, a stranger's clip is harder than these figures"
            " say; name the people in a CSV file (path,label,group)"
        )
    elif alone := [each.name for each in found if each.groups == 1 and each.clips > 1]:
        notes.append(f"by one group alone, so its own clips answered: {', '.join(alone)}")
    if len(left_out.rows) and min(Counter(left_out.classes.tolist()).values()) < 5:
        notes.append("fewer than 5 clips of a class: its figures are rough")
    if unseen := len(videos) - len(clips.looks):
        notes.append(f"{counted(unseen, 'clip')} not where they were, so their frames were not looked at")
    return notes


def _refuse_one_class(names: Sequence[str]) -> None:
    if len(names) < 2:
        raise InputError(
            f"{len(names)} class ({', '.join(names)}): a test needs 2 or more to tell apart; add clips of another class"
        )
