"""One bit of a video flipped: it is named, or does no harm to the frames used, as far as its codec allows."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from hcl.extract.system.errors import VideoError
from hcl.extract.video.container_fields import failed_checksum
from hcl.extract.video.reading import read_frames

WIDTH, HEIGHT, SHOWN, FLIPS = 96, 64, 24, 40
X265 = "log-level=none:pools=1:keyint=12:open-gop=0"
# The file, its encoder and options, and the share of flips that may go unnoticed.
CLIPS: dict[str, tuple[str, str, dict[str, str], float]] = {
    "h264": ("clip.mp4", "libx264", {"g": "12"}, 0.6),  # decord: 0.75; libx264 does not write the same bits twice
    "hevc with picture hashes": ("clip.mp4", "libx265", {"x265-params": f"{X265}:hash=1"}, 0.0),
    "vp9": ("clip.webm", "libvpx-vp9", {"g": "12", "b": "400000", "deadline": "realtime"}, 0.0),
    "av1": ("clip.mp4", "libsvtav1", {"preset": "10", "crf": "35", "g": "12"}, 0.1),
    "vp8 in mkv": ("clip.mkv", "libvpx", {"g": "12", "b": "400000", "auto-alt-ref": "0"}, 0.0),
    "hevc in mkv": ("clip.mkv", "libx265", {"x265-params": X265}, 0.0),
    "vp8 in ogg": ("clip.ogv", "libvpx", {"g": "12", "b": "400000", "auto-alt-ref": "0"}, 0.0),
}


@pytest.fixture(autouse=True)
def quiet_encoders(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    capfd.readouterr()


def encode(path: Path, codec: str, options: dict[str, str]) -> Path:
    """Write moving blocks with some noise."""
    rng = np.random.default_rng(0)
    plane = np.kron(rng.integers(0, 256, (16, 24, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(SHOWN):
            image = plane[number : number + HEIGHT, number : number + WIDTH] + rng.normal(0, 3, (HEIGHT, WIDTH, 3))
            frame = av.VideoFrame.from_ndarray(image.clip(0, 255).astype(np.uint8), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def payload(path: Path) -> np.ndarray:
    """The positions in the file of the bytes of its packets."""
    data = path.read_bytes()
    with av.open(str(path)) as container:
        packets = [(bytes(packet), packet.pos or 0) for packet in container.demux(video=0) if packet.size]
    starts = [(data.find(content, at), len(content)) for content, at in packets]
    return np.concatenate([np.arange(start, start + length) for start, length in starts if start >= 0])


@pytest.mark.parametrize("name", CLIPS)
def test_a_flipped_bit_is_named_or_harmless(tmp_path: Path, name: str) -> None:
    file, codec, options, allowed = CLIPS[name]
    path = encode(tmp_path / file, codec, options)
    sound, data, places = read_frames(path, 8).images, path.read_bytes(), payload(path)
    rng, found = np.random.default_rng(0), Counter[str]()
    for _ in range(FLIPS):
        changed = bytearray(data)
        changed[rng.choice(places)] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        try:
            found["harmless" if np.array_equal(read_frames(path, 8).images, sound) else "unnoticed"] += 1
        except VideoError as error:
            assert str(error).startswith(("damaged", "the video", "no frame"))
            found["named"] += 1
    assert found["named"] > FLIPS / 4, found
    assert found["unnoticed"] <= allowed * FLIPS, found


def test_a_sound_matroska_file_passes_and_one_without_checksums_too(tmp_path: Path) -> None:
    for name in ("clip.mkv", "clip.webm"):
        path = encode(tmp_path / name, "libvpx", {"b": "400000"})
        assert failed_checksum(path) == ""
    path.write_bytes(path.read_bytes()[:40])
    assert failed_checksum(path) == ""


def test_a_display_matrix_of_vp9_is_kept(tmp_path: Path) -> None:
    """libvpx knows of none: FFmpeg's own decoder reads such a file."""
    path = encode(tmp_path / "clip.mp4", "libvpx-vp9", {"b": "400000", "deadline": "realtime"})
    upright = read_frames(path, 2).images
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = np.array([0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(data)
    np.testing.assert_array_equal(read_frames(path, 2).images, np.rot90(upright, -1, axes=(1, 2)))


def gif(path: Path, **options: Any) -> Path:
    """A GIF by Pillow, a few blocks that move."""
    plane = np.kron(np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    first, *others = (Image.fromarray(plane[:HEIGHT, at : at + WIDTH]) for at in range(6))
    first.save(path, save_all=True, append_images=others, duration=40, **options)
    return path


@pytest.mark.parametrize("tail", [b"", b"\0\0;", b"words behind the end"])
@pytest.mark.parametrize(
    "options", [{}, {"interlace": 1}, {"transparency": 3, "disposal": 2}, {"optimize": True}, {"comment": b"x" * 400}]
)
def test_whole_gifs_are_read_whoever_wrote_them(tmp_path: Path, options: dict[str, Any], tail: bytes) -> None:
    path = gif(tmp_path / "clip.gif", **options)
    path.write_bytes(path.read_bytes() + tail)
    assert read_frames(path, 4).frame_count == 6


def test_a_picture_of_a_gif_that_does_not_fill_its_frame_is_damage(tmp_path: Path) -> None:
    path = gif(tmp_path / "clip.gif")
    data = bytearray(path.read_bytes())
    picture = payload(path)[len(payload(path)) // 2 :]
    found = Counter[str]()
    for at in picture[::7].tolist():
        flipped = bytearray(data)
        flipped[at] ^= 16
        path.write_bytes(flipped)
        try:
            read_frames(path, 4)
        except VideoError as error:
            found[str(error)] += 1
    assert found["damaged: a frame is incomplete (LZW decode failed)"] > len(picture[::7]) / 20
