"""Segments of small long videos, from end to end; and what cannot be searched is said in one line."""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner, Result

from hcl.classify.answers.answering import Answerer
from hcl.classify.answers.matcher import Matching
from hcl.classify.embedding.embedder import VideoEmbedder
from hcl.classify.embedding.videos import EmbeddedVideo
from hcl.classify.spotting.config import SpotConfig
from hcl.classify.spotting.segments import ScoredWindows, exceeds_margin, find_segments
from hcl.classify.spotting.spotter import Spotter
from hcl.classify.support.embedding import embed_supports, labelled_videos
from hcl.cli import main
from hcl.extract.config import ExtractConfig
from hcl.extract.system.errors import InputError

STEPS = {"left": -4, "right": 4, "still": 0}  # pixels a frame that the picture of each class moves


def hcl(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


def write_moves(path: Path, moves: list[tuple[int, int]], *, seed: int = 0, light: float = 1.0) -> Path:
    """A video of 25 frames a second of one picture that moves: so many frames, so many pixels each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    picture = (light * picture).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for count, step in moves:
            for _ in range(count):
                picture = np.roll(picture, step, axis=1)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def supports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of three clips of a second; two of one class have the same picture, so that it tells nothing."""
    root = tmp_path_factory.mktemp("supports")
    for label, step in STEPS.items():
        for copy in range(3):
            write_moves(root / label / f"{copy}.mp4", [(25, step)], seed=copy)
    return root


@pytest.fixture(scope="module")
def spotter(supports: Path, small_config: ExtractConfig) -> Spotter:
    embedder = VideoEmbedder.load(extraction=replace(small_config, frames=4, views=1), device="cpu")
    support = embed_supports(embedder, labelled_videos(supports)).support
    return Spotter(Answerer(support, Matching(), embedder), SpotConfig(margin=0.0))


def test_windows_follow_from_the_supports_and_score_as_clips_of_their_own(spotter: Spotter, tmp_path: Path) -> None:
    assert spotter.lengths == (1.0,)
    video = write_moves(tmp_path / "long.mp4", [(25, 4), (25, -4), (25, 0)], seed=1)
    windows, end = spotter.score_windows(video)
    assert (end.frame_count, end.seconds) == (75, pytest.approx(3.0))
    np.testing.assert_allclose(windows.intervals[:, 0], np.arange(9) / 4)
    clip = write_moves(tmp_path / "clip.mp4", [(25, 4)], seed=1)
    embedded = spotter.answerer.embedder.embed_one(clip)
    assert isinstance(embedded, EmbeddedVideo)
    matcher = spotter.answerer.matcher
    expected = matcher.class_scores(matcher.score(embedded.batch))
    np.testing.assert_allclose(windows.scores[:1], expected, rtol=1e-3, atol=1e-3)
    said = [spotter.answerer.support.class_names[row.argmax()] for row in windows.scores[[0, 8]]]
    assert said == ["right", "still"]


def test_windows_of_a_dark_video_are_brightened_as_clips_are(spotter: Spotter, tmp_path: Path) -> None:
    clip = write_moves(tmp_path / "dark.mp4", [(25, 4)], seed=1, light=0.15)
    embedded = spotter.answerer.embedder.embed_one(clip)
    assert isinstance(embedded, EmbeddedVideo)
    matcher = spotter.answerer.matcher
    expected = matcher.class_scores(matcher.score(embedded.batch))
    np.testing.assert_allclose(spotter.score_windows(clip)[0].scores[:1], expected, rtol=1e-3, atol=1e-3)


def test_segments_are_the_best_of_the_accepted_windows() -> None:
    intervals = np.array([[0, 2], [1, 3], [2, 4], [5, 7], [9, 11]], dtype=float)
    scores = np.array([[1, 3], [1, 2], [2, 1], [4, 0], [9, 0]], dtype=float)
    windows = ScoredWindows(intervals, scores, scores / scores.sum(axis=1, keepdims=True))
    found = find_segments(windows, np.array([1, 1, 1, 1, 0], dtype=bool), ("a", "b"), overlap=0.3, class_overlap=0.3)
    assert [(s.label, s.start, s.end, s.score) for s in found] == [("b", 0, 2, 3), ("a", 2, 4, 2), ("a", 5, 7, 4)]
    assert found[0].probability == pytest.approx(0.75)
    assert exceeds_margin(windows.shares, 0.5).tolist() == [True, False, False, True, True]
    assert exceeds_margin(np.ones((2, 1)), 0.9).all()
    with pytest.raises(ValueError, match="intervals.shape"):
        ScoredWindows(intervals[:2], scores, scores)


def test_a_short_or_broken_video_is_a_result_with_its_reason(spotter: Spotter, tmp_path: Path) -> None:
    short = write_moves(tmp_path / "short.mp4", [(10, 4)])
    (tmp_path / "empty.mp4").touch()
    found = list(spotter.spot([short, tmp_path / "empty.mp4", tmp_path / "none.mp4"]))
    assert [each.reason for each in found] == [
        "0.40 s long, shorter than every window; give --window below 1 s",
        "the file is empty (0 bytes)",
        "the file does not exist",
    ]


def test_one_class_alone_is_refused(spotter: Spotter) -> None:
    answerer = spotter.answerer
    rows = [row for row, label in enumerate(answerer.support.videos.label) if label == "left"]
    alone = Answerer(answerer.support.take(rows), Matching(), answerer.embedder)
    with pytest.raises(InputError, match="support set: of one class, and nothing tells where it is not"):
        Spotter(alone, SpotConfig())


def test_the_command_writes_every_form(
    supports: Path, trained_run: Path, small_config: ExtractConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_moves(tmp_path / "long.mp4", [(25, 4), (25, -4)], seed=1)
    monkeypatch.chdir(Path(small_config.weights).parent)  # where the run's cache says they are
    out = {suffix: tmp_path / f"a.{suffix}" for suffix in ("csv", "json", "srt", "vtt")}
    outs = [part for suffix, path in out.items() for part in (f"--{suffix}", path)]
    given = ["--support", str(supports), "--run", str(trained_run), "--text-model", "none", "--margin", "0"]
    done = hcl("spot", video, *given, *outs, "--device", "cpu", "--workers", 1)
    assert done.exit_code == 0, done.output
    assert "9 supports of 3 classes" in done.output and "windows of 1 s" in done.output
    with out["csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows and {row["label"] for row in rows} <= set(STEPS) and rows[0]["video"] == str(video)
    assert len(json.loads(out["json"].read_text())[0]["predictions"][0]["result"]) == len(rows)
    assert out["srt"].read_text().count("-->") == out["vtt"].read_text().count("-->") == len(rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.mp4", "--support", "SUPPORTS"], "none.mp4: no such file or folder"),
        (["VIDEO", "--support", "nowhere"], "nowhere: no such folder or manifest"),
        (["VIDEO", "--support", "EMPTY"], "EMPTY: "),
        (["VIDEO", "--support", "VIDEO"], "neither a folder of class folders nor a .csv manifest"),
        (["VIDEO", "--support", "SUPPORTS", "--run", "nowhere"], "nowhere: no such file or folder; expected a run"),
        (["VIDEO", "--support", "SUPPORTS", "--window", "1;2"], "--window: expected seconds such as 1,2,4; got '1;2'"),
        (["VIDEO", "--support", "SUPPORTS", "--window", "0,2"], "--window: lengths from 0.1 to 600 seconds"),
        (["VIDEO", "--support", "SUPPORTS", "--stride", "2"], "--stride must be a share of the window"),
        (["VIDEO", "--support", "SUPPORTS", "--margin", "-1"], "--margin must be from 0 to 1; got -1"),
        (["VIDEO", "--support", "SUPPORTS", "--reject", "1"], "--reject must be a share between 0 and 1"),
    ],
)
def test_mistakes_get_one_line(
    supports: Path, tmp_path: Path, arguments: list[str], message: str, write_video: Callable[..., Path]
) -> None:
    (tmp_path / "empty").mkdir()
    names = {"SUPPORTS": str(supports), "VIDEO": str(write_video(tmp_path / "a.mp4")), "EMPTY": str(tmp_path / "empty")}
    done = hcl("spot", *(names.get(each, each) for each in arguments))
    assert done.exit_code == 2 and len(done.output.strip().splitlines()) == 1, done.output
    assert message.replace("EMPTY", names["EMPTY"]) in done.output


def test_settings_out_of_range_are_refused() -> None:
    for given, message in (
        ({"overlap": 2.0}, "--overlap must be from 0 to 1"),
        ({"class_overlap": -0.1}, "--class-overlap must be from 0 to 1"),
        ({"windows": (1e9,)}, "--window: lengths from 0.1 to 600"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            SpotConfig(**given)  # type: ignore[arg-type]
