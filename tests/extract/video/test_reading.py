"""The frames of every kind of file against a full sequential decode, and against the numbers drawn into them."""

import errno
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import av
import numpy as np
import pytest
from PIL import Image

from hcl.extract.system.errors import VideoError
from hcl.extract.video.decord_reader import decord_module
from hcl.extract.video.orientation import apply_display_matrix
from hcl.extract.video.reading import decoder_note, read_frames

WIDTH, HEIGHT, BLOCK = 112, 80, 16
BITS = 7


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Draw moving noise under a row of blocks that spell the number in binary."""
    rng = np.random.default_rng(7)
    noise = rng.integers(0, 256, (height + 200, width, 3), dtype=np.uint8)
    image = noise[number : number + height].copy()
    for bit in range(BITS):
        image[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 * (number >> bit & 1)
    return image


def numbers(images: np.ndarray) -> list[int]:
    """Read the numbers back."""
    middles = images[:, BLOCK // 2, BLOCK // 2 : BITS * BLOCK : BLOCK].mean(axis=2)  # (T, BITS)
    return [int(sum(1 << bit for bit in range(BITS) if row[bit] > 127)) for row in middles]


def encode(
    path: Path,
    codec: str = "libx264",
    options: str = "",
    *,
    frames: int = 40,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    pixels: str = "yuv420p",
    stamps: Callable[[int], int] = lambda number: number,
    streams: int = 1,
    audio: bool = False,
    container: str = "",
) -> Path:
    """Write a video of numbered frames; options and container options read "key=value key=value"."""
    pairs = dict(pair.split("=", 1) for pair in options.split())
    with av.open(str(path), "w", container_options=dict(pair.split("=") for pair in container.split())) as output:
        videos = [output.add_stream(codec, rate=25, options=pairs) for _ in range(streams)]
        sound = output.add_stream("aac", rate=44100) if audio else None
        for order, video in enumerate(videos, start=1):  # the last stream is the largest: the best one
            scale = streams - order + 1
            video.width, video.height, video.pix_fmt = size[0] // scale, size[1] // scale, pixels
            video.codec_context.time_base = Fraction(1, 100)
        for video in videos:
            for number in range(frames):
                frame = av.VideoFrame.from_ndarray(picture(number, video.width, video.height), format="rgb24")
                frame.pts, frame.time_base = 4 * stamps(number), Fraction(1, 100)
                output.mux(video.encode(frame))
            output.mux(video.encode(None))
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            silence.sample_rate = 44100
            output.mux(sound.encode(silence))
            output.mux(sound.encode(None))
    return path


def remux(source: Path, path: Path, *, first: int, shift: int = 0) -> Path:
    """Copy the packets from the first-th on without decoding, shown `shift` frames earlier."""
    with av.open(str(source)) as opened, av.open(str(path), "w") as output:
        stream = opened.streams.video[0]
        copied = output.add_stream_from_template(stream)
        back = int(shift * Fraction(1, 25) / stream.time_base)
        for number, packet in enumerate(opened.demux(stream)):
            if packet.size and number >= first:
                packet.pts, packet.dts, packet.stream = packet.pts - back, packet.dts - back, copied
                output.mux(packet)
    return path


def turn(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a display matrix (a, b, c, d) into the track header of an mp4."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = matrix
    numbers = np.array([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30], ">i4")
    data[at : at + 36] = numbers.tobytes()
    path.write_bytes(data)
    return path


def decode_all(path: Path) -> list[np.ndarray]:
    """Decode from the first frame to the last: the oracle."""
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]


B_FRAMES = "g=12 bf=3"
X265 = "x265-params=log-level=none:pools=1:keyint=12"
FILES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "plain.mp4": ("decord", lambda p: encode(p, options="g=250 bf=0")),
    "b frames.mp4": ("decord", lambda p: encode(p, options=B_FRAMES)),
    "sähne ü 手.MP4": ("decord", lambda p: encode(p, options=B_FRAMES)),
    "one.mp4": ("decord", lambda p: encode(p, frames=1)),
    "two.mkv": ("pyav", lambda p: encode(p, frames=2)),
    "three.mp4": ("decord", lambda p: encode(p, frames=3)),
    "open_gop.mp4": ("pyav", lambda p: encode(p, options="x264-params=open-gop=1:keyint=12:bframes=3:scenecut=0")),
    "intra_refresh.mp4": ("pyav", lambda p: encode(p, options="x264-params=intra-refresh=1:keyint=12")),
    "interlaced.mp4": ("pyav", lambda p: encode(p, options="x264-params=interlaced=1:keyint=12")),
    "fragmented.mp4": ("decord", lambda p: encode(p, options=B_FRAMES, container="movflags=frag_keyframe+empty_moov")),
    "variable.mp4": ("decord", lambda p: encode(p, options=B_FRAMES, stamps=lambda n: n + n * n // 7)),
    "variable.mkv": ("decord", lambda p: encode(p, options=B_FRAMES, stamps=lambda n: n + n * n // 7)),
    "sound.mp4": ("decord", lambda p: encode(p, options=B_FRAMES, audio=True)),
    "streams.mp4": ("pyav", lambda p: encode(p, options=B_FRAMES, streams=2, size=(224, 160), audio=True)),
    "cut.mp4": ("pyav", lambda p: remux(encode(p.with_name("whole.mp4"), options=B_FRAMES), p, first=12, shift=17)),
    "cut.mkv": ("pyav", lambda p: remux(encode(p.with_name("whole.mp4"), options=B_FRAMES), p, first=5)),
    "cut.mov": ("pyav", lambda p: remux(encode(p.with_name("whole.mp4"), options=B_FRAMES), p, first=5)),
    "stream.ts": ("pyav", lambda p: encode(p, options=B_FRAMES)),
    "old.avi": ("pyav", lambda p: encode(p, "mpeg4", "g=12 b=2000000")),
    "h264.avi": ("pyav", lambda p: encode(p, options="g=12 bf=0")),
    "vp8.webm": ("decord", lambda p: encode(p, "libvpx", "g=12 b=2000000 auto-alt-ref=0")),
    "vp9.webm": ("decord", lambda p: encode(p, "libvpx-vp9", "g=12 b=2000000 deadline=realtime")),
    "hevc.mp4": ("decord", lambda p: encode(p, "libx265", "x265-params=log-level=none:pools=1:keyint=12:open-gop=0")),
    "hevc_open.mp4": (
        "pyav",
        lambda p: encode(p, "libx265", "x265-params=log-level=none:pools=1:keyint=12:open-gop=1"),
    ),
    "av1.mp4": ("pyav", lambda p: encode(p, "libsvtav1", "preset=10 crf=1")),
    "ten_bit.mp4": ("pyav", lambda p: encode(p, pixels="yuv420p10le")),
    "dense.mp4": ("pyav", lambda p: encode(p, pixels="yuv444p", size=(113, 81))),
    "odd_height.webm": ("pyav", lambda p: encode(p, "libvpx-vp9", "b=2000000 deadline=realtime", size=(113, 81))),
    "odd_width.webm": ("decord", lambda p: encode(p, "libvpx-vp9", "b=2000000 deadline=realtime", size=(113, 80))),
}
SHOWN = {"cut.mp4": range(17, 40), "cut.mkv": range(12, 40), "cut.mov": range(12, 40)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(autouse=True)
def quiet_encoders(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    capfd.readouterr()


def built(folder: Path, name: str) -> Path:
    path = folder / name
    return path if path.exists() else FILES[name][1](path)


@pytest.mark.parametrize("name", FILES)
def test_frames_equal_a_sequential_decode(folder: Path, name: str) -> None:
    path = built(folder, name)
    every = decode_all(path)
    shown = list(SHOWN.get(name, range(len(every))))
    assert len(every) == len(shown)
    for decoder in ("auto", "pyav"):
        for frames in (1, 3, 8, 64):
            video = read_frames(path, frames, decoder=decoder)
            expected = [(2 * i + 1) * len(every) // (2 * frames) for i in range(frames)]
            assert video.indices == tuple(expected)
            assert video.frame_count == len(every)
            assert numbers(video.images) == [shown[i] for i in expected]
            np.testing.assert_array_equal(video.images, np.stack([every[i] for i in expected]))


@pytest.mark.skipif(decord_module() is None, reason="decord has no build for this machine")
@pytest.mark.skipif(decord_module() is None, reason="decord has no build for this machine")
@pytest.mark.parametrize("name", [name for name, (reader, _) in FILES.items() if reader == "decord"])
def test_where_decord_is_exact_its_frames_are_those_of_a_full_decode(folder: Path, name: str) -> None:
    path = built(folder, name)
    np.testing.assert_array_equal(read_frames(path, 8, decoder="decord").images, read_frames(path, 8).images)


@pytest.mark.parametrize("name", FILES)
def test_pyav_reads_by_default(folder: Path, name: str) -> None:
    assert read_frames(built(folder, name), 8).decoder == "pyav"


@pytest.mark.skipif(decord_module() is None, reason="decord has no build for this machine")
def test_decord_can_be_forced_where_it_is_wrong(folder: Path) -> None:
    video = read_frames(built(folder, "cut.mp4"), 8, decoder="decord")
    assert video.decoder == "decord"
    assert video.frame_count > len(SHOWN["cut.mp4"])


@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (-1, 0, 0, 1), (0, 1, 1, 0)])
@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_display_matrix_turns_and_mirrors(tmp_path: Path, matrix: tuple[int, int, int, int], decoder: str) -> None:
    path = turn(encode(tmp_path / "turned.mp4", options=B_FRAMES), matrix)
    a, b, c, d = matrix
    stored = decode_all(path)
    wide, high = (HEIGHT, WIDTH) if b else (WIDTH, HEIGHT)
    video = read_frames(path, 2, decoder=decoder)
    for index, image in zip(video.indices, video.images, strict=True):
        expected = np.zeros((high, wide, 3), np.uint8)
        for y in range(HEIGHT):
            for x in range(WIDTH):
                expected[(b * x + d * y) % high, (a * x + c * y) % wide] = stored[index][y, x]
        # A mirrored axis ends at -1, not at 0: the modulo above is one pixel short of it.
        shift = tuple(-1 if least < 0 else 0 for least in (b + d, a + c))
        np.testing.assert_array_equal(image, np.roll(expected, shift, axis=(0, 1)))


def test_edit_list_hides_whole_leading_groups_and_the_end(tmp_path: Path) -> None:
    path = encode(tmp_path / "trimmed.mp4", options=B_FRAMES)
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12
    duration, start = np.frombuffer(bytes(data[at : at + 8]), ">i4")
    steps = 512  # of the track's clock, per frame
    data[at : at + 8] = np.array([duration // 2, start + 14 * steps], ">i4").tobytes()
    path.write_bytes(data)
    every = decode_all(path)
    for decoder in ("auto", "pyav"):
        video = read_frames(path, 4, decoder=decoder)
        assert video.frame_count == len(every) < 30
        np.testing.assert_array_equal(video.images, np.stack([every[i] for i in video.indices]))
        assert numbers(video.images)[0] >= 14


VP8 = "g=12 b=2000000 auto-alt-ref=0"


def encode_gif(path: Path) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("gif", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "rgb8"
        for number in range(10):
            image = av.VideoFrame.from_ndarray(picture(number), format="rgb24").reformat(format="rgb8")
            output.mux(stream.encode(image))
        output.mux(stream.encode(None))
    return path


def cut_short(path: Path, share: float = 0.5) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share) // 4 * 4 + 1])
    return path


def dig_hole(path: Path, length: int) -> Path:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + length] = np.random.default_rng(0).bytes(length)
    path.write_bytes(data)
    return path


def silent(path: Path, data: bytes = b"") -> Path:
    path.write_bytes(data)
    return path


def sound_only(path: Path) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 44100
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def image_folder(path: Path, names: str) -> Path:
    path.mkdir()
    for number, name in enumerate(names.split()):
        Image.fromarray(picture(number)).save(path / name)
    return path


def with_broken_image(path: Path) -> Path:
    cut_short(image_folder(path, "1.png 2.png 3.png") / "2.png")
    return path


BROKEN: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "no_moov.mp4": ("truncated: the file ends before", lambda p: cut_short(encode(p))),
    "half.mp4": ("truncated: the file has", lambda p: cut_short(encode(p, container="movflags=faststart"))),
    "half.mkv": ("truncated: the file has", lambda p: cut_short(encode(p))),
    "half.avi": ("truncated: the file has", lambda p: cut_short(encode(p))),
    "half.gif": ("truncated: the file ends before the end mark of a GIF", lambda p: cut_short(encode_gif(p))),
    "no_mark.gif": ("truncated: the file ends before the end mark of a GIF", lambda p: cut_short(encode_gif(p), 0.999)),
    "half.ogv": ("truncated: the file ends before the last page", lambda p: cut_short(encode(p, "libvpx", VP8))),
    "hole.ogv": ("damaged", lambda p: dig_hole(encode(p, "libvpx", VP8), 9)),
    "half.ts": ("truncated: the file has", lambda p: cut_short(encode(p))),
    "fragments.mp4": ("truncated", lambda p: cut_short(encode(p, options="g=12", container="movflags=frag_keyframe"))),
    "hole.mp4": ("damaged", lambda p: dig_hole(encode(p), 3_000)),
    "hole.mkv": ("damaged", lambda p: dig_hole(encode(p), 3_000)),
    "scratch.ts": ("damaged: the frame", lambda p: dig_hole(encode(p, options="g=250 bf=0 crf=5"), 20 * 188)),
    "empty.mp4": ("empty", silent),
    "text.mp4": ("not a video", lambda p: silent(p, b"these are words, not pictures\n" * 9)),
    "text.txt": ("not a video", lambda p: silent(p, b"these are words, not pictures\n" * 9)),
    "picture.mp4": ("not a video", lambda p: Image.fromarray(picture(0)).save(p, "png") or p),
    "playlist.mp4": ("a playlist", lambda p: silent(p, b"#EXTM3U\n#EXTINF:1,\nhttp://192.0.2.1/a.ts\n")),
    "sound.m4a": ("audio only", sound_only),
    "missing.mp4": ("does not exist", lambda p: p),
    "no_images": ("holds no images", lambda p: image_folder(p, "")),
    "broken_image": ("broken image 2.png", with_broken_image),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_broken_files_give_a_reason(tmp_path: Path, name: str, decoder: str) -> None:
    reason, build = BROKEN[name]
    path = build(tmp_path / name)
    with pytest.raises(VideoError, match=reason):
        read_frames(path, 3, decoder=decoder)


def test_unreadable_files_give_a_reason(tmp_path: Path) -> None:
    path = encode(tmp_path / "locked.mp4")
    path.chmod(0)
    try:
        path.read_bytes()
    except PermissionError:
        with pytest.raises(VideoError, match="permission"):
            read_frames(path, 8)
    else:
        pytest.skip("this user may read everything")


def test_image_folder_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    names = [f"frame{number}.{('png', 'PNG')[number % 2]}" for number in range(12)]
    path = image_folder(tmp_path / "clip", " ".join(names))
    (path / ".hidden.png").write_bytes(b"")
    (path / "notes.txt").write_text("not a frame")
    video = read_frames(path, 12)
    assert (video.decoder, video.frame_count) == ("images", 12)
    assert numbers(video.images) == list(range(12))


def test_decoder_note_names_what_is_in_use() -> None:
    assert f"PyAV {av.__version__}" in decoder_note("pyav")
    assert decoder_note() == decoder_note("pyav")
    assert "decord" in decoder_note("decord") and "\n" not in decoder_note("decord")
    with pytest.raises(ValueError, match="none of auto, decord, pyav"):
        read_frames(Path("x.mp4"), 8, decoder="opencv")


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_a_process_without_open_files_to_spare_says_so(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4")
    Image.new("RGB", (40, 30)).save(tmp_path / "1.png")
    program = """
import os, resource
from pathlib import Path
from hcl.extract.video import container, image_folder
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
for read in (container.open_video(Path("a.mp4")).__enter__, lambda: image_folder._read_image(Path("1.png"))):
    try:
        read()
    except OSError as error:
        os.write(1, f"{error.errno} ".encode())
"""
    found = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.stdout.split() == [str(errno.EMFILE)] * 2, found.stderr


def test_frames_are_converted_by_one_thread() -> None:
    given: dict[str, object] = {}

    class Frame:
        side_data: ClassVar[dict[str, object]] = {}

        def to_ndarray(self, **options: object) -> np.ndarray:
            given.update(options)
            return np.zeros((2, 2, 3), dtype=np.uint8)

    apply_display_matrix(Frame())  # type: ignore[arg-type]
    assert given == {"format": "rgb24", "threads": 1}  # PyAV's own choice: a thread per core, in every worker
