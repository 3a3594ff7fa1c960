"""What a run follows from, settled before anything is trained: splits, settings, shapes, and the folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.cache.formats import open_cache
from hcl.extract.cache.video_table import left_out_text
from hcl.extract.catalog.csv_files import read_splits
from hcl.extract.config import DEFAULTS
from hcl.extract.system.atomic import json_hash
from hcl.extract.system.console import from_csv_cell
from hcl.extract.system.errors import InputError, schema_of, what_stands_at
from hcl.extract.system.lock import LOCK_NAMES
from hcl.extract.system.places.location import place_of
from hcl.extract.system.progress import logger
from hcl.extract.system.settings import list_differences, option_of
from hcl.match.config import HCL
from hcl.train.config import LARGE_SET, TRAIN_ON, TrainConfig, preset_config
from hcl.train.data.cached_maps import finished_classes
from hcl.train.data.class_augmentation import VERSIONS, class_versions
from hcl.train.data.joined_caches import JoinedCaches
from hcl.train.data.joining import join_caches, refuse_two_splits
from hcl.train.encoders.layer4 import inputs_in, lacks_layer4, shape_of_layer4
from hcl.train.fitting.loop import FREE_TO_CHANGE
from hcl.train.runs.run_folder import CONFIG, Run, RunConfig, dated_run, read_config, write_config
from hcl.train.runs.run_folder import SCHEMA as RUN_SCHEMA
from hcl.train.runs.tracking.trackers import require_tracker

BASE_CONTENTS = "base_contents"  # what a run keeps of the contents of its base videos
LABELS = "labels"  # the hash of the names, classes and groups of all videos
BASE_LABELS = "base_labels"  # the hash of the classes of the base videos, known by their contents
CONTENT_LENGTH = 16  # hexadecimal digits of each: with a million videos, chance makes two alike once in 10 million sets
LEAST_TO_HOLD_OUT = 6  # base classes, of which three at least are held out: two choose badly
LEAST_TO_CHOOSE_EPOCHS = 9  # below that so few are left that how long they train says nothing of all


def open_with_splits(
    paths: str | Path | Sequence[str | Path],
    splits: str | Path | None,
    *,
    merge_classes: bool = False,
    train_on: str = "base",
) -> FrameMapCache:
    """Open a cache, or several as one, with the splits of a CSV file (label,split) in place of its own.

    Args:
        paths: of one cache or several
        splits: the file, which must name each class; those of several caches are called SET/class, unless merged
        merge_classes: whether classes of the same name in several caches are one
        train_on: one of TRAIN_ON: whether the val classes, or all, are base classes, too

    Raises:
        InputError: if a cache or the file cannot be read, caches do not fit together, or a class has no split or two
    """
    paths = [paths] if isinstance(paths, str | os.PathLike) else paths
    if merge_classes and len(paths) < 2:
        raise InputError("--merge-classes merges the classes of several caches; name more than one, or leave it out")
    cache = open_cache(paths[0]) if len(paths) == 1 else join_caches(paths, merge_classes=merge_classes)
    if splits is not None:
        known = cache.class_splits
        given = {name if name in known else from_csv_cell(name): of for name, of in read_splits(splits).items()}
        try:
            cache = cache.with_splits(given)
        except InputError as error:
            raise InputError(f"{splits}: {error}") from error
    if train_on != "base":
        kept = TRAIN_ON[train_on]
        cache = cache.with_splits({name: of if of in kept else "base" for name, of in cache.class_splits.items()})
    if isinstance(cache, JoinedCaches):
        refuse_two_splits(cache)
    return cache


def plan_run(cache: FrameMapCache, folder: str | Path | None, preset: str | None, settings: Mapping[str, Any]) -> Run:
    """Settle a run; nothing is written.

    Args:
        cache: with the splits that count
        folder: of the run; None: a dated one
        preset: where the settings start from; None: those of the unfinished run in the folder, else what suits the set
        settings: fields of TrainConfig that replace those of the preset or the unfinished run; None leaves them

    Raises:
        InputError: if a setting is out of its range or the cache cannot be trained on with it
    """
    folder = place_of(folder) if folder else dated_run()
    if preset is None and (folder / CONFIG).is_file():
        given = {name: value for name, value in settings.items() if value is not None}
        training = replace(read_config(folder).training, **given)
    else:
        training = preset_config(preset or default_preset(cache), **settings)
    require_tracker(training.tracker)
    return Run(folder, make_run_config(cache, training))


def held_out_twins(cache: FrameMapCache, run: Run | None = None) -> dict[int, str]:
    """The val and novel videos that are not embedded, since they are byte-identical to one of an earlier split.

    Args:
        cache: with the splits that count
        run: whose encoder embeds; what it was trained on is base, be it of another cache

    Returns:
        by row, each with its twin, such as "novel b/1.mp4 = base a/1.mp4"
    """
    videos = cache.videos
    twins = {row: other for row, other in cache.left_out.items() if videos.split[row] != "base"}
    found = dict(zip(sorted(twins), videos.same_as(twins), strict=True))
    trained = {*run.config.cache.get(BASE_CONTENTS, "").split()} if run else set()
    for row, content in enumerate(videos.content):
        if content[:CONTENT_LENGTH] in trained and videos.split[row] != "base" and row not in found:
            found[row] = f"{videos.split[row]} {videos.path[row]} = a base video of {run.folder if run else ''}"
    return found


def log_left_out(twins: Mapping[int, str]) -> None:
    """Warn of what `held_out_twins` found."""
    if twins:
        logger.warning(left_out_text(tuple(twins.values())))


def default_preset(cache: FrameMapCache) -> str:
    """Choose the paper's schedule for a large set on a GPU, the quick one otherwise."""
    return "paper" if torch.cuda.is_available() and len(cache.rows("base")) >= LARGE_SET else "quick"


