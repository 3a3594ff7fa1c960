"""Count the damage that goes unnoticed: one bit of a video flipped, then read as an extraction does.

    python benchmarks/damage.py [--flips 200] [--codecs h264 hevc ...] [--decoders auto pyav decord] [--seed 0]

A small clip of each codec is encoded. Each flip hits a random bit of the compressed pictures of a copy. A flip is named
if the reader refuses the file, harmless if all 8 frames are as before, and unnoticed if one is not. The time is that of
reading the sound clip.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from tabulate import tabulate

from hcl.extract.system.errors import VideoError
from hcl.extract.video.reading import read_frames

FRAMES, WIDTH, HEIGHT, SHOWN = 8, 160, 120, 60
CODECS = {  # file, encoder, its options
    "h264": ("clip.mp4", "libx264", {"g": "12"}),
    "hevc": ("clip.mp4", "libx265", {"x265-params": "log-level=none:pools=1:keyint=12:open-gop=0"}),
    "hevc+hash": ("clip.mp4", "libx265", {"x265-params": "log-level=none:pools=1:keyint=12:open-gop=0:hash=1"}),
    "vp8": ("clip.webm", "libvpx", {"g": "12", "b": "400000", "auto-alt-ref": "0"}),
    "vp9": ("clip.webm", "libvpx-vp9", {"g": "12", "b": "400000", "deadline": "realtime"}),
    "av1": ("clip.mp4", "libsvtav1", {"preset": "10", "crf": "35", "g": "12"}),
    "mpeg4": ("clip.avi", "mpeg4", {"g": "12", "b": "800000"}),
    "mpeg2": ("clip.ts", "mpeg2video", {"g": "12", "b": "800000"}),
    "gif": ("clip.gif", "gif", {}),
}


def encode(path: Path, codec: str, options: dict[str, str]) -> Path:
    """Write a textured plane under a moving camera, with some noise."""
    rng = np.random.default_rng(0)
    plane = np.kron(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for number in range(SHOWN):
            x, y = (int(scale * (1 + np.sin(number / 9 + scale))) for scale in (80, 60))
            image = plane[y : y + HEIGHT, x : x + WIDTH].astype(np.int16)
            noisy = (image + rng.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24").reformat(format=stream.pix_fmt)))
        output.mux(stream.encode(None))
    return path


def payload(path: Path) -> list[range]:
    """Where in the file the compressed pictures lie."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
    data, found = path.read_bytes(), []
    for packet in packets:
        content = bytes(packet)
        at = data.find(content, packet.pos or 0)  # a container may put a header, or others, in between
        if at >= 0:
            found.append(range(at, at + len(content)))
    return found or [range(len(data) // 20, len(data))]


def outcome(path: Path, expected: np.ndarray, decoder: str) -> str:
    """Read a file whose bit was flipped."""
    try:
        video = read_frames(path, FRAMES, decoder=decoder)
    except VideoError:
        return "named"
    except Exception as error:
        return f"named ({type(error).__name__})"
    return "harmless" if np.array_equal(video.images, expected) else "unnoticed"


def count(codec: str, decoders: Sequence[str], flips: int, seed: int, folder: Path) -> list[list[object]]:
    """Return a row of the table for each reader."""
    name, encoder, options = CODECS[codec]
    path = encode(folder / name, encoder, options)
    data, places = path.read_bytes(), np.concatenate([np.arange(part.start, part.stop) for part in payload(path)])
    rows: list[list[object]] = []
    for decoder in decoders:
        try:
            expected = read_frames(path, FRAMES, decoder=decoder)
        except VideoError:
            continue  # decord does not know the codec
        seconds = []
        for _ in range(7):
            started = time.process_time()
            read_frames(path, FRAMES, decoder=decoder)
            seconds.append(time.process_time() - started)
        rng = np.random.default_rng(seed)  # the same flips for each reader
        found: Counter[str] = Counter()
        for _ in range(flips):
            changed, at = bytearray(data), int(rng.choice(places))
            changed[at] ^= 1 << int(rng.integers(8))
            flipped = folder / f"flipped{path.suffix}"
            flipped.write_bytes(changed)
            found[outcome(flipped, expected.images, decoder).split()[0]] += 1
        shares = [f"{found[kind] / flips:.1%}" for kind in ("unnoticed", "named", "harmless")]
        rows.append([codec, f"{decoder} ({expected.decoder})", *shares, 1000 * float(np.median(seconds))])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--codecs", nargs="*", default=list(CODECS), choices=CODECS)
    parser.add_argument("--decoders", nargs="*", default=["auto", "pyav", "decord"])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    headers = ["codec", "reader", "unnoticed", "named", "harmless", "CPU ms to read"]
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            row
            for codec in options.codecs
            for row in count(codec, options.decoders, options.flips, options.seed, Path(folder))
        ]
    print(tabulate(rows, headers, floatfmt=".1f"))


if __name__ == "__main__":
    main()
