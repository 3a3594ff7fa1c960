"""Drawn frames become H.264 files that decode to them, with the same bytes each time."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from hcl.extract.demo.backgrounds import PLACES
from hcl.extract.demo.classes import CLASSES
from hcl.extract.demo.encoding import CONTAINERS, encode, h264_encoder
from hcl.extract.demo.scenes import DrawnVideo, draw_video
from hcl.extract.system.errors import InputError


@pytest.mark.parametrize("ending", CONTAINERS)
def test_every_container_holds_h264_that_decodes_to_the_drawn_frames(tmp_path: Path, ending: str) -> None:
    shades = [np.full((48, 64, 3), 20 * shade, dtype=np.uint8) for shade in range(12)]
    path = tmp_path / f"video.{ending}"
    path.write_bytes(encode(DrawnVideo(12, 64, 48, iter(shades)), ending))
    with av.open(path) as container:
        stream = container.streams.video[0]
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.codec_context.name == "h264"
        assert stream.average_rate == 12
    assert [frame.mean() for frame in decoded] == pytest.approx([20.0 * shade for shade in range(12)], abs=4)


def test_same_frames_give_the_same_bytes_whatever_the_memory_held() -> None:
    frames = list(draw_video(CLASSES[1], PLACES[0], np.random.default_rng(0)).frames)[:20]
    high, wide, _ = frames[0].shape
    found = set()
    for attempt in range(6):
        rng = np.random.default_rng(attempt)
        dirt = [rng.integers(0, 255, rng.integers(1_000, 400_000), dtype=np.uint8) for _ in range(60)]
        del dirt  # what the encoder allocates now lies where these bytes are
        found.add(encode(DrawnVideo(12, wide, high, iter(frames)), "mkv"))
    assert len(found) == 1


@pytest.fixture
def without_encoders(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A PyAV that was built without H.264."""

    def refuse(name: str, mode: str) -> None:
        raise av.codec.codec.UnknownCodecError(name)

    h264_encoder.cache_clear()
    monkeypatch.setattr(av.codec, "Codec", refuse)
    yield
    h264_encoder.cache_clear()


@pytest.mark.usefixtures("without_encoders")
def test_a_missing_encoder_names_the_remedy() -> None:
    with pytest.raises(InputError, match="pip install"):
        h264_encoder()
