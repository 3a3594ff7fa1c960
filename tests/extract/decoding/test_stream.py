"""A video that another process decodes: its samples, times from stamps alone, and every way in which it can fail."""

import multiprocessing
import re
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from hcl.extract.config import EXPOSURES
from hcl.extract.decoding.sampling import Grid, Sample, StreamEnd
from hcl.extract.decoding.source import Source
from hcl.extract.decoding.stream import StreamStart, StreamTask, sample_video, stream_samples, video_seconds
from hcl.extract.decoding.views import ViewChoice
from hcl.extract.decoding.worker import DecodeTask, decode_video
from hcl.extract.system.errors import VideoError


def write(path: Path, stamps: list[int], *, codec: str = "mpeg4", options: dict[str, str] | None = None) -> Path:
    """A video whose frames are shown at some milliseconds."""
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, 3 * number, axis=1), format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def task(length: float = 0.8, frames: int = 4, *, motion: bool = True, is_brightened: bool = False) -> StreamTask:
    return StreamTask(grids=(Grid(length, frames),), size=32, motion=motion, is_brightened=is_brightened)


@pytest.mark.parametrize("exposure", EXPOSURES)
def test_the_pictures_of_a_window_are_those_of_its_clip(write_video: object, tmp_path: Path, exposure: str) -> None:
    path = write_video(tmp_path / "a.mp4", frames=20, light=0.15)  # type: ignore[operator]
    clip = DecodeTask(
        frames=4, size=32, decoder="auto", views=ViewChoice(motion="rgbdiff", is_brightened=exposure == "auto")
    )
    expected = decode_video(0, path, clip, Source()).result.images[0]
    assert (expected[:, 0].max() > 60) == (exposure == "auto")
    start, *samples, end = stream_samples(path, task(is_brightened=exposure == "auto"))
    assert isinstance(start, StreamStart) and start.seconds == pytest.approx(0.8)
    assert isinstance(end, StreamEnd) and (end.seconds, end.frame_count) == (pytest.approx(0.8), 20)
    assert all(isinstance(sample, Sample) for sample in samples)
    np.testing.assert_array_equal(np.stack([sample.images for sample in samples]), expected)


def test_times_are_those_of_a_recording_of_varying_rate_without_duration(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    stamps = np.cumsum(rng.integers(20, 200, 30)).tolist()
    stamps = [stamp - stamps[0] for stamp in stamps]
    path = write(tmp_path / "a.webm", stamps, codec="libvpx", options={"live": "1"})  # as a browser's recorder does
    start, *samples, end = sample_video(path, task(motion=False))
    assert isinstance(start, StreamStart) and start.seconds == 0 and isinstance(end, StreamEnd)
    assert stamps[-1] / 1000 < end.seconds < stamps[-1] / 1000 + 0.3 and end.frame_count == 30
    for sample in samples:
        assert isinstance(sample, Sample)
        instant = 1000 * Grid(0.8, 4).instant(sample.number) + 1
        assert sample.frames == (max(k for k, stamp in enumerate(stamps) if stamp <= instant),)


def test_a_container_that_begins_later_begins_at_0(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", [2000 + 40 * number for number in range(20)])
    with av.open(str(path)) as container:
        assert container.start_time == 2_000_000
    *_, end = sample_video(path, task(motion=False))
    assert isinstance(end, StreamEnd) and end.seconds == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "the file does not exist"),
        (lambda path: path.touch(), "the file is empty (0 bytes)"),
        (lambda path: path.write_bytes(b"no video" * 99), "not a video, or its header is damaged"),
        (lambda path: path.mkdir(), "a folder of images, which says nothing of times"),
        (lambda path: write(path, [0, 40, 8_000_000]), "its time stamps jump from 0 s to 8000 s"),
    ],
    ids=["missing", "empty", "text", "folder", "gap"],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, make: object, reason: str) -> None:
    path = tmp_path / "a.mkv"
    make(path)  # type: ignore[operator]
    with pytest.raises(VideoError, match=re.escape(reason)):
        list(sample_video(path, task()))


def test_a_reason_comes_back_and_an_abandoned_stream_leaves_no_process(write_video: object, tmp_path: Path) -> None:
    before = set(multiprocessing.active_children())
    with pytest.raises(VideoError, match="the file does not exist"):
        list(stream_samples(tmp_path / "none.mp4", task()))
    messages = stream_samples(write_video(tmp_path / "a.mp4", frames=50), task())  # type: ignore[operator]
    next(messages)
    messages.close()  # type: ignore[attr-defined]
    assert set(multiprocessing.active_children()) == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not say how large a process is")
@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("seconds", "decoding one piece of it took longer than 0 seconds of processor time"),
        ("mib", "decoding it takes more than 0 MiB of memory"),
    ],
)
def test_a_stream_beyond_a_limit_is_ended(
    write_video: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, reason: str
) -> None:
    limited = replace(task(), **{limit: 1e-5 if limit == "seconds" else 0})  # type: ignore[arg-type]
    monkeypatch.setattr("hcl.extract.decoding.stream.PATIENCE", 100 / limited.seconds)  # the clock must not be first
    with pytest.raises(VideoError, match=reason):
        list(stream_samples(write_video(tmp_path / "a.mp4", frames=50), limited))  # type: ignore[operator]


def test_lengths_of_short_videos_follow_from_their_packets(write_video: object, tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", frames=30)  # type: ignore[operator]
    recording = write(tmp_path / "b.webm", [0, 100, 500], codec="libvpx", options={"live": "1"})
    (tmp_path / "c.mp4").touch()
    seconds = video_seconds([video, tmp_path / "c.mp4", recording])
    assert seconds[:2] == [pytest.approx(1.2), 0.0] and 0.5 <= seconds[2] <= 0.6
    assert video_seconds([]) == []
