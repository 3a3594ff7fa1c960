"""Time the backbone's variants: python benchmarks/backbone.py [VIDEO_OR_IMAGES_FOLDER] [--device cuda] [--compile].

All variants run in one process, interleaved, so that a busy machine slows all alike; medians are compared. The speed of
a plain matrix product in half precision, measured between them, says what the device gives at best. Frames are those of
the videos in the folder, or noise without one; cosines are to eager float32, patch by patch. On a GPU --compile tells
whether hcl extract --compile pays there.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor

from hcl.extract.backbones.backbone import CPU_FRAMES, load_backbone, resnet
from hcl.extract.backbones.resnet import torchvision_models
from hcl.extract.backbones.weights import read_weights
from hcl.extract.video.reading import read_frames

GFLOP = 7.7  # of one frame at 224 x 224 in ResNet-50 v1, a multiplication and an addition counted as two
MATRIX = 2048


def load_frames(folder: Path | None, count: int) -> Tensor:
    """(count, 224, 224, 3) uint8, from the first videos of the folder."""
    if folder is None:
        return torch.randint(
            0, 256, (count, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
        )
    paths = sorted(path for path in folder.rglob("*.mp4"))
    chosen = paths[:: max(1, len(paths) // (count // 2))][: count // 2]
    images = [torch.from_numpy(np.asarray(read_frames(path, 2).images)).permute(0, 3, 1, 2).float() for path in chosen]
    resized = [torch.nn.functional.interpolate(image, (224, 224), mode="bilinear", antialias=True) for image in images]
    return torch.cat(resized).permute(0, 2, 3, 1).to(torch.uint8).contiguous()


def unfolded() -> torch.nn.Sequential:
    """The network as torchvision runs it, batch norms and all, with the strides of version 1."""
    model = torchvision_models().resnet50().eval().requires_grad_(False)
    model.load_state_dict(read_weights("default", None).tensors, strict=False)
    for layer in (model.layer2, model.layer3, model.layer4):
        layer[0].conv1.stride, layer[0].conv2.stride = (2, 2), (1, 1)
    stem = (model.conv1, model.bn1, model.relu, model.maxpool)
    return torch.nn.Sequential(*stem, model.layer1, model.layer2, model.layer3, model.layer4)


def variants(images: Tensor, device: torch.device, compile_too: bool) -> dict[str, Callable[[], Tensor]]:
    """Each variant as a function that maps all frames, (N, P, C)."""
    load = partial(load_backbone, None, size=224, device=device)
    exact, chosen = load(precision="float32"), load(precision="auto")
    half = torch.float16 if device.type == "cuda" else torch.bfloat16
    at_once = CPU_FRAMES if device.type == "cpu" else len(images)
    pixels = exact._normalised(images)  # channels last
    eager, last = unfolded().to(device), unfolded().to(device, memory_format=torch.channels_last)
    folded = resnet(None, "default").network.to(device, memory_format=torch.channels_last)
    halved = resnet(None, "default").network.to(device, half, memory_format=torch.channels_last)

    def autocast() -> Tensor:
        with torch.autocast(device.type, half):
            return last(pixels)

    def by_parts(network: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.cat([network(part) for part in torch.split(pixels.to(half), at_once)])

    first, shown = pixels.contiguous(memory_format=torch.contiguous_format), str(half).removeprefix("torch.")
    found: dict[str, Callable[[], Tensor]] = {
        "eager float32": lambda: eager(first),
        "channels_last float32": lambda: last(pixels),
        f"channels_last {shown} autocast": autocast,
        "conv+bn folded float32": lambda: folded(pixels),
        f"conv+bn folded {shown}": lambda: halved(pixels.to(half)),
        f"the same, {at_once} frames at a time": lambda: by_parts(halved),
        "hcl --precision float32": lambda: exact(images),
        f"hcl --precision auto ({str(chosen.dtype).removeprefix('torch.')})": lambda: chosen(images),
    }
    if compile_too:
        began = time.perf_counter()
        by_torch = load(precision="auto", compile_for=at_once)
        print(f"torch.compile: ready after {time.perf_counter() - began:.1f} s")
        parts = torch.split(images, at_once)
        found["hcl --precision auto --compile"] = lambda: torch.cat([by_torch(part) for part in parts])
    return found


def patches(maps: Tensor) -> Tensor:
    """Bring a network's (N, C, h, w) or a backbone's (N, P, C) into (N, P, C) float32."""
    return maps.float() if maps.dim() == 3 else maps.float().flatten(2).transpose(1, 2)


@torch.inference_mode()
def main() -> None:
    """Run, check and time every variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="time torch.compile too; on a CPU it needs a compiler")
    parser.add_argument("--cpu-time", action="store_true", help="count CPU seconds, with --threads 1 on a busy machine")
    options = parser.parse_args()
    clock = time.process_time if options.cpu_time else time.perf_counter
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    images = load_frames(options.folder, options.frames).to(device)
    runs = variants(images, device, options.compile)
    exact = patches(next(iter(runs.values()))())
    cosines = {name: torch.cosine_similarity(patches(run()), exact, dim=2) for name, run in runs.items()}
    left, right = torch.randn(2, MATRIX, MATRIX, device=device).to(torch.bfloat16)
    runs["bfloat16 matrix product"] = lambda: left @ right
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            began = clock()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds[name].append(clock() - began)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    product = 2 * MATRIX**3 / 1e9 / medians.pop("bfloat16 matrix product")
    slowest = medians["eager float32"]
    ratios = {
        name: statistics.median(a / b for a, b in zip(seconds["eager float32"], seconds[name], strict=True))
        for name in medians
    }
    rows = [
        (
            name,
            len(images) / median,
            slowest / median,
            ratios[name],
            GFLOP * len(images) / median,
            cosines[name].mean().item(),
            cosines[name].min().item(),
        )
        for name, median in medians.items()
    ]
    headers = ("variant", "frames/s", "of medians", "median of ratios", "GFLOP/s", "cosine mean", "least")
    print(tabulate(rows, headers, floatfmt=("", ".1f", ".2f", ".2f", ".0f", ".5f", ".4f"), tablefmt="github"))
    print(f"bfloat16 matrix product of {MATRIX}: {product:.0f} GFLOP/s, {device}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
