"""From embedded queries to answers: classes are ranked, probabilities given, and a query's own copy left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from hcl.classify.answers.answer import Answer, ClassAnswer
from hcl.classify.answers.confidence import Confidence, fit_confidence
from hcl.classify.answers.matcher import ClassScores, Matcher, Matching, PairScores
from hcl.classify.embedding.embedder import VideoEmbedder
from hcl.classify.embedding.videos import BrokenVideo, EmbeddedVideo, Video
from hcl.classify.support.support_set import SupportSet
from hcl.extract.cache.video_table import Rows
from hcl.match.confidence.calibration import probabilities
from hcl.train.runs.run_folder import Run


class Answerer:
    """Answers queries by one support set.

    Args:
        support: of N classes
        matching: how pairs of videos are scored
        embedder: of the queries, of the same origin as the supports
        run: whose val classes calibrate; None: untrained
        reject: the share of videos of no class that may pass; None: none is rejected
    """

    def __init__(
        self,
        support: SupportSet,
        matching: Matching,
        embedder: VideoEmbedder,
        *,
        run: Run | None = None,
        reject: float | None = None,
    ) -> None:
        self.support, self.embedder = support, embedder
        self.matcher = Matcher(support, matching)
        self.confidence: Confidence = fit_confidence(self.matcher, run, reject)

    def answers(self, videos: Iterable[Video]) -> Iterator[Answer]:
        """Answer queries one after the other."""
        for result in self.embedder.embed(videos):
            yield self.answer(result)

    def answer(self, query: EmbeddedVideo | BrokenVideo) -> Answer:
        """Answer one query that is embedded."""
        if isinstance(query, BrokenVideo):
            return Answer(query.number, query.name, reason=query.reason)
        scores = self.matcher.score(query.batch)
        copies = [row for row, content in enumerate(self.support.videos.content) if content == query.content]
        kept = np.array([row for row in range(len(self.support)) if row not in copies], dtype=np.int64)
        if not len(kept):
            copies, kept = [], np.arange(len(self.support))  # nothing else is there to compare with
        return self._ranked(query, scores, kept, tuple(self.support.videos.path[row] for row in copies))

    def _ranked(self, query: EmbeddedVideo, scores: PairScores, kept: Rows, same_as: tuple[str, ...]) -> Answer:
        rows = {name: self._rows(kept, name) for name in sorted({self.support.videos.label[row] for row in kept})}
        pooled = {name: self.matcher.pooled(scores, of_class) for name, of_class in rows.items()}
        of_classes = np.array([of_class.total[0] for of_class in pooled.values()])
        shares = dict(zip(rows, probabilities(of_classes, self.confidence.temperature), strict=True))
        names = [list(rows)[place] for place in np.argsort(-of_classes, kind="stable")]
        ranked = tuple(self._class_answer(name, scores, rows[name], pooled[name], shares[name]) for name in names)
        accepted, confidence = self.confidence.accepts(of_classes), float(of_classes.max())
        return Answer(query.number, query.name, ranked, accepted, confidence, same_as)

    def _class_answer(
        self, label: str, scores: PairScores, rows: Rows, pooled: ClassScores, share: float
    ) -> ClassAnswer:
        levels = dict(zip(pooled.names, pooled.levels[0].tolist(), strict=True))
        best = sorted(rows.tolist(), key=lambda row: -scores.total[0, row])
        supports = tuple((self.support.videos.path[row], float(scores.total[0, row])) for row in best)
        paper = float(pooled.paper_sum(self.matcher.matching.trained)[0])
        return ClassAnswer(label, float(pooled.total[0]), float(share), levels, paper, supports)

    def _rows(self, kept: Rows, label: str) -> Rows:
        return np.array([row for row in kept if self.support.videos.label[row] == label], dtype=np.int64)