def log_preset(cache: FrameMapCache) -> None:
    """Say which preset `default_preset` chose, and why."""
    preset = default_preset(cache)
    logger.info(
        f"preset {preset}, chosen for {len(cache.rows('base'))} base videos and"
        f" {'a' if torch.cuda.is_available() else 'no'} GPU; override with --preset"
        f" {'quick' if preset == 'paper' else 'paper'}"
    )


def make_run_config(cache: FrameMapCache, training: TrainConfig) -> RunConfig:
    """Put together all that a run follows from.

    Args:
        cache: with the splits that count
        training: the settings

    Raises:
        InputError: if there is something to train and fewer than two base classes have videos, if layer 4 shall be
            finetuned or skipped and the cache's maps are not what it takes, or if the cache holds too few views
    """
    _check_layer4(cache, training)
    _check_class_augmentation(cache, training)
    if len(cache.videos) and not any(cache.videos.label):
        raise InputError(
            f"{cache.path}: none of its {len(cache.videos)} videos has a label, and training needs them; give labels in"
            " the manifest and run hcl extract again, or go without training: hcl embed --untrained"
        )
    base = finished_classes(cache, "base")
    if len(base) < 2 and training.method != "resnet":
        raise InputError(
            f"{cache.path}: {len(base)} base classes with videos, training needs 2 or more;"
            " give splits at extraction or by hcl train --splits FILE, or go without training: hcl embed --untrained"
        )
    cache.resolve_views(training.views)
    cache.resolve_views(training.test_views, "--test-views")
    is_hcl = training.method == "hcl"
    text = cache.text_embeddings if is_hcl and training.semantic_attention else None
    frames, patches, channels = shape_of_layer4(cache.shape, cache.settings, skipped=training.skip_layer4)
    shape: dict[str, int | None] = {
        "channels": channels,
        "frames": frames,
        "patches": patches,
        "inputs": inputs_in(cache.settings),
    }
    if is_hcl:
        shape["classes"] = class_versions(len(base), training.class_augmentation)
        shape["text_width"] = None if text is None else text.shape[1]
    return RunConfig(
        training=training,
        cache=record_cache(cache),
        text_model=cache.text_model if text is not None else None,
        splits=cache.class_splits,
        base_classes=base,
        encoder=shape,
    )


