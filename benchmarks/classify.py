"""Time an answer about one clip against what it cannot do without: decoding it and running the backbone.

    python benchmarks/classify.py [--run RUN] [--clips 9] [--supports 25]

Clips of 3 seconds are drawn and encoded in a temporary folder; decoding plus backbone and the whole answer take turns
in one process, so that others who use the machine slow down both.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

import hcl
from hcl.extract.pipeline.inference import map_videos

FRAMES, RATE, SIZE = 90, 30, (640, 360)
CLASSES = 5


def main() -> None:
    given = parse()
    with tempfile.TemporaryDirectory() as folder:
        paths = [write_clip(Path(folder) / f"{number}.mp4", number) for number in range(given.supports + given.clips)]
        supports, queries = paths[: given.supports], paths[given.supports :]
        labels = [f"class {number % CLASSES}" for number in range(len(supports))]
        classifier = hcl.FewShotClassifier(given.run, text_model="none").fit(supports, labels)
        start = time.perf_counter()
        answerer = classifier.answerer
        print(f"prepared once in {time.perf_counter() - start:.2f} s; calibrated on {classifier.calibrated_on}")
        embedder = answerer.embedder
        parts: dict[str, Callable[[Path], object]] = {
            "decoding + backbone": lambda path: list(
                map_videos(embedder._decoded([path], {}), embedder.backbone, embedder.config.batch_size)
            ),
            "answer": lambda path: list(answerer.answers([path])),
        }
        seconds: dict[str, list[float]] = {name: [] for name in parts}
        for path in [queries[0], *queries]:  # the first round sets up buffers
            for name, part in parts.items():
                start = time.perf_counter()
                part(path)
                seconds[name].append(time.perf_counter() - start)
        embedded = embedder.embed_one(queries[0])
        start = time.perf_counter()
        answerer.answer(embedded)
        print(f"scores against {given.supports} supports alone: {1000 * (time.perf_counter() - start):.0f} ms")
        embedder.close()
    medians = {name: float(np.median(values[1:])) for name, values in seconds.items()}
    for name, median in medians.items():
        print(f"{name}: {1000 * median:.0f} ms")
    ratios = np.array(seconds["answer"][1:]) / np.array(seconds["decoding + backbone"][1:])
    print(f"ratio: {np.median(ratios):.2f} (median of {len(ratios)} clips, {ratios.min():.2f} to {ratios.max():.2f})")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default=None)
    parser.add_argument("--clips", type=int, default=9)
    parser.add_argument("--supports", type=int, default=25)
    return parser.parse_args()


def write_clip(path: Path, seed: int) -> Path:
    """Encode moving noise as H.264, a small patch of it over a still one."""
    rng = np.random.default_rng(seed)
    still = rng.integers(0, 256, (SIZE[1] // 8, SIZE[0] // 8, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(FRAMES):
            picture = still.copy()
            picture[100:200, 3 * number : 3 * number + 100] = 255 - picture[100:200, 3 * number : 3 * number + 100]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


if __name__ == "__main__":
    main()
