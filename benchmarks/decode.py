"""Show that the frames are right, file by file, and what each way to them costs.

    python benchmarks/decode.py [FOLDER ...] [--speed]

Every file in the folders is read by the reader that "auto" chooses and compared, bit for bit, with a sequential decode
of the whole file. --speed measures CPU time on generated videos.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import numpy as np
from tabulate import tabulate

from hcl.extract.system.errors import VideoError
from hcl.extract.video.decord_reader import decord_module, read_with_decord
from hcl.extract.video.frames import middle_frames
from hcl.extract.video.orientation import apply_display_matrix
from hcl.extract.video.packet_index import read_packet_index
from hcl.extract.video.pyav_reader import read_indexed, read_sequentially
from hcl.extract.video.reading import decoder_note, read_frames

FRAMES = 8
MIDDLES = partial(middle_frames, frames=FRAMES)


def sequential(path: Path) -> tuple[np.ndarray, int]:
    """Decode everything, then everything again for the frames in the middles: the reference."""
    with av.open(str(path)) as container:
        count = sum(1 for _ in container.decode(container.streams.best("video")))
    wanted = middle_frames(count, FRAMES)
    with av.open(str(path)) as container:
        frames = enumerate(container.decode(container.streams.best("video")))
        images = {number: apply_display_matrix(frame) for number, frame in frames if number in wanted}
    return np.stack([images[number] for number in wanted]), count


def compare(path: Path) -> tuple[str, str, str, str]:
    """Return a row of the table: file, reader and why, frames, verdict."""
    try:
        flaw = read_packet_index(path).flaw
        video = read_frames(path, FRAMES)
        images, count = sequential(path)
    except VideoError as error:
        return path.name, "-", "-", f"failed: {error}"
    equal = count == video.frame_count and np.array_equal(images, video.images)
    reader = f"{video.decoder} ({flaw})" if flaw else video.decoder
    return path.name, reader, str(count), "equal" if equal else "DIFFERENT"


def generate(path: Path, width: int, height: int, *, group: int, frames: int) -> Path:
    """Encode a textured plane under a moving camera, with some noise, as x264 does by default."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (24, 40, 3), dtype=np.uint8)
    plane = np.kron(coarse, np.ones((height // 8, width // 12, 1), np.uint8))
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"g": str(group)})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            x, y = (int(scale * (1 + np.sin(number / 9 + scale))) for scale in (width // 3, height // 3))
            image = plane[y : y + height, x : x + width].astype(np.int16)
            noisy = (image + rng.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def cpu_ms(read: Callable[[], object]) -> float:
    started = time.process_time()
    read()
    return 1000 * (time.process_time() - started)


def measure(path: Path, rounds: int = 7) -> list[float]:
    """Return the median CPU time of each reader, in turns, so that a busy machine is so to all."""
    index = read_packet_index(path)
    readers: list[Callable[[], object]] = [
        lambda: read_packet_index(path),
        lambda: read_with_decord(path, MIDDLES),
        lambda: read_sequentially(path, MIDDLES, index),
        lambda: read_indexed(path, MIDDLES, index, leave_out=False),
        lambda: read_indexed(path, MIDDLES, index),
    ]
    return list(np.median([[cpu_ms(read) for read in readers] for _ in range(rounds)], axis=0))


def speed() -> None:
    """Print the table of CPU times."""
    headers = ["CPU ms a video", "packet index", "decord", "sequential", "seeking", "seeking, leaving out"]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for width, height, group, frames in ((340, 256, 250, 250), (340, 256, 12, 250), (1280, 720, 12, 250)):
            path = generate(Path(folder) / f"{height}_{group}.mp4", width, height, group=group, frames=frames)
            rows.append([f"{width}x{height}, GOP {group}, {frames} frames", *measure(path)])
    print(tabulate(rows, headers, floatfmt=".1f"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    print(decoder_note())
    for folder in options.folders:
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".csv")
        print(tabulate(map(compare, paths), [str(folder), "read by", "frames", "against a sequential decode"]))
    if options.speed and decord_module():
        speed()


if __name__ == "__main__":
    main()
