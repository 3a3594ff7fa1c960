r"""Measure spotting: long videos are joined from clips with known cuts, and searched for the classes of a few supports.

    python benchmarks/spotting.py videos/manifest.csv splits.csv work/ --run runs/latest

Each long video shows clips of the novel classes in a drawn order, with clips of the other classes between them, which
are "none". Supports are other clips of the novel classes. All are brought to one size and 30 frames a second. The run
is compared with no training. Reported is the mean average precision at a temporal IoU of 0.3, 0.5 and
0.7, of the segments that the command gives and of those without rejection; how many of the true segments are found at
0.5; and the time.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image

from hcl.classify.answers.classify import open_session
from hcl.classify.config import ClassifyConfig
from hcl.classify.spotting.config import SpotConfig
from hcl.classify.spotting.precision import LabelledInterval, match_detections, mean_average_precision
from hcl.classify.spotting.segments import ScoredWindows, find_segments
from hcl.classify.spotting.spotter import Spotter
from hcl.extract.video.orientation import apply_display_matrix

RATE = 30
SIZE = (256, 456)  # width and height
SHOTS = 5
IOUS = (0.3, 0.5, 0.7)


@dataclass(frozen=True)
class Clip:
    path: Path
    label: str
    is_novel: bool


def read_clips(manifest: Path, splits: Path) -> list[Clip]:
    with splits.open(newline="") as file:
        novel = {row["label"] for row in csv.DictReader(file) if row["split"] == "novel"}
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [Clip(manifest.parent / row["path"], row["label"], row["label"] in novel) for row in rows]


def draw_supports(clips: Sequence[Clip], rng: np.random.Generator) -> list[Clip]:
    """SHOTS clips of each novel class."""
    chosen = []
    for label in sorted({clip.label for clip in clips if clip.is_novel}):
        own = [clip for clip in clips if clip.label == label]
        chosen += [own[place] for place in sorted(rng.choice(len(own), SHOTS, replace=False))]
    return chosen


def draw_videos(
    clips: Sequence[Clip], supports: Sequence[Clip], rng: np.random.Generator, *, videos: int, of_each: int
) -> list[list[Clip]]:
    """As many clips of novel and of other classes in each long video; none stands twice."""
    novel = [clip for clip in clips if clip.is_novel and clip not in supports]
    others = [clip for clip in clips if not clip.is_novel]
    novel, others = ([some[place] for place in rng.permutation(len(some))] for some in (novel, others))
    drawn = []
    for number in range(videos):
        part = slice(number * of_each, (number + 1) * of_each)
        both = [*novel[part], *others[part]]
        drawn.append([both[place] for place in rng.permutation(len(both))])
    return drawn


def frames_at_rate(path: Path) -> Iterator[np.ndarray]:
    """The frames of a clip at RATE a second, in SIZE."""
    with av.open(str(path)) as container:
        frames = [(frame.time or 0.0, apply_display_matrix(frame)) for frame in container.decode(video=0)]
    times = np.array([seconds for seconds, _ in frames]) - frames[0][0]
    gap = times[-1] / max(1, len(times) - 1) if len(times) > 1 else 1 / RATE
    for instant in np.arange(0, times[-1] + gap, 1 / RATE):
        image = frames[int(np.searchsorted(times, instant + 1e-3, side="right")) - 1][1]
        yield np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(SIZE, Image.Resampling.BILINEAR))


def join(clips: Sequence[Clip], out: Path) -> list[LabelledInterval]:
    """Write a long video; the intervals of the novel classes in it."""
    true, count = [], 0
    with av.open(str(out), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for clip in clips:
            start = count
            for image in frames_at_rate(clip.path):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
                count += 1
            if clip.is_novel:
                true.append(LabelledInterval(str(out), clip.label, start / RATE, count / RATE))
        container.mux(stream.encode())
    return true


def detections(
    spotter: Spotter, searched: dict[Path, ScoredWindows], *, reject: bool, overlap: float, class_overlap: float
) -> list[LabelledInterval]:
    found = []
    for path, windows in searched.items():
        accepted = spotter.accepted(windows) if reject else np.ones(len(windows.scores), dtype=bool)
        names = spotter.answerer.support.class_names
        for each in find_segments(windows, accepted, names, overlap=overlap, class_overlap=class_overlap):
            found.append(LabelledInterval(str(path), each.label, each.start, each.end, each.score))
    return found


def recall(found: Sequence[LabelledInterval], true: Sequence[LabelledInterval], iou: float) -> float:
    hits = 0
    for label in {each.label for each in true}:
        own = sorted((each for each in found if each.label == label), key=lambda each: -each.score)
        hits += sum(match_detections(own, [each for each in true if each.label == label], iou=iou))
    return hits / len(true)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("splits", type=Path)
    parser.add_argument("work", type=Path, help="folder for the long videos and the scores of their windows")
    parser.add_argument("--run", type=Path, required=True, help="a run that was trained on the other classes")
    parser.add_argument("--videos", type=int, default=6)
    parser.add_argument("--of-each", type=int, default=6, help="clips of novel, and of other classes, a video")
    parser.add_argument("--reuse", action="store_true", help="take the scores that an earlier call left in the folder")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    work = given.work
    work.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(given.seed)
    clips = read_clips(given.manifest, given.splits)
    supports = draw_supports(clips, rng)
    with (work / "supports.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *((clip.path.resolve(), clip.label) for clip in supports)])
    true, videos = [], []
    for number, drawn in enumerate(draw_videos(clips, supports, rng, videos=given.videos, of_each=given.of_each)):
        videos.append(work / f"long{number}.mp4")
        true += join(drawn, videos[-1])
    seconds = sum(each.end - each.start for each in true)
    print(f"{len(videos)} videos, {len(true)} true segments of {seconds / len(true):.1f} s on average", flush=True)

    for name, run in (("trained", given.run), ("untrained", None)):
        session = open_session(work / "supports.csv", run, ClassifyConfig())
        with session.answerer.embedder:
            spotter = Spotter(session.answerer, SpotConfig())
            print(f"\n{name}", *spotter.about(), sep="\n", flush=True)
            searched = {path: search(spotter, path, work / f"{path.stem}-{name}.npz", given.reuse) for path in videos}
        report(spotter, searched, true)


def search(spotter: Spotter, video: Path, kept: Path, reuse: bool) -> ScoredWindows:
    """Score the windows of a video, or read the scores that an earlier call has left."""
    if reuse and kept.is_file():
        with np.load(kept) as arrays:
            return ScoredWindows(arrays["intervals"], arrays["scores"], arrays["shares"])
    start = time.perf_counter()
    windows, end = spotter.score_windows(video)
    took = time.perf_counter() - start
    print(f"{video.name}: {end.seconds:.0f} s, {len(windows.scores)} windows, in {took:.0f} s", flush=True)
    np.savez(kept, intervals=windows.intervals, scores=windows.scores, shares=windows.shares)
    return windows


def report(spotter: Spotter, searched: dict[Path, ScoredWindows], true: Sequence[LabelledInterval]) -> None:
    limits = {"overlap": spotter.config.overlap, "class_overlap": spotter.config.class_overlap}
    for name, reject in (("segments that are given", True), ("without rejection", False)):
        found = detections(spotter, searched, reject=reject, **limits)
        precision = ", ".join(f"{100 * mean_average_precision(found, true, iou=iou):.1f} at {iou}" for iou in IOUS)
        print(f"{name}: {len(found)}; mAP % {precision}; found at 0.5: {100 * recall(found, true, 0.5):.0f} %")


if __name__ == "__main__":
    main()
