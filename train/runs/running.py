"""A training run, from a cache to the embedding store of its val and novel videos."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.system.atomic import atomic_folder, in_bucket, remove_unfinished
from hcl.extract.system.device import choose_device
from hcl.extract.system.errors import InputError
from hcl.extract.system.lock import sole_writer
from hcl.extract.system.progress import logger
from hcl.match.evaluation.level_weights import LevelWeights
from hcl.match.store.locate import SET_STORES, STORE, mark_latest
from hcl.train.config import TrainConfig, preset_config
from hcl.train.data.joined_caches import JoinedCaches
from hcl.train.data.joining import log_sets
from hcl.train.data.map_source import MapSource
from hcl.train.distributed import is_main_process, own_gpu, process_group, run_on_main
from hcl.train.encoders.factory import Encoder
from hcl.train.encoders.layer4 import lacks_layer4
from hcl.train.runs.embed_cache import write_embeddings
from hcl.train.runs.fit_run import fit_run, refuse_untrainable
from hcl.train.runs.planning import (
    LEAST_TO_CHOOSE_EPOCHS,
    begin,
    default_preset,
    describe_differences,
    describe_run,
    held_out_classes,
    held_out_twins,
    is_unused,
    log_left_out,
    log_preset,
    make_run_config,
    open_with_splits,
    plan_run,
    refuse_other_run,
    usable_classes,
)
from hcl.train.runs.run_folder import CHOICE, Run, is_finished, read_config
from hcl.train.runs.tracking.metrics_log import kept_epoch


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
    train_on: str = "base",
    latest: bool = True,
) -> TrainedRun | None:
    """Train on the base videos of a cache, or of several, then embed its val and novel videos.

    No map of a novel class is read before the last weights are saved. Processes that torchrun started train together;
    the first one logs, writes and embeds.

    Args:
        cache: path or URL of the cache, or those of several of like maps, which are each a set
        run: folder of the run, or its URL; None makes a dated folder; an unfinished run resumes
        preset: "quick", "paper" or None for what suits the set and the machine
        splits: CSV file with label,split that replaces the cache's splits; several sets call a class SET/class
        settings: fields of TrainConfig; None leaves the preset's value
        merge_classes: whether classes of the same name in several sets are one
        train_on: "base"; "val" takes the val classes for base classes, too, "all" the novel ones as well
        latest: let `hcl evaluate` find this run by itself once it is finished

    Returns:
        the trained run; None on other processes than the first

    Raises:
        InputError: if the cache cannot be trained on, several do not fit together, or another run stands in the folder;
            nothing is written then
        KeyboardInterrupt: after Ctrl-C; it says how the run resumes
    """
    with process_group():
        opened = open_with_splits(cache, splits, merge_classes=merge_classes, train_on=train_on)
        planned = run_on_main(lambda: _refuse_or_plan(opened, run, preset, settings or {}))
        source = MapSource(opened, planned.config.training.weights, own_gpu(_device_of(planned)))
        run_on_main(source.load)  # wrong weights are refused before anything is written
        checks: list[Callable[[], None]] = []  # of the first process, which writes
        with ExitStack() as held:
            run_on_main(lambda: checks.append(held.enter_context(sole_writer(planned.folder, inside=True))))
            run_on_main(lambda: _begin(planned, opened, automatic=preset is None))
            with _resumable(planned.folder):
                encoder = _fit(planned, source, checks)
                return _finish(encoder, source, planned, latest) if is_main_process() else None


def _refuse_or_plan(
    cache: FrameMapCache, folder: str | Path | None, preset: str | None, settings: Mapping[str, Any]
) -> Run:
    """Settle a run, or refuse it; nothing is written."""
    planned = plan_run(cache, folder, preset, settings)
    if settings.get("weights") not in (None, TrainConfig.weights) and not lacks_layer4(cache.settings):
        raise InputError(f"--weights: {cache.path} holds maps of layer4, which need no weights more; leave it out")
    refuse_untrainable(cache, planned.config)
    refuse_other_run(planned)
    _device_of(planned)
    return planned


def _device_of(run: Run) -> torch.device:
    return choose_device(run.config.training.device)


@contextmanager
def _resumable(folder: Path) -> Iterator[None]:
    """Let Ctrl-C say how a run that began resumes."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(
            f"{folder}: interrupted; it resumes with the same command and --run {folder}"
        ) from error


