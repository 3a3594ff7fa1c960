"""What an extraction would take: classes, counts, disk and time, without writing anything."""

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hcl.extract.backbones.backbone import Backbone
from hcl.extract.config import ExtractConfig
from hcl.extract.decoding.source import read_source
from hcl.extract.decoding.worker import Decoded, DecodeTask, decode_video
from hcl.extract.pipeline.completeness import list_planned, planned_coverage
from hcl.extract.pipeline.inference import map_videos
from hcl.extract.pipeline.plan import Plan
from hcl.extract.pipeline.preparation import choose_backbone, prepare
from hcl.extract.system.console import plain
from hcl.extract.system.places.location import place_of
from hcl.extract.system.places.streaming import streamed
from hcl.extract.system.threads import cores

COMPRESSED = {  # of the raw size, on real videos: most of what layer 4 gives is zeros
    "layer4": {"float16": 0.18, "uint8": 0.13},
    "layer3": {"float16": 0.54, "uint8": 0.33},
    "layer3-pooled": {"float16": 0.64, "uint8": 0.39},
    "layer3+layer4": {"float16": 0.34, "uint8": 0.22},
}
SAMPLED = 5  # videos decoded to measure


@dataclass(frozen=True)
class Forecast:
    """What an extraction would take."""

    splits: tuple[str, ...]  # one line a split
    to_read: int  # videos
    cached: int  # videos that are not read again
    ignored: int  # files and folders that were not taken for videos
    bytes_on_disk: int  # of the new maps, about
    raw_bytes: int  # the same before compression
    seconds: float  # about, on this machine
    notes: tuple[str, ...] = ()  # what was not taken for a video, and what may be meant otherwise, in lines
    coverage: tuple[str, ...] = ()  # how much of a benchmark there would be, if all videos can be read, in lines

    def to_dict(self) -> dict[str, Any]:
        """The forecast in plain types."""
        return asdict(self)


def forecast(
    videos: str | Path,
    path: str | Path,
    config: ExtractConfig,
    *,
    names: str | Path | None = None,
    repair: bool = False,
    prune: bool = False,
    skip_missing: bool = False,
    missing_list: str | Path | None = None,
) -> Forecast:
    """Foresee what an extraction takes; the time is measured on one batch and a few of the videos.

    Args:
        videos, path, config, names, repair, prune, skip_missing: as of `extract`
        missing_list: CSV file of what is missing of a benchmark; None: none is written

    Raises:
        InputError: as the extraction would
    """
    given: dict[str, Any] = {
        "names": Path(names) if names else None,
        "repair": repair,
        "prune": prune,
        "skip_missing": skip_missing,
    }
    prepared = prepare(place_of(videos), place_of(path), config, choose_backbone, **given)
    config, plan = prepared.config, prepared.plan
    coverage = planned_coverage(plan.listing, plan.catalog, prepared.cache) if plan.listing else None
    if plan.listing and missing_list is not None:
        list_planned(plan.listing, plan.catalog, prepared.cache, Path(missing_list))
    raw_bytes = len(plan.pending) * config.views * math.prod(prepared.maps_shape) * 2
    return Forecast(
        splits=tuple(plan.split_lines()),
        to_read=len(plan.pending),
        cached=plan.kept,
        ignored=len(plan.catalog.ignored),
        bytes_on_disk=round(raw_bytes * COMPRESSED[config.backbone_layer][config.cache_dtype]),
        raw_bytes=raw_bytes,
        seconds=len(plan.pending) * seconds_per_video(plan, config, prepared.backbone),
        notes=(*plan.changes, *plan.catalog.notes()),
        coverage=tuple(coverage.sentences()) if coverage else (),
    )


def seconds_per_video(plan: Plan, config: ExtractConfig, backbone: Backbone) -> float:
    """Estimate by measuring: one batch of the backbone, and all views of a few videos spread over the set."""
    frames = backbone.clip_frames or 1
    calls = max(1, config.batch_size // frames)
    images = np.zeros((calls, frames, 1, config.size, config.size, 3), np.uint8)
    batch = [Decoded(0, images, frame_count=1, decoder="")]
    list(map_videos(batch, backbone, config.batch_size))  # the first call sets up buffers
    start = time.perf_counter()
    list(map_videos(batch, backbone, config.batch_size))
    per_video = (time.perf_counter() - start) * config.views * config.frames * config.inputs / (calls * frames)
    chosen = sorted({int(place) for place in np.linspace(0, len(plan.pending) - 1, SAMPLED)}) if plan.pending else []
    task = DecodeTask.of(config)
    start = time.perf_counter()
    with streamed([plan.pending[place] for place in chosen]) as here:
        for place in range(len(chosen)):
            row, video = here.videos[place]
            decode_video(row, video, task, read_source(video, config.frame_names))
            here.finished((row, video))
    decoding = (time.perf_counter() - start) / max(1, len(chosen)) / (config.workers or cores())
    return per_video + decoding if backbone.device.type == "cpu" else max(per_video, decoding)


def describe_forecast(forecast: Forecast) -> str:
    """What the command prints of a forecast."""
    disk, raw, duration = _bytes(forecast.bytes_on_disk), _bytes(forecast.raw_bytes), _duration(forecast.seconds)
    counts = f"{forecast.to_read} videos to read, {forecast.cached} already cached"
    return "\n".join(
        [
            *map(plain, forecast.splits),
            f"{counts}, {forecast.ignored} other files ignored",
            *map(plain, forecast.notes),
            *map(plain, forecast.coverage),
            f"disk: about {disk} ({raw} before compression)",
            f"time: about {duration} on this machine (measured on one batch and up to {SAMPLED} videos)",
            "nothing was written",
        ]
    )


def _bytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