def held_out_classes(cache: FrameMapCache, training: TrainConfig) -> tuple[str, ...]:
    """The base classes that choose the level weights, and the epoch, where fewer than two val classes can.

    Args:
        cache: with the splits that count
        training: whether any are held out, and of which method

    Returns:
        a quarter of the base classes, three at least, always the same ones; none where val classes can choose, fewer
        than three would be left, or they would choose nothing: a method other than hcl has no level weights, and below
        nine base classes no epoch is chosen. Of several sets a quarter of each that lacks val classes, first those that
        no other set has, and with each what reads alike in other sets
    """
    if not training.hold_out or training.method == "resnet":
        return ()
    least = LEAST_TO_HOLD_OUT if training.method == HCL else LEAST_TO_CHOOSE_EPOCHS
    held_out: set[str] = set()
    for rows in _rows_of_sets(cache):
        base = usable_classes(cache, "base", rows)
        if len(usable_classes(cache, "val", rows)) < 2 and len(base) >= least:
            drawn = np.random.default_rng(0).permutation(base).tolist()
            more = max(3, round(len(base) / 4)) - len(held_out.intersection(base))
            with_alike = sorted((_alike(cache, name) for name in drawn if name not in held_out), key=len)
            held_out.update(*with_alike[: max(0, more)])
    return tuple(sorted(held_out)) if len(usable_classes(cache, "base")) - len(held_out) > 2 else ()


def _alike(cache: FrameMapCache, name: str) -> set[str]:
    """A base class, with those of other sets that read alike."""
    alike = cache.alike(name) if isinstance(cache, JoinedCaches) else {name}
    return {each for each in alike if cache.class_splits[each] == "base"}


def _rows_of_sets(cache: FrameMapCache) -> list[NDArray[np.int64]]:
    """The finished videos of each of several sets; of one cache, all of it."""
    rows = cache.rows()
    if not isinstance(cache, JoinedCaches):
        return [rows]
    return [rows[cache.set_numbers[rows] == number] for number in range(len(cache.sets))]


def usable_classes(cache: FrameMapCache, split: str, among: NDArray[np.int64] | None = None) -> list[str]:
    """The classes of a split with two finished videos or more, a query and a support, in alphabetical order.

    Args:
        cache: with the splits that count
        split: "base", "val" or "novel"
        among: rows that count; None: all
    """
    rows = cache.rows(split)
    counts = Counter(cache.videos.take(rows if among is None else np.intersect1d(rows, among)).label)
    return sorted(name for name, count in counts.items() if count > 1)


def record_cache(cache: FrameMapCache) -> dict[str, Any]:
    """What a run keeps of its cache: path, identity, settings and what the base videos hold.

    Of several caches also each path and identity.
    """
    record: dict[str, Any] = {"path": str(cache.path), "identity": cache.identity, "settings": cache.settings}
    contents = {cache.videos.content[row][:CONTENT_LENGTH] for row in cache.rows("base")} - {""}
    record[LABELS] = cache.labels_identity
    record[BASE_CONTENTS] = " ".join(sorted(contents))
    record[BASE_LABELS] = labels_of(cache, contents)
    if isinstance(cache, JoinedCaches):
        record["paths"] = {name: str(one.path) for name, one in cache.sets.items()}
        record["sets"] = {name: one.identity for name, one in cache.sets.items()}
        record["merge_classes"] = cache.merge_classes
    return record


def labels_of(cache: FrameMapCache, contents: Collection[str]) -> str:
    """A hash of the classes that a cache gives some videos, known by the beginnings of their contents' hashes."""
    videos, known = cache.videos, set(contents)
    begun = ((content[:CONTENT_LENGTH], label) for content, label in zip(videos.content, videos.label, strict=True))
    return json_hash(sorted({pair for pair in begun if pair[0] in known}))


def _check_class_augmentation(cache: FrameMapCache, training: TrainConfig) -> None:
    """Refuse to run videos backwards whose difference images, which cannot be turned once mapped, run forwards."""
    if any(version.reversed for version in VERSIONS[training.class_augmentation]) and inputs_in(cache.settings) > 1:
        raise InputError(
            f"--class-augmentation {training.class_augmentation}: {cache.path} holds maps of difference images, which"
            " cannot be run backwards; take hflip or none, or extract with: hcl extract --motion none"
        )


