"""A training run from a cache to an embedding store, and the embedding of further caches by a trained encoder."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.cache.opening import open_cache
from hcl.extract.catalog import read_splits
from hcl.extract.config import LAYERS
from hcl.extract.system.device import choose_device
from hcl.extract.system.errors import InputError
from hcl.extract.system.installation import package_version
from hcl.extract.system.progress import logger
from hcl.match.store.locate import STORE, mark_latest
from hcl.train.config import TrainConfig, preset_config
from hcl.train.data.class_augmentation import versions_of
from hcl.train.distributed import is_main_process, own_gpu, process_group, run_on_main
from hcl.train.embedding import embed_to_store, views_to_embed
from hcl.train.encoders.factory import Encoder
from hcl.train.encoders.layer4 import Layer4, lacks_layer4, load_layer4, shape_of_layer4
from hcl.train.encoders.untrained import Untrained
from hcl.train.fitting.loop import FREE_TO_CHANGE
from hcl.train.runs.fit_run import fit_run
from hcl.train.runs.run_folder import CONFIG, RunConfig, dated_run, load_encoder, read_config, write_config

LARGE_SET = 2000  # base videos from which the paper's schedule is worth a GPU's time
COMPARED = ("backbone", "weights_sha256", "backbone_layer", "frames", "size", "grid", "channels")


def train(
    path: Path,
    *,
    run: Path | None,
    preset: str | None,
    splits: Path | None,
    settings: Mapping[str, Any],
    latest: bool = True,
) -> str:
    """Train on the base videos of a cache, then embed its val and novel videos.

    Nothing of the novel classes is read before the last weights stand. Processes that torchrun started train together;
    the first one speaks, writes and embeds.

    Args:
        path: of the cache
        run: folder of the run; None makes a dated one; an unfinished run goes on
        preset: "quick", "paper" or None for what suits the set and the machine
        splits: CSV file with label,split that replaces the cache's splits
        settings: fields of TrainConfig; None leaves the preset's value
        latest: let `hcl evaluate` find this run by itself

    Returns:
        a summary; "" on other processes than the first

    Raises:
        InputError: if the cache cannot be trained on, or the run is another one's
    """

    def start() -> tuple[Path, RunConfig]:
        folder = run or dated_run()
        config = plan_run(cache, of_class, training_settings(folder, cache, of_class, preset, settings))
        load_layer4(cache.settings, config.training.weights)  # refuses before anything is written
        begin(folder, config)
        if latest:
            mark_latest(folder)
        return folder, config

    with process_group():
        first = is_main_process()
        cache = open_cache(path)
        of_class = class_splits(cache, splits)
        folder, config = run_on_main(start)
        logger.info(f"run {folder}: {describe_classes(config)}; {describe_method(config)}")
        device = own_gpu(choose_device(config.training.device))
        layer4 = load_layer4(cache.settings, config.training.weights)
        encoder = fit_run(folder, cache, config, device, layer4=layer4)
    if not first:
        return ""
    return embed_held_out(encoder, cache, config, folder, device, layer4=layer4)


def embed_held_out(
    encoder: Encoder,
    cache: FrameMapCache,
    config: RunConfig,
    run: Path,
    device: torch.device,
    *,
    layer4: Layer4 | None,
) -> str:
    """Write the store of a run: the val and novel videos of its cache, by its encoder; say what was done."""
    of_class = config.splits
    rows = np.array([row for row in cache.rows() if of_class[cache.videos.label[row]] != "base"], dtype=np.int64)
    if not len(rows):
        return (
            f"{run}: trained; the cache holds no val or novel videos to embed: hcl embed {run} OTHER_CACHE --out STORE"
        )
    embed_to_store(
        encoder,
        cache,
        rows,
        run / STORE,
        store_attributes(cache, config, run),
        views=views_of_method(cache, config.training),
        layer4=layer4,
        splits=of_class,
        device=device,
    )
    return f"{run}: trained, {len(rows)} val and novel videos embedded; next: hcl evaluate {run}"


def class_splits(cache: FrameMapCache, splits: Path | None) -> dict[str, str]:
    """The split of every class: the cache's, or those of a file that must name each class."""
    if splits is None:
        return cache.class_splits
    given = read_splits(splits)
    missing = [name for name in cache.class_names if name not in given]
    if missing:
        raise InputError(f"{splits}: no split for class {missing[0]!r}; list every class of {cache.path}")
    return {name: given[name] for name in cache.class_names}


