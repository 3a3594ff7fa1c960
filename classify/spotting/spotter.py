"""Long videos to segments: one pass over the frames, maps shared by all windows, and one answer a window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hcl.classify.answers.answering import Answerer
from hcl.classify.answers.confidence import Confidence, fit_confidence
from hcl.classify.spotting.config import REJECT, SpotConfig
from hcl.classify.spotting.mapping import map_samples
from hcl.classify.spotting.segments import ScoredWindows, Spotted, exceeds_margin, find_segments
from hcl.classify.spotting.windows import MappedSample, Window, sliding_windows, window_lengths
from hcl.extract.catalog.videos import readable
from hcl.extract.decoding.sampling import Grid, Sample, StreamEnd
from hcl.extract.decoding.stream import StreamStart, StreamTask, stream_samples, video_seconds
from hcl.extract.system.errors import InputError, VideoError
from hcl.extract.system.progress import logger, progress_bar
from hcl.match.confidence.calibration import probabilities

WINDOWS_AT_A_TIME = 8  # embedded and scored together; 3 MB of maps each at the defaults


class Spotter:
    """Finds the classes of a support set in long videos.

    Of each window the canonical view is embedded, as of a clip whose frames are the middles of T equal segments.

    Args:
        answerer: with its supports, embedder and confidence
        config: which windows, and which segments are given

    Raises:
        InputError: if the supports are of one class, so that nothing tells where it is not, or the backbone maps whole
            clips alone
    """

    def __init__(self, answerer: Answerer, config: SpotConfig) -> None:
        backbone = answerer.embedder.backbone
        if backbone.clip_frames:
            raise InputError(
                f"--backbone {backbone.identity.name}: maps whole clips, and a long video is read frame by frame;"
                " search with a backbone of images"
            )
        self.answerer, self.config = answerer, config
        self.lengths = config.windows or window_lengths(_durations(answerer.support.sources))
        frames = answerer.embedder.config.frames
        self.grids = tuple(Grid(length, frames) for length in self.lengths)
        self.confidence = self._confidence()

    def spot(self, videos: Iterable[str | Path]) -> Iterator[Spotted]:
        """Search videos one after the other; one that cannot be read is a result with its reason."""
        for video in videos:
            yield self.spot_one(video)

    def spot_one(self, video: str | Path) -> Spotted:
        """Search one video, or say why it cannot be searched."""
        name = readable(str(video))
        try:
            windows, end = self.score_windows(Path(video))
        except VideoError as error:
            return Spotted(name, reason=readable(str(error)))
        if not len(windows.scores):
            shortest = min(self.lengths)
            reason = f"{end.seconds:.2f} s long, shorter than every window; give --window below {shortest:g} s"
            return Spotted(name, seconds=end.seconds, reason=reason)
        segments = find_segments(
            windows,
            self.accepted(windows),
            self.answerer.support.class_names,
            overlap=self.config.overlap,
            class_overlap=self.config.class_overlap,
        )
        return Spotted(name, segments, end.seconds, end.frame_count / end.seconds)

    def score_windows(self, video: Path) -> tuple[ScoredWindows, StreamEnd]:
        """Score all windows of a video against the classes.

        Raises:
            VideoError: if it cannot be read
        """
        end: list[StreamEnd] = []
        intervals: list[tuple[float, float]] = []
        scores = [np.empty((0, len(self.answerer.support.class_names)))]
        for some in self.windows(video, end):
            intervals += [(window.start, window.end) for window in some]
            scores.append(self.class_scores(some))
        return self.scored(intervals, np.concatenate(scores), end[0]), end[0]

    def windows(self, video: Path, end: list[StreamEnd]) -> Iterator[list[Window]]:
        """The windows of a video, a few at a time, whose frames are decoded and mapped once.

        Args:
            video: a file
            end: takes what follows the last window

        Raises:
            VideoError: if it cannot be read
        """
        windows = sliding_windows(self._mapped(video, end), self.grids, stride=self.config.stride)
        while some := list(islice(windows, WINDOWS_AT_A_TIME)):
            yield some

    def class_scores(self, windows: Sequence[Window]) -> NDArray[np.float64]:
        """Score W windows against the N classes: (W, N)."""
        batch = self.answerer.embedder.embed_clips(np.stack([window.maps for window in windows]))
        return self.answerer.matcher.class_scores(self.answerer.matcher.score(batch))

    def scored(
        self, intervals: Sequence[tuple[float, float]], scores: NDArray[np.float64], end: StreamEnd
    ) -> ScoredWindows:
        """Put the scores (W, N) of windows together with their probabilities; none ends after the video."""
        limits = np.minimum(np.array(intervals, dtype=np.float64).reshape(-1, 2), end.seconds)
        return ScoredWindows(limits, scores, probabilities(scores, self.confidence.temperature))

    def accepted(self, windows: ScoredWindows) -> NDArray[np.bool_]:
        """Whether each window (W,) is of one of the classes."""
        if self.confidence.threshold is None:
            return exceeds_margin(windows.shares, self.config.margin)
        return np.array([self.confidence.accepts(row) for row in windows.scores], dtype=bool)

    def about(self) -> list[str]:
        """What a person should know of the segments."""
        confidence = self.confidence
        if confidence.threshold is None:
            none = f"by a margin of {self.config.margin:g}: what is of no class cannot be learned from these supports"
        else:
            none = f"scores up to {confidence.threshold:.3g}, by {confidence.rejection_on}"
        lengths = ", ".join(f"{length:g}" for length in self.lengths)
        return [
            f"windows of {lengths} s, a step of {self.config.stride:g} of each",
            f"probabilities calibrated on {confidence.calibrated_on}",
            f"none of these: {none}",
        ]

    def _mapped(self, video: Path, end: list[StreamEnd]) -> Iterator[MappedSample]:
        embedder, config = self.answerer.embedder, self.answerer.embedder.config
        motion = config.motion != "none"
        task = StreamTask(grids=self.grids, size=config.size, motion=motion, is_brightened=config.brightens)
        return map_samples(self._samples(video, task, end), embedder.backbone, config.batch_size)

    def _samples(self, video: Path, task: StreamTask, end: list[StreamEnd]) -> Iterator[Sample]:
        """The samples of a video; what follows them is kept for the caller, and a bar tells how far it is."""
        messages = stream_samples(video, task)
        start = next(messages)
        total = round(start.seconds) if isinstance(start, StreamStart) else 0
        with progress_bar(total, "s", readable(video.name)) as bar:
            for message in messages:
                if isinstance(message, StreamEnd):
                    end.append(message)
                elif isinstance(message, Sample):
                    bar.update(max(0, int(self.grids[message.grid].instant(message.number)) - bar.n))
                    yield message

    def _confidence(self) -> Confidence:
        """With a threshold where one can be known; one that was asked for is there already.

        Raises:
            InputError: if nothing can tell what is of no class
        """
        if self.config.reject is not None:
            return self.answerer.confidence
        try:
            return fit_confidence(self.answerer.matcher, self.answerer.embedder.run, REJECT)
        except InputError as error:
            if len(self.answerer.support.class_names) < 2:
                raise InputError(
                    "support set: of one class, and nothing tells where it is not; add a second class, such as clips"
                    " of what else happens"
                ) from error
            logger.info(f"none is told by --margin {self.config.margin:g}: {error}")
            return self.answerer.confidence


def _durations(sources: Iterable[str]) -> list[float]:
    """The seconds of the supports whose files are there."""
    return video_seconds([Path(source) for source in sources if source and Path(source).is_file()])
