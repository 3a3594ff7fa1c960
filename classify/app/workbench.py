"""What the page is about: classes, examples, questions with their answers, the self-test and segments.

Only the worker's thread computes and changes examples; the page reads `state`, which is replaced as a whole.
"""

from __future__ import annotations

import threading
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.classify.answers.answer import Answer
from hcl.classify.answers.answering import Answerer
from hcl.classify.answers.matcher import Matching
from hcl.classify.app.clips import GONE, FrameReader, Seen, Upload, clean_label
from hcl.classify.app.drawings import match_drawing, timeline
from hcl.classify.app.storage import Home, Opened
from hcl.classify.app.worker import Tell, Worker
from hcl.classify.config import ClassifyConfig
from hcl.classify.embedding.embedder import VideoEmbedder
from hcl.classify.embedding.videos import BrokenVideo, EmbeddedVideo
from hcl.classify.pages.charts.drawing import Drawing
from hcl.classify.selftest.check import Check, Clips, judge
from hcl.classify.spotting.config import SpotConfig
from hcl.classify.spotting.segments import Spotted
from hcl.classify.spotting.spotter import Spotter
from hcl.classify.spotting.windows import Window
from hcl.classify.support.class_keys import class_keys
from hcl.classify.support.embedding import LabelledVideo, keyed, support_of
from hcl.classify.support.support_set import SupportSet
from hcl.extract.system.errors import InputError

MOST_QUESTIONS, MOST_SEARCHED, MOST_CLASSES = 50, 10, 200  # that are kept; older questions are forgotten
MOST_TESTED = 150  # examples up to which the self-test runs by itself
MOST_PICTURES = 2000  # clips whose frames are kept in memory, 40 kB each
FRAMES_AT_A_TIME = 4  # examples whose frames are read before other work has its turn


@dataclass(frozen=True)
class Question:
    """A clip that was asked for."""

    number: int
    name: str
    embedded: EmbeddedVideo
    file: Path | None = None  # kept where examples are kept as clips
    answer: Answer | None = None  # None: there are no examples yet
    figure: Drawing | None = None
    label: str = ""  # the class that the person gave it


@dataclass(frozen=True)
class Searched:
    """A long video and what was found in it."""

    number: int
    spotted: Spotted
    figure: Drawing | None


@dataclass(frozen=True)
class State:
    """All that the page shows; `version` tells one from the next."""

    classes: tuple[str, ...] = ()
    support: SupportSet | None = None
    questions: tuple[Question, ...] = ()  # the latest first
    searched: tuple[Searched, ...] = ()
    check: Check | None = None
    is_checked: bool = False  # whether `check` is of these examples
    calibrated_on: str = ""
    note: str = ""  # what keeps "none of these" from being answered
    version: int = 0