def training_settings(
    run: Path,
    cache: FrameMapCache,
    of_class: Mapping[str, str],
    preset: str | None,
    settings: Mapping[str, Any],
) -> TrainConfig:
    """Take the settings of an unfinished run, else of a preset; those that are given replace either."""
    given = {name: value for name, value in settings.items() if value is not None}
    if preset is None and (run / CONFIG).is_file():
        return replace(read_config(run).training, **given)
    return preset_config(preset or default_preset(cache, of_class), **given)


def default_preset(cache: FrameMapCache, of_class: Mapping[str, str]) -> str:
    """Choose the paper's schedule for a large set on a GPU, the quick one otherwise, and say so."""
    count = sum(of_class[cache.videos.label[row]] == "base" for row in cache.rows())
    chosen = "paper" if torch.cuda.is_available() and count >= LARGE_SET else "quick"
    why = f"{count} base videos, {'a' if torch.cuda.is_available() else 'no'} GPU"
    logger.info(f"preset {chosen} ({why}); the other one: --preset {'quick' if chosen == 'paper' else 'paper'}")
    return chosen


def plan_run(cache: FrameMapCache, of_class: Mapping[str, str], training: TrainConfig) -> RunConfig:
    """Settle everything that a run follows from.

    Raises:
        InputError: if there is something to train and there are fewer than two base classes with videos, or layer 4
            shall be tuned or skipped and the cache's maps are not what it takes
    """
    if (training.finetune != "none" or training.skip_layer4) and not lacks_layer4(cache.settings):
        asked = "--skip-layer4" if training.skip_layer4 else f"--finetune {training.finetune}"
        backbone_layer = cache.settings.get("backbone_layer", LAYERS[0])
        raise InputError(
            f"{cache.path}: holds maps of {backbone_layer}, {asked} needs those of layer 3 as they are;"
            " leave it out, or extract another cache with: hcl extract --backbone-layer layer3"
        )
    held = {cache.videos.label[row] for row in cache.rows()}
    base = tuple(name for name in cache.class_names if of_class[name] == "base" and name in held)
    if len(base) < 2 and training.method != "resnet":
        raise InputError(
            f"{cache.path}: {len(base)} base classes with videos, training needs 2 or more;"
            " give splits at extraction or by hcl train --splits FILE, or go without training: hcl embed --untrained"
        )
    views_to_embed(cache, training.test_views)  # refuses now what would end the training
    hcl = training.method == "hcl"
    text = cache.text_embeddings if hcl and training.semantic_attention else None
    frames, patches, channels = shape_of_layer4(cache.shape, cache.settings, skipped=training.skip_layer4)
    shape: dict[str, int | None] = {"channels": channels, "frames": frames, "patches": patches}
    if hcl:
        shape |= {
            "classes": len(base) * len(versions_of(training)),
            "text_width": None if text is None else text.shape[1],
        }
    return RunConfig(
        training=training,
        cache={"path": str(cache.path), "identity": cache.identity, "settings": cache.settings},
        text_model=cache.text_model if text is not None else None,
        splits=dict(of_class),
        base_classes=base,
        encoder=shape,
    )


def begin(run: Path, config: RunConfig) -> None:
    """Make the folder of a run, or make sure that an unfinished run there is the same one.

    Raises:
        InputError: if a finished or another run, or something else, stands there
    """
    if not run.exists() or (run.is_dir() and not any(run.iterdir())):
        write_config(run, config)
        return
    then = read_config(run)
    if (run / STORE).is_dir():
        raise InputError(f"{run}: this run is finished; name another folder with --run")
    if differences := describe_differences(then, config):
        raise InputError(f"{run}: an unfinished run with another {differences}; name another folder with --run")


def train_once(
    path: Path, *, run: Path, preset: str | None, splits: Path, settings: Mapping[str, Any], **shown: Any
) -> None:
    """Train a run unless it is finished; the latest run stays what it is.

    Raises:
        InputError: if a run of other settings stands in the folder
    """
    if not (run / STORE).is_dir():
        train(path, run=run, preset=preset, splits=splits, settings=settings, latest=False, **shown)
        return
    cache = open_cache(path)
    of_class = class_splits(cache, splits)
    chosen = preset or default_preset(cache, of_class)
    wanted = plan_run(cache, of_class, preset_config(chosen, **settings))
    if differences := describe_differences(read_config(run), wanted):
        raise InputError(f"{run}: a finished run with another {differences}; name another folder with --out")


