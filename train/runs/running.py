"""A training run, from a cache to the embedding store of its val and novel videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.system.atomic import atomic_folder, remove_unfinished
from hcl.extract.system.device import choose_device
from hcl.extract.system.errors import InputError
from hcl.extract.system.lock import sole_writer
from hcl.extract.system.progress import logger
from hcl.match.evaluation.level_weights import LevelWeights
from hcl.match.store.locate import SET_STORES, STORE, mark_latest
from hcl.train.config import preset_config
from hcl.train.data.joined_caches import JoinedCaches
from hcl.train.data.joining import log_sets
from hcl.train.data.map_source import MapSource
from hcl.train.distributed import is_main_process, own_gpu, process_group, run_on_main
from hcl.train.encoders.factory import Encoder
from hcl.train.runs.embed_cache import write_embeddings
from hcl.train.runs.fit_run import fit_run
from hcl.train.runs.metrics_log import kept_epoch
from hcl.train.runs.planning import (
    begin,
    default_preset,
    describe_differences,
    describe_run,
    held_out_classes,
    held_out_twins,
    log_left_out,
    make_run_config,
    open_with_splits,
    plan_run,
)
from hcl.train.runs.run_folder import CHOICE, Run, is_finished, read_config


@dataclass(frozen=True)
class TrainedRun:
    """A run that was trained to its end."""

    folder: Path
    embedded: int  # val and novel videos in its embedding store; 0: the cache holds none, and there is no store
    stores: tuple[Path, ...] = ()  # of each of several sets

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        stores = {"stores": [str(store) for store in self.stores]} if self.stores else {}
        return {"run": str(self.folder), "embedded_videos": self.embedded, **stores}

    def __str__(self) -> str:
        run, count = self.folder, self.embedded
        if self.stores:
            steps = "".join(f"\n  hcl evaluate {store}" for store in self.stores)
            return f"{run}: trained, {count} val and novel videos embedded, set by set; next, one of:{steps}"
        if count:
            return f"{run}: trained, {count} val and novel videos embedded; next: hcl evaluate {run}"
        return (
            f"{run}: trained; the cache holds no val or novel videos to embed:"
            f" hcl embed OTHER_CACHE --run {run} --out STORE"
        )


def train(
    cache: str | Path | Sequence[str | Path],
    *,
    run: str | Path | None = None,
    preset: str | None = None,
    splits: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    merge_classes: bool = False,
    latest: bool = True,
) -> TrainedRun | None:
    """Train on the base videos of a cache, or of several, then embed its val and novel videos.

    No map of a novel class is read before the last weights are saved. Processes that torchrun started train together;
    the first one logs, writes and embeds.

    Args:
        cache: path of the cache, or those of several of like maps, which are each a set
        run: folder of the run; None makes a dated one; an unfinished run resumes
        preset: "quick", "paper" or None for what suits the set and the machine
        splits: CSV file with label,split that replaces the cache's splits; several sets call a class SET/class
        settings: fields of TrainConfig; None leaves the preset's value
        merge_classes: whether classes of the same name in several sets are one
        latest: let `hcl evaluate` find this run by itself

    Returns:
        the trained run; None on other processes than the first

    Raises:
        InputError: if the cache cannot be trained on, several do not fit together, or another run stands in the folder
    """
    with process_group():
        on_main = is_main_process()
        opened = open_with_splits(cache, splits, merge_classes=merge_classes)
        if on_main and isinstance(opened, JoinedCaches):
            log_sets(opened)
        if on_main:
            log_left_out(held_out_twins(opened))
        planned = run_on_main(lambda: plan_run(opened, run, preset, settings or {}))
        with ExitStack() as held:
            run_on_main(lambda: held.enter_context(sole_writer(planned.folder, inside=True)))
            encoder, source = _fit(planned, opened, latest)
            return embed_held_out(encoder, source, planned) if on_main else None


def _fit(planned: Run, opened: FrameMapCache, latest: bool) -> tuple[Encoder, MapSource]:
    """Train a run whose lock is held; without classes to validate on, choose the epoch on held-out ones first."""
    training = planned.config.training
    device = own_gpu(choose_device(training.device))
    source = MapSource(opened, training.weights, device)
    run_on_main(lambda: _begin(planned, source, latest))
    epochs = None
    if held_out := held_out_classes(opened, training):
        as_val = opened.with_splits(opened.class_splits | dict.fromkeys(held_out, "val"))
        epochs = _choose(MapSource(as_val, training.weights, device), planned, held_out)
    logger.info(describe_run(planned))
    return fit_run(planned.folder, source, planned.config, epochs=epochs), source


def _choose(source: MapSource, run: Run, held_out: Sequence[str]) -> int:
    """Train without some base classes, in a run within the run, and say which epoch was best on them.

    Its store, of the held-out classes alone, keeps the weights of the levels.

    Args:
        source: of the maps, the held-out classes being val
        run: that will train on all base classes
        held_out: these classes
    """
    choice = Run(run.folder / CHOICE, make_run_config(source.cache, run.config.training))
    if not run_on_main(lambda: choice.is_finished):
        logger.info(
            f"no 2 val classes, so {', '.join(held_out)} are held out first, to choose the epoch and the weights of the"
            " levels; then all base classes are trained on (--no-hold-out: at once)"
        )
        run_on_main(lambda: begin(choice))
        encoder = fit_run(choice.folder, source, choice.config)
        run_on_main(lambda: embed_held_out(encoder, source, choice, splits=("val",)))
    return run_on_main(lambda: kept_epoch(choice.folder))


def _begin(run: Run, source: MapSource, latest: bool) -> None:
    """Write the folder of a run, or find it there; wrong weights are refused before."""
    source.load()
    begin(run)
    remove_unfinished(run.folder)
    if latest:
        mark_latest(run.folder)


def embed_held_out(
    encoder: Encoder,
    source: MapSource,
    run: Run,
    splits: Sequence[str] = ("val", "novel"),
    fallback: LevelWeights | None = None,
) -> TrainedRun:
    """Write the embedding store of a run, or one a set: the videos of some splits of its cache, by its encoder.

    Args:
        encoder: of the run, on the source's device
        source: of the maps
        run: where the store goes
        splits: whose videos are embedded
        fallback: as of `write_embeddings`
    """
    if of_sets := source.of_sets():
        return _embed_sets(encoder, of_sets, run, splits, fallback)
    rows = rows_of(source, splits, run)
    if len(rows):
        write_embeddings(encoder, source, rows, run.folder / STORE, run, fallback=fallback)
    return TrainedRun(run.folder, len(rows))


def rows_of(source: MapSource, splits: Sequence[str], run: Run) -> NDArray[np.int64]:
    """The rows of some splits of a source's cache, ascending, without what the run was trained on."""
    rows = np.concatenate([source.cache.rows(split) for split in splits])
    return np.setdiff1d(rows, list(held_out_twins(source.cache, run))).astype(np.int64)


