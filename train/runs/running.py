"""A training run, from a cache to the embedding store of its val and novel videos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hcl.extract.system.device import choose_device
from hcl.extract.system.errors import InputError
from hcl.extract.system.progress import logger
from hcl.match.store.locate import STORE, mark_latest
from hcl.train.config import preset_config
from hcl.train.data.map_source import MapSource
from hcl.train.distributed import is_main_process, own_gpu, process_group, run_on_main
from hcl.train.encoders.factory import Encoder
from hcl.train.runs.embed_cache import write_embeddings
from hcl.train.runs.fit_run import fit_run
from hcl.train.runs.planning import (
    begin,
    default_preset,
    describe_differences,
    describe_run,
    make_run_config,
    open_with_splits,
    plan_run,
)
from hcl.train.runs.run_folder import Run, read_config


@dataclass(frozen=True)
class TrainedRun:
    """A run that was trained to its end."""

    folder: Path
    embedded: int  # val and novel videos in its embedding store; 0: the cache holds none, and there is no store

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return {"run": str(self.folder), "embedded_videos": self.embedded}

    def __str__(self) -> str:
        run, count = self.folder, self.embedded
        if count:
            return f"{run}: trained, {count} val and novel videos embedded; next: hcl evaluate {run}"
        return (
            f"{run}: trained; the cache holds no val or novel videos to embed:"
            f" hcl embed OTHER_CACHE --run {run} --out STORE"
        )


def train(
    cache: str | Path,
    *,
    run: str | Path | None = None,
    preset: str | None = None,
    splits: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    latest: bool = True,
) -> TrainedRun | None:
    """Train on the base videos of a cache, then embed its val and novel videos.

    No map of a novel class is read before the last weights are saved. Processes that torchrun started train together;
    the first one logs, writes and embeds.

    Args:
        cache: path of the cache
        run: folder of the run; None makes a dated one; an unfinished run resumes
        preset: "quick", "paper" or None for what suits the set and the machine
        splits: CSV file with label,split that replaces the cache's splits
        settings: fields of TrainConfig; None leaves the preset's value
        latest: let `hcl evaluate` find this run by itself

    Returns:
        the trained run; None on other processes than the first

    Raises:
        InputError: if the cache cannot be trained on, or another run stands in the folder
    """
    with process_group():
        on_main = is_main_process()
        opened = open_with_splits(cache, splits)
        planned = run_on_main(lambda: plan_run(opened, run, preset, settings or {}))
        training = planned.config.training
        source = MapSource(opened, training.weights, own_gpu(choose_device(training.device)))
        run_on_main(lambda: _begin(planned, source, latest))
        logger.info(describe_run(planned))
        encoder = fit_run(planned.folder, source, planned.config)
    return embed_held_out(encoder, source, planned) if on_main else None


def _begin(run: Run, source: MapSource, latest: bool) -> None:
    """Write the folder of a run, or find it there; wrong weights are refused before."""
    source.load()
    begin(run)
    if latest:
        mark_latest(run.folder)


def embed_held_out(encoder: Encoder, source: MapSource, run: Run) -> TrainedRun:
    """Write the embedding store of a run: the val and novel videos of its cache, by its encoder."""
    rows = np.setdiff1d(source.cache.rows(), source.cache.rows("base"))
    if len(rows):
        write_embeddings(encoder, source, rows, run.folder / STORE, run)
    return TrainedRun(run.folder, len(rows))


def train_once(
    cache: str | Path, *, run: Path, preset: str | None, splits: Path | None, settings: Mapping[str, Any]
) -> None:
    """Train a run unless it is finished; the latest run stays what it is.

    Args: as of `train`

    Raises:
        InputError: if a run of other settings stands in the folder
    """
    if not (run / STORE).is_dir():
        train(cache, run=run, preset=preset, splits=splits, settings=settings, latest=False)
        return
    opened = open_with_splits(cache, splits)
    config = make_run_config(opened, preset_config(preset or default_preset(opened), **settings))
    if differences := describe_differences(read_config(run), config):
        raise InputError(f"{run}: a finished run with another {differences}; name another folder with --out")