def describe_differences(then: RunConfig, now: RunConfig) -> str:
    """Name the first part in which two runs differ, with the differing values; "" for the same run."""
    before, after = then.as_json(), now.as_json()
    for of in (before, after):
        of["cache"].pop("path")  # the same cache may lie elsewhere now
        for name in FREE_TO_CHANGE:
            of["training"].pop(name)
    for part in ("training", "cache", "text_model", "splits"):
        if before[part] != after[part]:
            old, new = before[part] or {}, after[part] or {}
            keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
            return f"{part} ({'; '.join(f'{key} {old.get(key)} there, {new.get(key)} now' for key in keys)})"
    return ""


def describe_classes(config: RunConfig) -> str:
    """Count the base classes, and those that their videos make when turned."""
    count, extra = len(config.base_classes), config.training.class_augmentation
    if extra == "none" or config.training.method == "resnet":
        return f"{count} base classes"
    turned = count * (len(versions_of(config.training)) - 1)
    return f"{count} base classes and {turned} {'mirrored or reversed' if extra == 'both' else extra} ones"


def describe_method(config: RunConfig) -> str:
    """Say which method is trained, and for HCL whether semantic attention is on, and by which text model."""
    if config.training.method != "hcl":
        return f"method {config.training.method}"
    if config.text_model:
        return f"semantic attention by {config.text_model['model']}"
    return "no semantic attention" + ("" if not config.training.semantic_attention else " (the cache has no text)")


def views_of_method(cache: FrameMapCache, training: TrainConfig) -> int:
    """How many views of each video are embedded: one by resnet, whose mean maps are of the canonical view."""
    return 1 if training.method == "resnet" else views_to_embed(cache, training.test_views)


def store_attributes(cache: FrameMapCache, config: RunConfig | None, run: Path | None) -> dict[str, Any]:
    """What an embedding store says of its origin."""
    origin = {"run": str(run) if run else "untrained", "cache": str(cache.path), "cache_identity": cache.identity}
    scoring = asdict(config.scoring) if config and config.training.method == "hcl" else {}
    text_model = config.text_model if config else None
    return {"origin": origin | {"hcl": package_version()}, "scoring": scoring, "text_model": text_model}


def embed_cache(
    run: Path | None,
    path: Path,
    out: Path,
    *,
    weights: str = "auto",
    test_views: int | None = None,
    device: str = "auto",
) -> str:
    """Embed every video of a cache, keeping its splits.

    Args:
        run: of the trained encoder; None embeds straight from the maps
        path: of the cache
        out: embedding store to write
        weights: of the backbone, where the cache ends before layer 4; "auto": those of the run or the cache
        test_views: of each video, whose embeddings are averaged; 0: all of them; None: as the run has it
        device: "auto", "cpu" or "cuda"

    Returns:
        a summary

    Raises:
        InputError: if the run does not fit the cache's maps or its text model, or the cache holds too few views
    """
    cache = open_cache(path)
    encoder, config = load_encoder(run) if run else (Untrained(), None)
    training = config.training if config else TrainConfig()
    if test_views is not None:
        training = replace(training, test_views=test_views)
    if config is not None:
        refuse_other_maps(cache, config)
        weights = config.training.weights if weights == "auto" else weights
    layer4 = load_layer4(cache.settings, weights)
    where = choose_device(device)
    encoder.to(where)
    rows = cache.rows()
    if not len(rows):
        raise InputError(f"{path}: holds no finished videos; run hcl extract first")
    attributes = store_attributes(cache, config, run)
    views = views_of_method(cache, training)
    embed_to_store(encoder, cache, rows, out, attributes, views=views, layer4=layer4, device=where)
    return f"{out}: {len(rows)} videos embedded; next: hcl evaluate {out}"


def refuse_other_maps(cache: FrameMapCache, config: RunConfig) -> None:
    """Refuse a cache whose maps or texts come from other models than those the run learned from."""
    then, now = ({"backbone_layer": LAYERS[0]} | settings for settings in (config.cache["settings"], cache.settings))
    differing = [name for name in COMPARED if then.get(name) != now.get(name)]
    if differing:
        listed = "; ".join(f"{name} {then.get(name)} in the run, {now.get(name)} in the cache" for name in differing)
        raise InputError(
            f"{cache.path}: other maps than the run was trained on: {listed}; extract with the run's settings"
        )
    if config.text_model and config.text_model != cache.text_model:
        found = cache.text_model["model"] if cache.text_model else "no text model"
        raise InputError(
            f"{cache.path}: class texts by {found}, the run was trained with {config.text_model['model']};"
            " extract with that --text-model"
        )
