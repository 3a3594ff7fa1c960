"""The classifier with the conventions of scikit-learn: fit on a few labelled videos, predict others."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hcl.classify.answers.answer import Answer
from hcl.classify.answers.answering import Answerer
from hcl.classify.answers.matcher import Matching
from hcl.classify.config import ClassifyConfig
from hcl.classify.embedding.embedder import VideoEmbedder
from hcl.classify.embedding.videos import Video
from hcl.classify.support.embedding import Embedded, embed_supports, labelled
from hcl.classify.support.store import read_support, write_support
from hcl.classify.support.support_set import SupportSet
from hcl.extract.config import ExtractConfig
from hcl.extract.system.errors import InputError


class FewShotClassifier:
    """Classify videos by a few examples of each class.

        classifier = hcl.FewShotClassifier(run="runs/latest")  # or none: untrained
        classifier.fit(["a/1.mp4", "a/2.mp4", "b/1.mp4"], ["a", "a", "b"])
        print(classifier.predict(["new.mp4"]), classifier.predict_proba(["new.mp4"]))

    A video is a path of a file or of a folder of frames, or an array of frames (T, H, W, 3) of uint8 RGB. The
    conventions are those of scikit-learn: `classes_` is sorted, the columns of `predict_proba` follow it.

    Args:
        run: folder of a run whose encoder embeds and whose level weights count; None: untrained
        text_model: of the run's semantic attention; "auto": the run's own, "none": go without, else a folder or name
        reject: answer "none" where a video is of no class, at most this share of such videos passing; None: never
        test_views: of each video, whose embeddings are averaged; 0: all; None: as the run has it
        device: "auto", "cpu" or "cuda"
        workers: decoding processes; 0: one per core
        extraction: untrained, how videos are read and mapped; None: the defaults of hcl extract

    Attributes:
        classes_: (N,) the classes, sorted
        support_: the SupportSet: embeddings, labels and names of the videos
    """

    _estimator_type = "classifier"
    classes_: NDArray[Any]
    support_: SupportSet
    _embedder: VideoEmbedder | None
    _answerer: Answerer | None

    def __init__(
        self,
        run: str | Path | None = None,
        *,
        text_model: str = ClassifyConfig.text_model,
        reject: float | None = ClassifyConfig.reject,
        test_views: int | None = ClassifyConfig.test_views,
        device: str = ClassifyConfig.device,
        workers: int = ClassifyConfig.workers,
        extraction: ExtractConfig | None = None,
    ) -> None:
        self.run, self.text_model, self.reject, self.test_views = run, text_model, reject, test_views
        self.device, self.workers, self.extraction = device, workers, extraction
        self._forget()

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters of the constructor by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Change parameters; the backbone and encoder are loaded anew where they depend on one of them.

        Raises:
            InputError: if there is no such parameter
        """
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise InputError(f"FewShotClassifier has no parameter {name!r}; its parameters are {', '.join(known)}")
            setattr(self, name, value)
        self._answerer = None
        if set(params) - {"reject", "text_model"}:
            self._forget()
        return self

    def fit(self, videos: Sequence[Video], labels: Sequence[Any]) -> Self:
        """Embed labelled videos, which are the supports from now on.

        Raises:
            InputError: if a video cannot be read, or the labels do not belong to the videos
        """
        self._take(_whole(embed_supports(self.embedder, labelled(videos, labels), self.text_model)), labels)
        return self

    def add(self, label: Any, videos: Sequence[Video]) -> Self:
        """Embed further videos of a class, new or known; videos that are there already stay as they are.

        Raises:
            InputError: as `fit`
        """
        more = _whole(embed_supports(self.embedder, labelled(videos, [label] * len(videos)), self.text_model))
        known = [*self.classes_] if hasattr(self, "support_") else []
        self._take(self.support_.joined(more) if known else more, [*known, label])
        return self

    def remove(self, name: Any) -> Self:
        """Remove a class, or one video by its path.

        Raises:
            InputError: if nothing is called so, or nothing would be left
        """
        self._take(self._fitted().without(str(name)), list(self.classes_))
        return self

    def predict(self, videos: Sequence[Video]) -> NDArray[Any]:
        """The class of each video: (Q,), "none" where it was rejected.

        Raises:
            InputError: if a video cannot be read; `answers` goes on behind it
        """
        self._fitted()
        known = {str(label): label for label in self.classes_}
        said = [known.get(answer.label, answer.label) for answer in self._readable(videos)]
        return np.array(said, dtype=None if all(label in known.values() for label in said) else object)

    def predict_proba(self, videos: Sequence[Video]) -> NDArray[np.float64]:
        """The probability of each class: (Q, N), columns as `classes_`; see `calibrated_on`."""
        return self._columns(videos, "probability")

    def decision_function(self, videos: Sequence[Video]) -> NDArray[np.float64]:
        """The weighted sum of all levels for each class: (Q, N), columns as `classes_`."""
        return self._columns(videos, "score")

    def score(self, videos: Sequence[Video], labels: Sequence[Any]) -> float:
        """The share of videos whose class is predicted."""
        if len(videos) != len(labels):
            raise InputError(f"{len(videos)} videos and {len(labels)} labels; give a label for each video")
        predicted = self.predict(videos)
        return float(np.mean([str(one) == str(other) for one, other in zip(predicted, labels, strict=True)]))

    def answers(self, videos: Iterable[Video]) -> Iterator[Answer]:
        """All that can be said of each video, one after the other; a broken one is an answer with its reason.

        A support of the same content as a query is left out of its scores, and named in `same_as`.
        """
        return self.answerer.answers(videos)

    def save(self, folder: str | Path) -> None:
        """Write the support set into a folder, which `load` and `hcl classify --support` read.

        Raises:
            InputError: if it cannot be written
        """
        write_support(folder, self._fitted())

    @classmethod
    def load(cls, folder: str | Path, **params: Any) -> Self:
        """Read a support set that `save` or `hcl index` wrote.

        Args:
            folder: of the support set
            params: of the constructor; without a run it is the one that the support set names

        Raises:
            InputError: if it cannot be read, or its run is not there
        """
        support = read_support(folder)
        loaded = cls(**{"run": support.origin.run or None, **params})
        loaded._take(support, list(support.class_names))
        return loaded

    def close(self) -> None:
        """End the decoding processes that wait for the next video; the next one starts others."""
        if self._embedder is not None:
            self._embedder.close()

    @property
    def embedder(self) -> VideoEmbedder:
        """What embeds videos, loaded when it is first used."""
        if self._embedder is None:
            given = replace(self.extraction or ExtractConfig(), workers=self.workers)
            settings, views = None, self.test_views
            if hasattr(self, "support_") and not self.support_.is_trained and self.run is None:
                settings, views = self.support_.origin.settings, self.support_.origin.views
            self._embedder = VideoEmbedder.load(
                self.run, settings=settings, extraction=given, test_views=views, device=self.device
            )
        return self._embedder

    @property
    def answerer(self) -> Answerer:
        """What answers by the supports, prepared when it is first used."""
        if self._answerer is None:
            support = self._fitted()
            support.origin.refuse_other(self.embedder.origin, "support set")
            run = self.embedder.run
            self._answerer = Answerer(support, Matching.of_run(run), self.embedder, run=run, reject=self.reject)
        return self._answerer

    @property
    def calibrated_on(self) -> str:
        """What the probabilities were fitted on, such as "4 val classes", or that they are uncalibrated."""
        return self.answerer.confidence.calibrated_on

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_embedder": None, "_answerer": None}

    def __repr__(self) -> str:
        return f"FewShotClassifier(run={self.run!r})"

    def __sklearn_tags__(self) -> Any:
        from sklearn.base import BaseEstimator, ClassifierMixin

        return type("_Tagged", (ClassifierMixin, BaseEstimator), {})().__sklearn_tags__()

    def _columns(self, videos: Sequence[Video], what: str) -> NDArray[np.float64]:
        self._fitted()
        rows = []
        for answer in self._readable(videos):
            of_classes = {each.label: getattr(each, what) for each in answer.ranked}
            rows.append([of_classes.get(str(label), np.nan) for label in self.classes_])
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.classes_))

    def _readable(self, videos: Sequence[Video]) -> Iterator[Answer]:
        for answer in self.answers(videos):
            if answer.is_broken:
                raise InputError(f"{answer.query}: {answer.reason}; leave it out, or use answers()")
            yield answer

    def _take(self, support: SupportSet, labels: Sequence[Any]) -> None:
        of = {str(label): label for label in labels}
        self.support_, self._answerer = support, None
        self.classes_ = np.unique(np.array([of.get(name, name) for name in support.class_names]))

    def _fitted(self) -> SupportSet:
        if not hasattr(self, "support_"):
            raise InputError("FewShotClassifier: no supports yet; call fit(videos, labels), or load(folder)")
        return self.support_

    def _forget(self) -> None:
        self._embedder, self._answerer = None, None


def _whole(embedded: Embedded) -> SupportSet:
    if embedded.broken:
        first = embedded.broken[0]
        raise InputError(f"{first.name}: {first.reason}; leave this support out")
    return embedded.support