def _check_layer4(cache: FrameMapCache, training: TrainConfig) -> None:
    """Refuse to finetune or skip layer 4 behind maps that are not what it takes."""
    if (training.finetune != "none" or training.skip_layer4) and not lacks_layer4(cache.settings):
        option = "--skip-layer4" if training.skip_layer4 else f"--finetune {training.finetune}"
        backbone_layer = cache.settings.get("backbone_layer", DEFAULTS["backbone_layer"])
        raise InputError(
            f"{cache.path}: holds maps of {backbone_layer}, {option} needs those of layer 3 as they are;"
            " leave it out, or extract another cache with: hcl extract --backbone-layer layer3"
        )


def begin(run: Run) -> None:
    """Make the folder of a run, or make sure that an unfinished run there is the same one.

    Raises:
        InputError: as `refuse_other_run`
    """
    refuse_other_run(run)
    if is_unused(run.folder):
        write_config(run.folder, run.config)


def refuse_other_run(run: Run, option: str = "--run") -> None:
    """Refuse a folder that holds anything but an unfinished run of the same settings.

    Raises:
        InputError: if a finished or another run, or something else, stands there, or a file stands in its way
    """
    folder = run.folder
    another = f"name another folder with {option}"
    if is_unused(folder):
        if in_the_way := next((place for place in folder.parents if place.is_file()), None):
            raise InputError(f"{folder}: {in_the_way} is a file, not a folder; {another}")
        return
    if schema_of(folder) != RUN_SCHEMA:
        raise InputError(f"{folder}: {what_stands_at(folder)}, not a run; {another}")
    there = read_config(folder)
    if run.is_finished:
        raise InputError(f"{folder}: this run is finished; {another}")
    if differences := describe_differences(there, run.config):
        raise InputError(f"{folder}: an unfinished run with another {differences}; {another}")


def is_unused(folder: Path) -> bool:
    """Whether a run can begin there: nothing is there, or an empty folder, or one that holds a lock alone."""
    return not folder.exists() or (folder.is_dir() and {entry.name for entry in folder.iterdir()} <= set(LOCK_NAMES))


def describe_differences(then: RunConfig, now: RunConfig) -> str:
    """Name the first part in which two runs differ, with the differing values; "" for the same run."""
    before, after = then.to_dict(), now.to_dict()
    options = {each.name: option_of(each) for each in fields(TrainConfig)}  # as they are typed
    free = {
        "training": tuple(options[name] for name in FREE_TO_CHANGE),
        "cache": ("path", "paths", BASE_CONTENTS, BASE_LABELS, LABELS),
    }  # the same cache may lie elsewhere now
    for state in (before, after):
        state["training"] = {options.get(name, name): value for name, value in state["training"].items()}
    for part in ("training", "cache", "text_model", "splits"):
        if differences := list_differences(before[part] or {}, after[part] or {}, without=free.get(part, ())):
            return f"{part} ({differences})"
    labels = before["cache"].get(LABELS)  # None of a run that was begun by an earlier version
    return "cache (videos have other classes or groups now)" if labels not in (None, after["cache"].get(LABELS)) else ""


def describe_run(run: Run) -> str:
    """Say in one line where a run stands, how many classes it learns from, by which method."""
    config, training = run.config, run.config.training
    classes = f"{len(config.base_classes)} base classes"
    turned = class_versions(len(config.base_classes), training.class_augmentation) - len(config.base_classes)
    if turned and training.method != "resnet":
        ways = {"hflip": "mirrored", "reverse": "reversed", "both": "mirrored or reversed"}
        classes += f" and {turned} {ways[training.class_augmentation]} ones"
    if training.method != "hcl":
        method = f"method {training.method}"
    elif config.text_model:
        method = f"semantic attention with class texts by {config.text_model['model']}"
    else:
        method = "no semantic attention" + (" (the cache has no text)" if training.semantic_attention else "")
    return f"run {run.folder}: {classes}; {method}"