class Workbench:
    """The state of the page and what can be done with it.

    Args:
        embedder: loaded once
        opened: what --support names
        config: text model, rejection and workers
        folder: where files wait, private
    """

    def __init__(self, embedder: VideoEmbedder, opened: Opened, config: ClassifyConfig) -> None:
        self.embedder, self.config = embedder, config
        self.home: Home = opened.home
        self.matching = Matching.of_run(embedder.run)
        self.seen: dict[str, Seen] = {}  # by content
        self.state = State()
        self.worker = Worker()
        self._frames = FrameReader(embedder.time_steps, is_brightened=embedder.config.brightens)
        self._lock = threading.Lock()
        self._numbers = 0
        self._keys: dict[str, torch.Tensor | None] = {}  # of classes
        self._answerer: Answerer | None = None
        if opened.support is not None:
            self._take(opened.support)
        if opened.videos:
            videos = opened.videos
            self.worker.submit(f"read {len(videos)} examples", lambda tell: self._read_examples(videos, tell))

    def close(self) -> None:
        """End the worker, and the processes that decode."""
        self.worker.close()
        self._frames.close()
        self.embedder.close()

    def add_class(self, name: str) -> None:
        """Make a class without examples.

        Raises:
            InputError: if it cannot be called so, or is there
        """
        label = clean_label(name)
        with self._lock:
            if label in self.state.classes:
                raise InputError(f"class {label} is there already; add clips to it")
            if len(self.state.classes) >= MOST_CLASSES:
                raise InputError(f"{MOST_CLASSES} classes are there; remove one first")
            self._replace(classes=(*self.state.classes, label))

    def learn(self, upload: Upload, label: str, tell: Tell) -> None:
        """Make a clip an example of a class."""
        embedded = self._embed(upload, tell)
        self._learn(embedded, label, upload.name, upload.path)

    def ask(self, upload: Upload, tell: Tell) -> None:
        """Answer a clip."""
        embedded = self._embed(upload, tell)
        kept = upload.path.rename(upload.path.with_name(f"{upload.path.name}.kept")) if self.home.keeps_clips else None
        self._numbers += 1
        question = self._answered(Question(self._numbers, upload.name, embedded, kept))
        with self._lock:
            questions = (question, *self.state.questions)
            self._replace(questions=questions[:MOST_QUESTIONS])
        for old in questions[MOST_QUESTIONS:]:
            _delete(old.file)

    def correct(self, number: int, label: str, tell: Tell) -> None:
        """Say of which class a question is: it becomes an example of that."""
        question = self.question(number)
        support, content = self.state.support, question.embedded.content
        if support is not None and content in support.videos.content:
            if support.videos.label[support.videos.content.index(content)] == label:
                raise InputError(f"{question.name}: an example of {label} already")
            self._take(self.home.remove(support, {content}))
        self._learn(question.embedded, label, question.name, question.file)
        with self._lock:
            changed = (replace(each, label=label) if each.number == number else each for each in self.state.questions)
            self._replace(questions=tuple(changed))

    def forget(self, contents: Container[str], tell: Tell) -> None:
        """Take examples out of the support set."""
        if self.state.support is not None:
            self._take(self.home.remove(self.state.support, contents))

    def drop_class(self, label: str, tell: Tell) -> None:
        """Remove a class with its examples."""
        support = self.state.support
        if support is not None and label in support.class_names:
            named = zip(support.videos.content, support.videos.label, strict=True)
            self._take(self.home.remove(support, {content for content, own in named if own == label}))
        with self._lock:
            self._replace(classes=tuple(name for name in self.state.classes if name != label))

    def drop_question(self, number: int) -> None:
        """Forget a question."""
        _delete(self.question(number).file)
        with self._lock:
            self._replace(questions=tuple(each for each in self.state.questions if each.number != number))

    def search(self, upload: Upload, tell: Tell) -> None:
        """Find the classes in a long video."""
        answerer = self._ready()
        if answerer is None:
            raise InputError(f"{upload.name}: there are no examples to search for; add clips to a class first")
        spotted = _Watched(answerer, tell).spot_one(upload.path)
        if spotted.reason:
            raise InputError(f"{upload.name}: {spotted.reason}")
        spotted = replace(spotted, video=upload.name)
        self._numbers += 1
        found = Searched(self._numbers, spotted, timeline(spotted, answerer.support.class_names))
        with self._lock:
            self._replace(searched=(found, *self.state.searched)[:MOST_SEARCHED])

    def test(self, tell: Tell) -> None:
        """Run the self-test."""
        support = self.state.support
        if support is None or len(support.class_names) < 2:
            self._change(check=None, is_checked=True)
            return
        known = {row: self.seen.get(content) for row, content in enumerate(support.videos.content)}
        looks = {row: seen.look for row, seen in known.items() if seen is not None and seen.look is not None}
        clips = Clips(support, looks=looks, frames=self.embedder.config.frames)
        found = judge(clips, self.matching, self.embedder)
        if self.state.support is support:
            self._change(check=found, is_checked=True)

    @property
    def answerer(self) -> Answerer | None:
        """What gave the answers last."""
        return self._answerer

    def question(self, number: int) -> Question:
        """A question by its number.

        Raises:
            InputError: if it is not there any more
        """
        for each in self.state.questions:
            if each.number == number:
                return each
        raise InputError("this question is not there any more; ask again")

    def _read_examples(self, videos: Sequence[LabelledVideo], tell: Tell) -> None:
        """Embed the videos of --support."""
        labels = sorted({each.label for each in videos})
        self._keys |= class_keys(self.embedder, labels, self.config.text_model) or dict.fromkeys(labels)
        done, broken = [], []
        for each, result in zip(videos, self.embedder.embed(each.video for each in videos), strict=True):
            tell(f"{result.number + 1} of {len(videos)}")
            if isinstance(result, BrokenVideo):
                broken.append(f"{each.name}: {result.reason}")
            else:
                done.append((each, replace(result, batch=keyed(result.batch, self._keys[each.label]))))
        if done:
            self._take(support_of(self.embedder, done, self.config.text_model))
        if broken:
            raise InputError(f"{len(broken)} of {len(videos)} examples cannot be read, such as {broken[0]}")

    def _embed(self, upload: Upload, tell: Tell) -> EmbeddedVideo:
        tell("is decoded and embedded")
        result = self.embedder.embed_one(upload.path)
        if isinstance(result, BrokenVideo):
            raise InputError(f"{upload.name}: cannot be read: {result.reason}")
        tell("its frames are drawn")
        if result.content not in self.seen:
            self._see(result.content, self._frames.read(upload.path, result.content))
        return replace(result, name=upload.name)

    def _learn(self, embedded: EmbeddedVideo, label: str, name: str, file: Path | None) -> None:
        """Keep an embedded clip as an example of a class."""
        support = self.state.support
        if support is not None and embedded.content in support.videos.content:
            there = support.videos.label[support.videos.content.index(embedded.content)]
            raise InputError(f"{name}: the same clip is an example of {there} already; remove it there first")
        if label not in self._keys:
            keys = class_keys(self.embedder, [label], self.config.text_model)
            self._keys[label] = None if keys is None else keys[label]
        labelled = LabelledVideo("", label, self._free_name(f"{label}/{name}"))
        done = replace(embedded, batch=keyed(embedded.batch, self._keys[label]))
        one = replace(support_of(self.embedder, [(labelled, done)], self.config.text_model), sources=("",))
        self._take(self.home.add(support, one, file))

    def _free_name(self, name: str) -> str:
        taken = () if self.state.support is None else self.state.support.videos.path
        number, stem, dot, suffix = 2, *name.rpartition(".")
        free = name
        while free in taken:
            free = f"{stem} ({number}){dot}{suffix}" if stem else f"{name} ({number})"
            number += 1
        return free

    def _take(self, support: SupportSet | None) -> None:
        """Go on with other examples; answers and self-test follow once nothing else waits."""
        with self._lock:
            names = () if support is None else support.class_names
            classes = (*self.state.classes, *(name for name in names if name not in self.state.classes))
            self._replace(support=support, classes=classes, is_checked=False)
        self.worker.submit_later("answers are brought up to date", self._answer_again)
        self.worker.submit_later("frames of the examples are read", self._see_examples)
        if support is None or len(support) <= MOST_TESTED:
            self.worker.submit_later("the self-test runs", self.test)

    def _answer_again(self, tell: Tell) -> None:
        for each in self.state.questions:
            tell(each.name)
            answered = self._answered(each)
            with self._lock:
                kept = (answered if one.number == each.number else one for one in self.state.questions)
                self._replace(questions=tuple(replace(one, label=self._label_of(one)) for one in kept))

    def _label_of(self, question: Question) -> str:
        """The class that a question is an example of."""
        support = self.state.support
        if support is None or question.embedded.content not in support.videos.content:
            return ""
        return support.videos.label[support.videos.content.index(question.embedded.content)]

    def _answered(self, question: Question) -> Question:
        answerer = self._ready()
        if answerer is None:
            return replace(question, answer=None, figure=None)
        answer = replace(answerer.answer(question.embedded), number=question.number, query=question.name)
        return replace(question, answer=answer, figure=match_drawing(answerer, question.embedded, answer, self.strip))

    def strip(self, content: str) -> Seen:
        """The frames of a clip, or why there are none."""
        return self.seen.get(content) or Seen(problem=GONE)

    def _ready(self) -> Answerer | None:
        """What answers by the examples of now."""
        support = self.state.support
        if support is None:
            return None
        if self._answerer is None or self._answerer.support is not support:
            note, run = "", self.embedder.run
            try:
                made = Answerer(support, self.matching, self.embedder, run=run, reject=self.config.reject)
            except InputError as error:  # too few examples to know what is of no class
                if self.config.reject is None:
                    raise
                note = str(error)
                made = Answerer(support, self.matching, self.embedder, run=run)
            self._answerer = made
            self._change(calibrated_on=made.confidence.calibrated_on, note=note)
        return self._answerer

    def _see_examples(self, tell: Tell) -> None:
        """Read frames of examples whose files are there, a few at a time."""
        support = self.state.support
        if support is None or len(self.seen) >= MOST_PICTURES:
            return
        named = zip(support.videos.content, support.sources, strict=True)
        missing = [(content, Path(source)) for content, source in named if source and content not in self.seen]
        for content, path in missing[:FRAMES_AT_A_TIME]:
            tell(path.name)
            self._see(content, self._frames.read(path, content) if path.exists() else Seen(problem=GONE))
        if missing:
            self._change()
            later = self._see_examples if missing[FRAMES_AT_A_TIME:] else self._answer_again
            what = "frames of the examples are read" if missing[FRAMES_AT_A_TIME:] else "answers are brought up to date"
            self.worker.submit_later(what, later)

    def _see(self, content: str, seen: Seen) -> None:
        self.seen[content] = seen
        while len(self.seen) > MOST_PICTURES:
            del self.seen[next(iter(self.seen))]

    def _change(self, **changed: object) -> None:
        with self._lock:
            self._replace(**changed)

    def _replace(self, **changed: object) -> None:
        """Replace the state; hold the lock."""
        self.state = replace(self.state, version=self.state.version + 1, **changed)  # type: ignore[arg-type]


class _Watched(Spotter):
    """A search that tells how far it is."""

    def __init__(self, answerer: Answerer, tell: Tell) -> None:
        super().__init__(answerer, SpotConfig())
        self._tell = tell

    def class_scores(self, windows: Sequence[Window]) -> NDArray[np.float64]:
        """Score windows; the last one tells the time."""
        self._tell(f"searched up to {windows[-1].end:.0f} s")
        return super().class_scores(windows)


def _delete(file: Path | None) -> None:
    if file is not None:
        file.unlink(missing_ok=True)
