"""Evaluate a run on another set: embed it by the run's encoder, and leave out the classes that training has seen.

The setting of section 4.4 and Table 7 of the paper: training classes of Kinetics, novel ones of UCF-101 or HMDB-51,
without those that both have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hcl.extract.cache.base import FrameMapCache, map_settings
from hcl.extract.cache.formats import open_cache
from hcl.extract.system.atomic import json_hash, names_url
from hcl.extract.system.errors import InputError, write_errors
from hcl.extract.system.places.location import local_only, place_of
from hcl.extract.system.progress import logger
from hcl.extract.system.settings import list_differences
from hcl.match.config import BASELINE, EpisodeConfig, EvaluationConfig
from hcl.match.episodes.class_overlap import (
    ATTRIBUTE,
    Floats,
    Overlap,
    centred_cosines,
    find_overlap,
    read_overlap,
    to_attribute,
    write_overlap,
)
from hcl.match.episodes.video_pool import make_split_pool
from hcl.match.store.embedding_store import TRAINED_CLASSES, EmbeddingStore
from hcl.match.store.locate import latest_run, latest_run_of
from hcl.train.runs.embed_cache import embed_cache, refuse_other_maps
from hcl.train.runs.file_hashes import file_hash
from hcl.train.runs.run_folder import CONFIG, WEIGHTS, RunConfig, read_config

FOLDER = "on"  # in a run's folder: the stores of other caches


@dataclass(frozen=True)
class OtherSet:
    """Another set that the runs of a study are evaluated on."""

    cache: FrameMapCache
    overlap: Path  # CSV file of the classes that overlap the trained ones; written if it is not there
    device: str = "auto"

    def refuse(self, config: RunConfig, episodes: EpisodeConfig, plan: EvaluationConfig) -> None:
        """Refuse a set that a run does not fit, or from which the episodes cannot be drawn, before it is trained.

        Args:
            config: of the run
            episodes: to be drawn, of as many supports as the plan has at most
            plan: with the split

        Raises:
            InputError: the message names the remedy
        """
        refuse_other_maps(self.cache, config)
        videos = self.cache.videos.take(self.cache.rows(plan.split))
        with write_errors(self.overlap.parent, "name another folder with --out"):
            self.overlap.parent.mkdir(parents=True, exist_ok=True)
        pairs = decide_overlap(sorted(set(videos.label)), config, self.cache, self.overlap)
        trained = [pair.label for pair in pairs if pair.leave_out]
        where = f"{self.cache.path}, without the classes of {self.overlap}"
        make_split_pool(videos, plan.split, episodes, where=where, trained=trained, min_videos=plan.min_videos)

    def store(self, run: Path, split: str) -> EmbeddingStore:
        """Embed a split by a run."""
        return store_on(run, self.cache.path, split=split, overlap=self.overlap, device=self.device)


def other_sets(trained: FrameMapCache, paths: Sequence[Path], folder: Path, *, device: str) -> tuple[OtherSet, ...]:
    """Open the sets that a study evaluates on, and name the file of each one's overlapping classes.

    Args:
        trained: that is trained on
        paths: of the caches of the others
        folder: of the study and of these files
        device: "auto", "cpu" or "cuda"

    Raises:
        InputError: if two are called alike, or the maps of one are not those of the trained one
    """
    names = [_stem(path) for path in paths]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"--on: two caches are called {twice[0]}; rename one of them")
    found = []
    for path, name in zip(paths, names, strict=True):
        cache = open_cache(path)
        then, now = map_settings(trained.settings), map_settings(cache.settings)
        if differences := list_differences(then, now, there=f"in {trained.path}", here="there"):
            raise InputError(f"--on {path}: other maps: {differences}; extract both with the same settings")
        found.append(OtherSet(cache, folder / f"overlap-{name}.csv", device))
    return tuple(found)


def store_on(
    run: str | Path | None,
    cache: str | Path,
    *,
    split: str = "novel",
    overlap: str | Path | None = None,
    method: str | None = None,
    device: str = "auto",
) -> EmbeddingStore:
    """Embed a split of another cache by a run, once, and tell which of its classes the run was trained on.

    `hcl.evaluate(store_on("runs/kinetics", "ucf101.zarr"))` evaluates it.

    Args:
        run: its folder, where the embeddings are kept for later; None: the latest one
        cache: path of the other cache
        split: which of its videos are embedded
        overlap: CSV file that decides which classes are left out; written with what was found if it is not there
        method: of the latest run
        device: "auto", "cpu" or "cuda"

    Returns:
        the store, whose `trained_classes` are those that overlap

    Raises:
        InputError: if the run does not fit the cache, or the file cannot be read or written
    """
    run = place_of(run) if run is not None else latest_run() if method in (None, BASELINE) else latest_run_of(method)
    if not (run / CONFIG).is_file() and (run / "zarr.json").is_file():
        raise InputError(f"{run}: an embedding store; --on embeds by an encoder, so name the folder of a run")
    config, opened = read_config(run), open_cache(cache)
    target = run / FOLDER / f"{_stem(opened.path)}-{split}-{_key(run, opened)}.zarr"
    if not (target / "zarr.json").is_file():
        with write_errors(target.parent, f"embed it elsewhere with: hcl embed {cache} --run {run} --out STORE"):
            target.parent.mkdir(exist_ok=True)
        embed_cache(cache, target, run=run, split=split, device=device)
    store = EmbeddingStore.open(target)
    labels = sorted(set(opened.videos.take(opened.rows(split)).label))
    pairs = decide_overlap(labels, config, opened, local_only(overlap, "a file of --overlap") if overlap else None)
    trained = [pair.label for pair in pairs if pair.leave_out]
    return replace(store, attributes={**store.attributes, TRAINED_CLASSES: trained, ATTRIBUTE: to_attribute(pairs)})


def _stem(cache: Path) -> str:
    return cache.name.removesuffix(".zarr").removesuffix(".h5")


def _key(run: Path, cache: FrameMapCache) -> str:
    """What a store follows from, beside its split: another encoder or other videos have another one."""
    weights = run / WEIGHTS
    return json_hash([file_hash(weights) if weights.is_file() else "", cache.identity, cache.class_splits])[:8]


def decide_overlap(
    labels: Sequence[str], config: RunConfig, cache: FrameMapCache, file: Path | None
) -> tuple[Overlap, ...]:
    """Tell which classes overlap those that a run was trained on, or read it from a file.

    Args:
        labels: of the other cache's videos
        config: of the run
        cache: the other one
        file: that decides; written if it is not there; None: there is none
    """
    if file is not None and file.exists():
        return read_overlap(file, labels)
    trained = trained_names(config)
    pairs = find_overlap(labels, trained, text_cosines(labels, trained, config, cache))
    if file is not None:
        write_overlap(file, pairs)
        logger.info(f"{file}: classes that overlap the trained ones; change leave_out there and run again")
    return pairs


def trained_names(config: RunConfig) -> tuple[str, ...]:
    """The classes that a run was trained on, as their sets call them; none of a method that learns nothing."""
    if config.training.method == BASELINE:
        return ()
    sets = config.cache.get("sets", {})
    prefixes = {f"{name}/" for name in sets} if not config.cache.get("merge_classes") else set()
    names = (
        next((name.removeprefix(of) for of in prefixes if name.startswith(of)), name) for name in config.base_classes
    )
    return tuple(dict.fromkeys(names))


def text_cosines(
    labels: Sequence[str], trained: Sequence[str], config: RunConfig, cache: FrameMapCache
) -> Floats | None:
    """The cosines (A, B) of the classes' text embeddings, from the caches; None, with a word why, without them.

    Args:
        labels: A classes of the other cache
        trained: B classes of the run
        config: of the run
        cache: the other one
    """
    known: dict[str, np.ndarray] = {}
    paths = config.cache.get("paths", {"": config.cache["path"]})  # of several sets one each, by their names
    for path in paths.values():
        if names_url(path) and path != str(cache.path):  # no file makes the program open a connection
            continue
        try:
            of_run = open_cache(Path(path))
            if of_run.text_embeddings is not None and of_run.text_model == cache.text_model:
                known |= dict(zip(of_run.class_names, of_run.text_embeddings, strict=True))
        except InputError:
            continue  # the run's cache was moved, or is damaged: names tell
    here = cache.text_embeddings
    if here is None or not trained or not set(trained) <= set(known):
        if trained:
            logger.info("overlapping classes are told by their names alone: no text embeddings of both sets were found")
        return None
    of_labels = dict(zip(cache.class_names, here, strict=True))
    return centred_cosines(np.stack([of_labels[name] for name in labels]), np.stack([known[name] for name in trained]))
