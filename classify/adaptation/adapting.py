"""Adapt a run to one's own classes; what left-out clips say decides which weights are kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hcl.classify.adaptation.clips import CLIPS, MANIFEST, extract_clips
from hcl.classify.adaptation.comparing import Comparison, compare, unmeasured
from hcl.extract.cache.base import FrameMapCache
from hcl.extract.cache.video_table import Rows
from hcl.extract.system.atomic import UNFINISHED, atomic_file, atomic_folder, remove_unfinished, with_hash
from hcl.extract.system.device import choose_device
from hcl.extract.system.errors import InputError, write_errors
from hcl.extract.system.lock import sole_writer
from hcl.extract.system.places.location import local_only, place_of
from hcl.extract.system.progress import logger
from hcl.match.store.locate import SET_STORES, STORE
from hcl.train.adaptation.config import AdaptConfig
from hcl.train.adaptation.fitting import adapted_state
from hcl.train.adaptation.planning import ADAPTED, Adaptation, check_run, open_base
from hcl.train.data.map_source import MapSource
from hcl.train.encoders.factory import Encoder
from hcl.train.runs.embed_cache import weights_of_run, write_embeddings
from hcl.train.runs.run_folder import (
    CHECKPOINT,
    CHOICE,
    CONFIG,
    METRICS,
    TENSORBOARD,
    WEIGHTS,
    Run,
    load_encoder,
    read_config,
    save_encoder,
    write_config,
)
from hcl.train.runs.running import embed_held_out
from hcl.train.runs.tracking.trackers import TRACKED

RESULT, FOLDS = "adaptation.json", "folds"
WITHOUT_RESULT = "name another folder with --out"


@dataclass(frozen=True)
class AdaptedRun:
    """A run that was adapted, and what that brought."""

    folder: Path
    comparison: Comparison
    failed: tuple[str, ...]  # clips that could not be read, with the reason

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return {"run": str(self.folder), **self.comparison.to_dict(), "failed": list(self.failed)}

    def __str__(self) -> str:
        kept = "adapted" if self.comparison.keeps_adapted else "not adapted, the weights of the run as it was are kept"
        following = f"next: hcl classify VIDEO... --support SUPPORT --run {self.folder}"
        return f"{self.comparison}\n{self.folder}: {kept}; {following}"


def adapt(
    run: str | Path,
    support: str | Path,
    out: str | Path,
    *,
    config: AdaptConfig | None = None,
    caches: Sequence[Path] = (),
    keep_clips: bool = False,
) -> AdaptedRun:
    """Go on training a run on a few clips of further classes, and keep the better of both.

    Args:
        run: folder of a trained run
        support: folder of class folders, CSV manifest, or a support set whose files are there
        out: folder of the adapted run; an unfinished one resumes
        config: how
        caches: where the cache that the run was trained on is now; none: where it was
        keep_clips: keep the maps of the clips in the folder

    Raises:
        InputError: if the run, the clips or the cache do not allow it, or another run stands in the folder
    """
    out, config = local_only(out, "an adapted run", "then copy it"), config or AdaptConfig()
    before = Run(place_of(run), read_config(run))
    check_run(before)
    load_encoder(before.folder)  # refuses an unfinished or damaged run before the clips are mapped
    if out.resolve() == before.folder.resolve():
        raise InputError(f"{out}: the run that is adapted stays as it is; {WITHOUT_RESULT}")
    with write_errors(out, WITHOUT_RESULT), sole_writer(out, WITHOUT_RESULT, inside=True):
        if (out / RESULT).is_file():
            raise InputError(f"{out}: this adaptation is finished; {WITHOUT_RESULT}")
        _refuse_foreign(out)
        remove_unfinished(out)
        base = open_base(before, caches)
        cache, summary = extract_clips(before, place_of(support), out, config)
        plan = Adaptation(before, base, cache, config)
        rows = distinct_rows(cache)
        _begin(out, plan, rows)
        failed = tuple(f"{name}: {reason}" for name, reason in summary.failed)
        done = AdaptedRun(out, _decide(out, plan, rows), failed)
        _finish(done, plan, rows, keep_clips=keep_clips)
    return done


def distinct_rows(cache: FrameMapCache) -> Rows:
    """The clips that could be read, of byte-identical ones the first.

    Raises:
        InputError: if one clip is of two classes
    """
    rows, videos = cache.rows(), cache.videos
    copies: set[int] = set()
    for same in videos.duplicates(rows):
        if len({videos.label[row] for row in same}) > 1:
            names = " = ".join(videos.path[row] for row in same)
            labels = " and of ".join(sorted({videos.label[row] for row in same}))
            raise InputError(f"{names}: the same clip as one of {labels}; keep it in one class")
        copies |= {int(row) for row in same[1:]}
    return np.array([row for row in rows if row not in copies], dtype=np.int64)


def _refuse_foreign(out: Path) -> None:
    """Refuse a folder in which something else stands than an unfinished adaptation."""
    ours = {
        CONFIG,
        CLIPS,
        MANIFEST,
        FOLDS,
        CHECKPOINT,
        METRICS,
        WEIGHTS,
        "SHA256SUMS",
        TENSORBOARD,
        TRACKED,
        "wandb",
        STORE,
        SET_STORES,
    }
    ours |= {CHOICE, *(f"{CLIPS}{ending}" for ending in (".lock", ".writer")), f"{STORE}.lock"}
    names = sorted(entry.name for entry in out.iterdir() if not entry.name.startswith("."))
    if others := [name for name in names if name not in ours and not name.endswith(UNFINISHED)]:
        raise InputError(f"{out}: holds {others[0]}, which no adaptation wrote; {WITHOUT_RESULT}")
    if (out / CONFIG).is_file() and not (out / CLIPS).is_dir():
        raise InputError(f"{out}: another run stands there; {WITHOUT_RESULT}")


def _begin(out: Path, plan: Adaptation, rows: Rows) -> None:
    """Write what the adapted run follows from, or make sure that an unfinished one there is the same."""
    config = plan.run_config(rows)
    if not (out / CONFIG).is_file():
        write_config(out, config)
        return
    there = read_config(out).cache.get(ADAPTED)
    if there != config.cache[ADAPTED]:
        raise InputError(
            f"{out}: an unfinished adaptation of another run, to other clips or with other settings; {WITHOUT_RESULT}"
        )


def _decide(out: Path, plan: Adaptation, rows: Rows) -> Comparison:
    """Measure on left-out clips what adapting brings."""
    if not plan.config.folds:
        return unmeasured()
    return compare(plan, rows, out / FOLDS)


def _finish(done: AdaptedRun, plan: Adaptation, rows: Rows, *, keep_clips: bool) -> None:
    """Write the weights that are kept, and the store; last of all what the comparison said."""
    out = done.folder
    if done.comparison.keeps_adapted:
        _write_adapted(out, plan, rows)
    else:
        logger.info(f"left-out clips are not recognised better: the weights of {plan.run.folder} are kept")
        _write_copy(out, plan.run)
    shutil.rmtree(out / FOLDS, ignore_errors=True)
    if not keep_clips:
        for path in (out / CLIPS, out / MANIFEST):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for ending in (".lock", ".writer"):
            (out / f"{CLIPS}{ending}").unlink(missing_ok=True)
    with atomic_file(out / RESULT) as fresh:
        fresh.write_text(json.dumps(with_hash(done.to_dict()), indent=2) + "\n", encoding="utf-8")


def _write_adapted(out: Path, plan: Adaptation, rows: Rows) -> None:
    logger.info(f"learning from all {len(rows)} clips")
    save_encoder(out, adapted_state(out, plan, rows))
    run = Run(out, plan.run_config(rows))
    encoder: Encoder = load_encoder(out)
    weights = weights_of_run(plan.run)
    if plan.base is not None:
        source = MapSource(plan.base, plan.weights, choose_device(plan.config.device))
        embed_held_out(encoder.to(source.device), source, run, fallback=weights)
    if not any((out / name).is_dir() for name in (STORE, SET_STORES)):
        source = MapSource(plan.clips, plan.weights, choose_device(plan.config.device))
        write_embeddings(encoder.to(source.device), source, rows, out / STORE, run, fallback=weights)


def _write_copy(out: Path, run: Run) -> None:
    """Make the folder a copy of the run, which was not adapted in the end."""
    write_config(out, replace(run.config, cache={**run.config.cache, "kept": str(run.folder)}))
    for name in (METRICS, WEIGHTS, "SHA256SUMS"):
        if (run.folder / name).is_file():
            with atomic_file(out / name) as fresh:
                shutil.copyfile(run.folder / name, fresh)
    for name in (STORE, SET_STORES, CHOICE):
        if (run.folder / name).is_dir():
            with atomic_folder(out / name) as fresh:
                shutil.copytree(run.folder / name, fresh, dirs_exist_ok=True)
    (out / CHECKPOINT).unlink(missing_ok=True)
