"""What an extraction would take: classes, counts, disk and time, without writing anything."""

import time
from pathlib import Path

import numpy as np

from hcl.extract.backbones.backbone import Backbone
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.config import ExtractConfig
from hcl.extract.decoding.ahead import Decoded
from hcl.extract.decoding.worker import DecodeTask, decode_video, read_source
from hcl.extract.pipeline.extraction import choose_backbone
from hcl.extract.pipeline.inference import mapped
from hcl.extract.pipeline.plan import Plan, make_plan, with_cache_choices
from hcl.extract.system.threads import cores
from hcl.extract.video.views import ViewChoice

COMPRESSED = {  # of the raw size, on real videos: most of what layer 4 gives is zeros
    "layer4": {"float16": 0.18, "uint8": 0.13},
    "layer3": {"float16": 0.54, "uint8": 0.33},
    "layer3-pooled": {"float16": 0.64, "uint8": 0.39},
}
SAMPLED = 5  # videos decoded to measure


def forecast(videos: Path, path: Path, config: ExtractConfig, *, names: Path | None = None) -> str:
    """Describe what an extraction would do; the time is measured on one batch and a few of the videos.

    Raises:
        InputError: as the extraction would
    """
    cache = ZarrCache.open(path) if path.exists() else None
    config = with_cache_choices(config, cache) if cache else config
    plan = make_plan(videos, cache, config, names)
    backbone = choose_backbone(config)
    known = backbone.identity
    raw = config.views * config.frames * known.grid[0] * known.grid[1] * known.channels * 2
    count, compressed = len(plan.pending), COMPRESSED[config.backbone_layer][config.cache_dtype]
    seconds = count * seconds_per_video(plan, config, backbone)
    return "\n".join(
        [
            *plan.split_lines(),
            f"{count} videos to read, {plan.kept} done already, {len(plan.catalog.ignored)} other files ignored",
            f"disk: about {_bytes(count * raw * compressed)} ({_bytes(count * raw)} before compression)",
            f"time: about {_duration(seconds)} on this machine (measured on one batch and up to {SAMPLED} videos)",
            "nothing was written",
        ]
    )


def seconds_per_video(plan: Plan, config: ExtractConfig, backbone: Backbone) -> float:
    """Estimate by measuring: one batch of the backbone, and all views of a few videos spread over the set."""
    images = np.zeros((1, config.batch_size, config.size, config.size, 3), np.uint8)
    batch = [Decoded(0, images, 1, "", "", 0, 0)]
    list(mapped(batch, backbone, config.batch_size))  # the first call sets up buffers
    start = time.perf_counter()
    list(mapped(batch, backbone, config.batch_size))
    per_video = (time.perf_counter() - start) * config.views * config.frames / config.batch_size
    chosen = sorted({int(place) for place in np.linspace(0, len(plan.pending) - 1, SAMPLED)}) if plan.pending else []
    views = ViewChoice.of(config)
    task = DecodeTask(frames=config.frames, size=config.size, decoder=config.decoder, views=views)
    start = time.perf_counter()
    for place in chosen:
        row, video = plan.pending[place]
        decode_video(row, video, task, read_source(video))
    decoding = (time.perf_counter() - start) / max(1, len(chosen)) / (config.workers or cores())
    return per_video + decoding if backbone.device.type == "cpu" else max(per_video, decoding)


def _bytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
