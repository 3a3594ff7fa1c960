"""Time a training step, its parts, its memory and its waiting for data.

    python benchmarks/train.py cache.zarr                          # a step of the quick preset
    python benchmarks/train.py cache.zarr --preset paper --steps 50 --device cuda

The step is held against its floor, the operations of its matrix products at the rate of a bfloat16 product in the same
run, and against a step that differentiates through the full product of all patches, each in a process of its own for
its memory. The waiting share is what the steps lost to reading, with the maps on disk and in memory.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor

import hcl.train.losses.objective as terms
from hcl.extract.cache.formats import open_cache
from hcl.match.embeddings import Embeddings
from hcl.match.scoring.scores import Scores, scores_of
from hcl.match.scoring.zoom import zoom_in
from hcl.train.config import TrainConfig, preset_config
from hcl.train.data.batches import Batch
from hcl.train.data.map_source import MapSource
from hcl.train.encoders.layer4 import inputs_in
from hcl.train.encoders.video_encoder import VideoEncoder
from hcl.train.fitting.step import Stepper
from hcl.train.runs.fit_run import base_batches, base_texts
from hcl.train.runs.planning import make_run_config

MATRIX = 2048


def main() -> None:
    """Measure one variant, or start a process for each and print them side by side."""
    given = parse()
    if given.variant:
        print(json.dumps(measure(given)))
        return
    rows = []
    for variant, precision in (("ours", "auto"), ("ours", "float32"), ("full", "float32")):
        command = [sys.executable, __file__, *sys.argv[1:], "--variant", variant, "--precision", precision]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        shown = "chosen pairs alone" if variant == "ours" else "through the full product"
        rows.append((f"{shown}, {precision}", *(found[name] for name in ("step", "peak", "total", "gradient"))))
        if not rows[1:]:
            print(found["about"])
    headers = ("differentiated", "s a step", "peak GiB", "loss", "gradient's norm")
    print(tabulate(rows, headers=headers, floatfmt=("", ".3f", ".2f", ".6f", ".6f"), tablefmt="github"))
    for map_storage in ("disk", "host"):
        print(f"maps on {map_storage}: {100 * waiting(given, map_storage):.1f} % of the steps spent waiting for data")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--videos", type=int, default=24, help="in a batch, two of each class")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON", help="a setting of the training")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--variant", choices=("ours", "full"), help=argparse.SUPPRESS)
    return parser.parse_args()


def settings(given: argparse.Namespace) -> TrainConfig:
    chosen = {name: json.loads(value) for name, value in (pair.split("=", 1) for pair in given.set)}
    return preset_config(given.preset, precision=given.precision, **chosen)


def measure(given: argparse.Namespace) -> dict[str, object]:
    """Take steps on one batch: median seconds of a step, peak memory, and what the first step saw."""
    config, device = settings(given), torch.device(given.device)
    if given.variant == "full":
        terms.scores_of_all_levels = through_everything
    cache = open_cache(given.cache)
    rows = np.resize(cache.rows(), given.videos)
    maps = torch.from_numpy(np.stack([cache.maps(int(row)) for row in rows])).to(device)
    batch = Batch(maps, torch.arange(given.videos) // 2, 0.0)
    text = torch.randn(given.videos // 2, 384, generator=torch.Generator().manual_seed(0)).to(device)
    shape = dict(zip(("frames", "patches", "channels"), cache.shape, strict=True))
    shape["inputs"] = inputs_in(cache.settings)
    encoder = VideoEncoder(config, **shape, classes=given.videos // 2, text_width=384).to(device)
    stepper = Stepper(encoder, config, text)
    first = dict(zip(stepper.names, stepper.step(0, batch).tolist(), strict=True))
    seconds = []
    for number in range(1, given.steps + 1):
        began = time.perf_counter()
        stepper.step(number, batch)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**30
    floor = operations(config, given.videos, *cache.shape) / product_rate(device)
    about = (
        f"{given.videos} videos of {cache.shape}, D {config.dim}, patch_keep_rate {config.patch_keep_rate}, {device},"
        f" {torch.get_num_threads()} threads: floor {floor:.3f} s, the operations at the rate of a bfloat16 product"
    )
    step = statistics.median(seconds)
    return {"step": step, "peak": peak, "total": first["total"], "gradient": first["gradient_norm"], "about": about}


def through_everything(embeddings: Embeddings, rows: slice, config: TrainConfig, search_dtype: torch.dtype) -> Scores:
    """Score all pairs of videos with gradients through the product of all their patches."""
    plain = zoom_in.__wrapped__  # type: ignore[attr-defined]  # without its no_grad
    limits = {"top_clips": config.top_clips, "top_patches": config.top_patches}
    zoom = plain(embeddings, embeddings, **limits, partners=False, settle=False)
    return scores_of(embeddings, embeddings, zoom, config.attention_scale)


def operations(config: TrainConfig, videos: int, frames: int, patches: int, channels: int) -> float:
    """Count the operations of a step's larger matrix products: two for each multiply-add, backwards twice forwards."""
    tokens = frames * max(1, round(config.patch_keep_rate * patches))
    of_block = tokens * (4 * config.dim**2 + 2 * config.dim * config.mlp_dim) + 2 * tokens**2 * config.dim
    projected = (1 + config.motion) * tokens * channels * config.dim
    trained = config.depth * of_block * 3 + projected * 2  # no gradient of the maps
    searched = videos * tokens**2 * config.dim  # the product of all patches, forwards alone
    return 2.0 * videos * (trained + searched)


def product_rate(device: torch.device, repeats: int = 20) -> float:
    """Operations a second of a bfloat16 matrix product."""
    left, right = torch.randn(2, MATRIX, MATRIX, device=device).to(torch.bfloat16)

    def product() -> Tensor:
        found = left @ right
        if device.type == "cuda":
            torch.cuda.synchronize()
        return found

    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        product()
        seconds.append(time.perf_counter() - began)
    return 2 * MATRIX**3 / min(seconds)


def waiting(given: argparse.Namespace, map_storage: str, steps: int = 40) -> float:
    """The share of some steps' time that they wait for batches of a cache, once running."""
    cache, device = open_cache(given.cache), torch.device(given.device)
    config = replace(settings(given), map_storage=map_storage, classes_per_batch=given.videos // 2)
    source = MapSource(cache.with_splits(dict.fromkeys(cache.class_names, "base")), device=device)
    run = make_run_config(source.cache, config)
    encoder = VideoEncoder(config, **run.encoder).to(device)  # type: ignore[arg-type]
    stepper, waited, began = Stepper(encoder, config, base_texts(source, run)), 0.0, time.perf_counter()
    for number, batch in enumerate(base_batches(source, config).batches(0, steps)):
        if number == steps // 4:  # running by now
            waited, began = 0.0, time.perf_counter()
        waited += batch.waited
        stepper.step(number, batch)
    return waited / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
