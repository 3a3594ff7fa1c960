"""Recordings as browsers write them: no duration, stamps at uneven distances."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

COUNT = 24
GAPS = (33, 34, 120, 5, 66, 200, 33, 1)  # milliseconds from a frame to the next, again and again


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A WebM file without a duration, of uneven stamps."""
    path, rng, stamp = tmp_path / "recording.webm", np.random.default_rng(3), 0
    with av.open(str(path), "w", format="webm", options={"live": "1"}) as container:
        stream = container.add_stream("libvpx", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        picture = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        for number in range(COUNT):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, number, axis=1), format="rgb24")
            frame.pts, stamp = stamp, stamp + GAPS[number % len(GAPS)]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_the_recording_is_as_browsers_write_them(recording: Path) -> None:
    with av.open(str(recording)) as container:
        assert container.duration is None
        stamps = [packet.pts for packet in container.demux(container.streams.video[0]) if packet.pts is not None]
    assert len(stamps) == COUNT and len(set(np.diff(stamps))) > 4


def test_it_is_an_example_and_a_question(serve: Any, small_videos: Path, recording: Path) -> None:
    page = serve()
    page.add("clap", *sorted((small_videos / "novel" / "clap2").iterdir())[:2])
    page.add("filmed", recording)
    page.post("/upload/question", recording.read_bytes(), name="recording 1.webm")
    page.wait()
    (question,) = page.workbench.state.questions
    assert question.embedded.frame_count == COUNT
    assert question.answer.same_as == ("filmed/recording.webm",)
    assert page.workbench.seen[question.embedded.content].jpegs


def test_it_is_searched_by_its_stamps(serve: Any, small_videos: Path, recording: Path) -> None:
    page = serve()
    for name in ("clap", "jump"):
        page.add(name, *sorted((small_videos / "novel" / f"{name}2").iterdir())[:2])
    page.post("/upload/search", recording.read_bytes(), name="recording.webm")
    page.wait()
    seconds = sum(GAPS) * COUNT / len(GAPS) / 1000
    found = page.workbench.state.searched
    assert found, page.workbench.worker.shown()
    assert found[0].spotted.seconds == pytest.approx(seconds, abs=0.3)
