"""The clips that a run is adapted to, as a cache of maps like the run's."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from hcl.classify.embedding.recipe import config_of_cache
from hcl.classify.support.class_keys import model_argument
from hcl.classify.support.store import is_support_set, read_support
from hcl.extract.cache.base import FrameMapCache
from hcl.extract.cache.formats import open_cache
from hcl.extract.config import ExtractConfig
from hcl.extract.pipeline.extraction import extract
from hcl.extract.pipeline.summary import Summary
from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.device import choose_device
from hcl.extract.system.errors import InputError
from hcl.extract.system.places.location import local_only
from hcl.train.adaptation.config import AdaptConfig
from hcl.train.runs.embed_cache import refuse_other_maps
from hcl.train.runs.run_folder import Run

CLIPS, MANIFEST = "clips.zarr", "clips.csv"  # in the folder of an adapted run


def extract_clips(run: Run, support: Path, folder: Path, config: AdaptConfig) -> tuple[FrameMapCache, Summary]:
    """Map the clips as the run's cache was, in many views, into the folder of the adapted run.

    Args:
        run: to adapt
        support: folder of class folders, CSV manifest, or a support set whose files are still there
        folder: of the adapted run; clips that were mapped there before are not mapped again
        config: of the adaptation

    Raises:
        InputError: if the clips, the weights or the text model do not allow it, or none of a class can be read
    """
    settings, named = run.config.cache["settings"], config.weights
    named = run.config.training.weights if named == "auto" else named
    given = ExtractConfig(
        workers=config.workers,
        weights="default" if named == "auto" else named,
        split_policy="all-novel",
        text_model=text_model_of(run, config),
    )
    wanted = config_of_cache(settings, config.views, given, choose_device(config.device))
    wanted = replace(wanted, flip=bool(settings.get("flip")))
    summary = extract(_videos(support, folder), folder / CLIPS, wanted)
    cache = open_cache(folder / CLIPS)
    refuse_other_maps(cache, run.config)
    _refuse_lost_classes(cache)
    return cache, summary


def text_model_of(run: Run, config: AdaptConfig) -> str:
    """The text model that reads the classes of the clips: the run's.

    Raises:
        InputError: if the run has semantic attention and none is wanted
    """
    named = run.config.text_model
    if named is None:
        return "none"
    if config.text_model == "none":
        raise InputError(
            f"{run.folder}: it learned to weigh patches by class texts of {named['model']}; leave --text-model out, or"
            " give the folder of that model"
        )
    return model_argument(named["model"]) if config.text_model == "auto" else config.text_model


def _videos(support: Path, folder: Path) -> Path:
    """What an extraction takes; a support set becomes a list of its files."""
    if not is_support_set(support):
        return local_only(support, "a folder or list of clips")
    stored = read_support(support)
    gone = [path for path, source in zip(stored.videos.path, stored.sources, strict=True) if not _is_there(source)]
    if gone:
        raise InputError(
            f"{support}: holds embeddings, and the clip {gone[0]} is not where it was; adapting needs the clips"
            " themselves: give their folder or a CSV manifest"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / MANIFEST) as fresh, fresh.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "group"))
        writer.writerows(zip(stored.sources, stored.videos.label, stored.videos.group, strict=True))
    return folder / MANIFEST


def _is_there(source: str) -> bool:
    return bool(source) and Path(source).exists()


def _refuse_lost_classes(cache: FrameMapCache) -> None:
    videos, done = cache.videos, set(cache.rows().tolist())
    read = {videos.label[row] for row in done}
    for row, label in enumerate(videos.label):
        if label not in read:
            raise InputError(
                f"class {label!r}: none of its clips can be read, such as {videos.path[row]}:"
                f" {cache.sources.reason[row]}; give others, or leave the class out"
            )
    if len(read) < 2:
        raise InputError(f"{len(read)} class with clips that can be read; there must be 2 or more to tell apart")