def _embed_sets(
    encoder: Encoder,
    of_sets: Mapping[str, MapSource],
    run: Run,
    splits: Sequence[str],
    fallback: LevelWeights | None,
) -> TrainedRun:
    """Write a store for each set that has videos of some splits, with the classes and videos as its cache calls them.

    The folder of the stores is there once all are written.
    """
    held_out = {name: rows_of(one, splits, run) for name, one in of_sets.items()}
    names, folder = [name for name, rows in held_out.items() if len(rows)], run.folder / SET_STORES
    if names:
        with atomic_folder(folder) as fresh:
            for name in names:
                write_embeddings(encoder, of_sets[name], held_out[name], fresh / f"{name}.zarr", run, fallback=fallback)
    stores = tuple(folder / f"{name}.zarr" for name in names)
    return TrainedRun(run.folder, sum(map(len, held_out.values())), stores)


def train_once(
    cache: str | Path, *, run: Path, preset: str | None, splits: Path | None, settings: Mapping[str, Any]
) -> None:
    """Train a run unless it is finished; the latest run stays what it is.

    Args: as of `train`

    Raises:
        InputError: if a run of other settings stands in the folder
    """
    if not is_finished(run):
        train(cache, run=run, preset=preset, splits=splits, settings=settings, latest=False)
        return
    opened = open_with_splits(cache, splits)
    config = make_run_config(opened, preset_config(preset or default_preset(opened), **settings))
    if differences := describe_differences(read_config(run), config):
        raise InputError(f"{run}: a finished run with another {differences}; name another folder with --out")