def _finish(encoder: Encoder, source: MapSource, run: Run, latest: bool) -> TrainedRun:
    """Embed what was held out, and only then let the run be the latest one."""
    done = embed_held_out(encoder, source, run)
    if latest and not in_bucket(run.folder):
        mark_latest(run.folder)
    return done


def _fit(planned: Run, source: MapSource, checks: Sequence[Callable[[], None]]) -> Encoder:
    """Train a run whose lock is held; without classes to validate on, let held-out ones choose first.

    Args:
        planned: the run
        source: of the maps
        checks: called after each epoch; they raise once the lock is not held any more
    """
    training, opened, device = planned.config.training, source.cache, source.device
    epochs = None
    if held_out := held_out_classes(opened, training):
        as_val = opened.with_splits(opened.class_splits | dict.fromkeys(held_out, "val"))
        epochs = _choose(MapSource(as_val, training.weights, device), planned, held_out, checks)
    logger.info(describe_run(planned))
    return fit_run(planned.folder, source, planned.config, epochs=epochs, checks=checks)


def _choose(source: MapSource, run: Run, held_out: Sequence[str], checks: Sequence[Callable[[], None]]) -> int:
    """Train without some base classes, in a run within the run, and say how many epochs all are trained on.

    Its store, of the held-out classes alone, keeps the weights of the levels.

    Args:
        source: of the maps, the held-out classes being val
        run: that will train on all base classes
        held_out: these classes
        checks: as of `_fit`

    Returns:
        the epoch that was best on them; all epochs, where they are too many of the base classes to tell
    """
    choice = Run(run.folder / CHOICE, make_run_config(source.cache, run.config.training))
    with_val = len(usable_classes(source.cache, "val")) >= len(held_out) + 2  # of other sets, which choose as well
    choose_epoch = with_val or len(run.config.base_classes) >= LEAST_TO_CHOOSE_EPOCHS
    if not run_on_main(lambda: choice.is_finished):
        chosen = f"{'the epoch and ' if choose_epoch else ''}the weights of the levels"
        logger.info(
            f"no 2 val classes{' in each set' if isinstance(source.cache, JoinedCaches) else ''}, so"
            f" {', '.join(held_out)} are held out first, to choose {chosen}; then all base classes"
            " are trained on (--no-hold-out: at once)"
        )
        run_on_main(lambda: begin(choice))
        encoder = fit_run(choice.folder, source, choice.config, checks=checks)
        run_on_main(lambda: embed_held_out(encoder, source, choice, splits=("val",)))
    if not choose_epoch:
        return run.config.training.epochs
    return run_on_main(lambda: kept_epoch(choice.folder))


def _begin(run: Run, cache: FrameMapCache, *, automatic: bool) -> None:
    """Write the folder of a run, or find it there, and say what is trained on; `automatic`: the preset was chosen."""
    is_new = is_unused(run.folder)
    begin(run)
    remove_unfinished(run.folder)
    if automatic and is_new:
        log_preset(cache)
    if isinstance(cache, JoinedCaches):
        log_sets(cache)
    log_left_out(held_out_twins(cache))


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
                place = fresh / f"{name}.zarr"
                write_embeddings(encoder, of_sets[name], held_out[name], place, run, of_set=name, fallback=fallback)
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
    if is_finished(run):
        refuse_run(open_with_splits(cache, splits), run, preset, settings)
    else:
        train(cache, run=run, preset=preset, splits=splits, settings=settings, latest=False)


def refuse_run(cache: FrameMapCache, run: Path, preset: str | None, settings: Mapping[str, Any]) -> None:
    """Refuse what `train_once` would refuse, before any of several runs is trained; nothing is written.

    Args:
        cache: with the splits that count
        run: its folder
        preset, settings: as of `train`

    Raises:
        InputError: if the run cannot be trained, or a run of other settings stands in the folder
    """
    if not is_finished(run):
        _refuse_or_plan(cache, run, preset, settings)
        return
    config = make_run_config(cache, preset_config(preset or default_preset(cache), **settings))
    if differences := describe_differences(read_config(run), config):
        raise InputError(f"{run}: a finished run with another {differences}; name another folder with --out")
