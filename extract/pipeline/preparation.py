"""What stands before the first video of an extraction: the cache as it is, the plan, the backbone and the settings."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from hcl.extract.backbones.backbone import Backbone, BackboneFacts, load_backbone
from hcl.extract.cache.formats import is_hdf5, refuse_other_suffix
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.config import DEFAULTS, ExtractConfig
from hcl.extract.pipeline.classes import split_origin
from hcl.extract.pipeline.plan import Plan, make_plan
from hcl.extract.system.errors import InputError
from hcl.extract.system.settings import list_differences

SHOWN_ALONE = ("split_origin", "weights")  # the weights' contents are compared, not the name of their file


Facts = TypeVar("Facts", bound=BackboneFacts)


@dataclass(frozen=True)
class Preparation(Generic[Facts]):
    """All that is settled before a video is read."""

    cache: ZarrCache | None  # None: it is yet to be made
    config: ExtractConfig  # with what the cache decides
    plan: Plan
    backbone: Facts
    settings: dict[str, Any]  # of the cache

    @property
    def maps_shape(self) -> tuple[int, int, int]:
        """(T, P, C) of the maps of a view."""
        identity = self.backbone.identity
        return (
            identity.steps or self.config.frames,
            identity.grid[0] * identity.grid[1],
            self.config.inputs * identity.channels,
        )


def prepare(
    videos: Path,
    path: Path,
    config: ExtractConfig,
    load: Callable[[ExtractConfig], Facts],
    *,
    names: Path | None = None,
    repair: bool = False,
    prune: bool = False,
    skip_missing: bool = False,
    mode: str = "r",
) -> Preparation[Facts]:
    """Open the cache if it is there, plan what is to be done, and load the backbone.

    Args:
        videos: folder or manifest
        path: of the cache
        config: how to read and what to compute
        load: loads the backbone, here or where it will run
        names: CSV file with label,name: texts of classes
        repair, prune, skip_missing: as of `make_plan`
        mode: "r" to read the cache, "r+" to write to it, too

    Raises:
        InputError: if the videos, the settings or the cache do not allow the extraction
    """
    cache = ZarrCache.open(path, mode=mode) if path.exists() else None
    if cache is None:
        _refuse_name(path)
    config = with_cache_choices(config, cache) if cache else config
    if cache is not None:
        refuse_other_shards(cache, config)
    plan = make_plan(videos, cache, config, names, repair=repair, prune=prune, skip_missing=skip_missing)
    backbone = load(config)
    settings = cache_settings(config, backbone, plan)
    if cache is not None:
        refuse_other_settings(cache, settings)
    return Preparation(cache, config, plan, backbone, settings)


def _refuse_name(path: Path) -> None:
    """Refuse a name for a new cache that promises something other than a folder in Zarr format."""
    zarr = path.with_suffix(".zarr")
    if is_hdf5(path):
        raise InputError(f"{path}: hcl extract writes a Zarr folder; name it {zarr}, then: hcl convert {zarr} {path}")
    refuse_other_suffix(path, f"name the folder to write, such as {zarr}")


def with_cache_choices(config: ExtractConfig, cache: ZarrCache) -> ExtractConfig:
    """Let settings that were left open be those of the cache.

    Precision is resolved by the machine at hand: a cache begun elsewhere keeps its own.
    """
    return replace(config, precision=cache.settings.get("precision", "auto")) if config.precision == "auto" else config


def choose_backbone(config: ExtractConfig) -> Backbone:
    """Load the backbone onto the GPU if there is one.

    Raises:
        InputError: if the weights do not suit the network, or it is to be compiled for a CPU
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if config.compile and device.type == "cpu":
        raise InputError("--compile is for a GPU; a CPU runs fused operations without it: leave it out")
    return load_backbone(
        config.backbone,
        config.weights,
        size=config.size,
        frames=config.frames,
        precision=config.precision,
        backbone_layer=config.backbone_layer,
        compile_for=config.batch_size if config.compile else 0,
        device=device,
    )


def cache_settings(config: ExtractConfig, backbone: BackboneFacts, plan: Plan) -> dict[str, Any]:
    """Everything the maps depend on, as the cache keeps it, and how its splits came about."""
    return {**maps_settings(config, backbone), "split_origin": split_origin(plan.catalog, config)}


def maps_settings(config: ExtractConfig, backbone: BackboneFacts) -> dict[str, Any]:
    """Everything the maps depend on, as a cache keeps it."""
    identity = backbone.identity
    return {
        "backbone": identity.name,
        "weights": identity.weights,
        "weights_sha256": identity.sha256,
        "frames": config.frames,
        "size": config.size,
        "grid": list(identity.grid),
        "channels": config.inputs * identity.channels,
        "precision": str(backbone.dtype).removeprefix("torch."),
        **({"backbone_layer": config.backbone_layer} if config.backbone_layer != DEFAULTS["backbone_layer"] else {}),
        **({"motion": config.motion} if config.motion != DEFAULTS["motion"] else {}),
        **({"exposure": config.exposure} if config.exposure != DEFAULTS["exposure"] else {}),
        **({"image_embedding": identity.towers_sha256} if identity.embedding else {}),
        **({"compiled": True} if config.compile else {}),
        **({"cache_dtype": config.cache_dtype} if config.cache_dtype != DEFAULTS["cache_dtype"] else {}),
        **({"views": config.views, "view_seed": config.view_seed, "flip": config.flip} if config.views > 1 else {}),
        **({"crops": config.crops} if config.views > 1 and config.crops != DEFAULTS["crops"] else {}),
    }


def refuse_other_settings(cache: ZarrCache, settings: dict[str, Any]) -> None:
    """Refuse to mix maps of different settings in one cache."""
    differing = list_differences(DEFAULTS | cache.settings, DEFAULTS | settings, without=SHOWN_ALONE)
    if differing:
        raise InputError(
            f"{cache.path}: made with other settings: {differing}; use the cache's, or extract into a new cache"
        )


def refuse_other_shards(cache: ZarrCache, config: ExtractConfig) -> None:
    """Refuse other shards than a cache has: its arrays were made for them."""
    there = cache.shard_videos
    if config.shard_videos and config.shard_videos != there:
        has = f"has shards of {there} videos" if there else "has a file a video"
        raise InputError(
            f"{cache.path}: {has}, not shards of {config.shard_videos}; leave out --shard-videos, or copy it first:"
            f" hcl convert {cache.path} NEW.zarr --shard-videos {config.shard_videos}"
        )
