"""How a video becomes maps: as the cache of a run says, or as an extraction does where nothing was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from hcl.extract.backbones.backbone import Backbone, choose_dtype, load_backbone
from hcl.extract.backbones.weights import TORCHVISION
from hcl.extract.config import DEFAULTS, ExtractConfig
from hcl.extract.system.errors import InputError
from hcl.extract.system.settings import list_differences


def config_of_cache(
    settings: Mapping[str, Any], views: int, given: ExtractConfig, device: torch.device
) -> ExtractConfig:
    """The extraction that gives such maps as a cache holds.

    Args:
        settings: of the cache
        views: of each video that are embedded
        given: workers, time limit, decoder and names of frames are taken from it, and the weights unless "default"
        device: the precision of the cache is kept where this device computes it in hardware
    """
    weights = settings["weights"] if given.weights == "default" else given.weights
    return replace(
        given,
        frames=settings["frames"],
        size=settings["size"],
        views=views,
        flip=bool(settings.get("flip")) and views > 1,
        view_seed=settings.get("view_seed") or 0,
        crops=settings.get("crops", DEFAULTS["crops"]),
        motion=settings.get("motion", DEFAULTS["motion"]),
        exposure=settings.get("exposure", DEFAULTS["exposure"]),
        backbone=settings["backbone"],
        weights=weights,
        backbone_layer=settings.get("backbone_layer", DEFAULTS["backbone_layer"]),
        cache_dtype=settings.get("cache_dtype", DEFAULTS["cache_dtype"]),
        precision=precision_on(device, str(settings.get("precision", "auto"))),
        compile=False,
    )


def precision_on(device: torch.device, precision: str) -> str:
    """The precision of a cache where the device has it in hardware, else "auto"."""
    fastest = str(choose_dtype("auto", device)).removeprefix("torch.")
    return precision if device.type == "cuda" or precision in ("float32", fastest) else "auto"


def views_of_run(settings: Mapping[str, Any], test_views: int) -> int:
    """How many views of each video a run embeds.

    Args:
        settings: of its cache
        test_views: as the run has it; 0: all that the cache holds

    Raises:
        InputError: if the cache holds fewer
    """
    held = int(settings.get("views", 1))
    if not 0 <= test_views <= held:
        raise InputError(f"--test-views {test_views}: the run's cache holds {held} of each video; give 0 to {held}")
    return test_views or held


def backbone_of(config: ExtractConfig, settings: Mapping[str, Any], device: torch.device) -> Backbone:
    """Load the backbone of a cache.

    Args:
        config: of an extraction like the cache's
        settings: of the cache
        device: to run on

    Raises:
        InputError: if its weights are not at hand, or are others
    """
    named, sha256 = settings["weights"], settings["weights_sha256"]
    remedy = f"give the weights that the run's cache was extracted with, {named} (SHA-256 {sha256[:12]}...): --weights"
    if config.weights not in ("default", *TORCHVISION) and not Path(config.weights).is_file():
        raise InputError(f"{config.weights}: no such file of weights; {remedy}")
    backbone = plain_backbone(config, device)
    if differences := list_differences(
        {"weights_sha256": sha256}, {"weights_sha256": backbone.identity.sha256}, there="in the run"
    ):
        raise InputError(f"{config.weights}: other weights than the run's ({differences}); {remedy}")
    return backbone


def plain_backbone(config: ExtractConfig, device: torch.device) -> Backbone:
    """Load the backbone that a configuration names."""
    return load_backbone(
        config.backbone,
        config.weights,
        size=config.size,
        frames=config.frames,
        precision=config.precision,
        backbone_layer=config.backbone_layer,
        device=device,
    )
