"""Where videos become maps: on this machine, all at once; `hcl.extract.pipeline.cluster` is the same on many."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from hcl.extract.backbones.backbone import Backbone, BackboneFacts
from hcl.extract.backbones.machine import MachineKind, kinds_of
from hcl.extract.cache.base import MADE_BY
from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.sharding.shard_writer import UnitWriter
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.config import ExtractConfig
from hcl.extract.decoding.pool import decode_ahead
from hcl.extract.decoding.worker import DecodeTask
from hcl.extract.pipeline.inference import map_videos
from hcl.extract.pipeline.plan import Plan
from hcl.extract.pipeline.preparation import choose_backbone
from hcl.extract.system.errors import InputError
from hcl.extract.system.places.streaming import streamed
from hcl.extract.system.progress import progress_bar

VIDEOS_PER_WRITE = 16  # of a cache without shards; a kill loses at most so many finished videos, which are read again
RowAndSource = tuple[int, Path]
StillHeld = Callable[[], None]  # raises InputError once another process may write to the cache


class Engine(Protocol):
    """What computes the maps of an extraction."""

    def load(self, config: ExtractConfig) -> BackboneFacts:
        """Load the backbone where it will run, and say what a cache records of it."""

    def kinds(self) -> tuple[MachineKind, ...]:
        """The kinds of machines that it runs on, once it is loaded."""

    def run(self, cache: ZarrCache, plan: Plan, config: ExtractConfig, still_held: StillHeld) -> None:
        """Write the maps of all pending videos, and mark them, as long as the cache's lock is held."""


class ThisMachine:
    """Decode ahead, fill batches across videos, write behind."""

    def load(self, config: ExtractConfig) -> BackboneFacts:
        """Load the backbone onto the GPU if there is one."""
        self._backbone: Backbone = choose_backbone(config)
        return self._backbone

    def kinds(self) -> tuple[MachineKind, ...]:
        """The one kind of this process."""
        return (MachineKind.here(self._backbone.device),)

    def run(self, cache: ZarrCache, plan: Plan, config: ExtractConfig, still_held: StillHeld) -> None:
        """Drive the three stages over all pending videos."""
        bar = progress_bar(len(plan.pending), "video", "extract")

        def mapped(pending: Iterable[RowAndSource]) -> Iterator[MapRecord]:
            with streamed(list(pending)) as here:
                task, workers = DecodeTask.of(config), config.workers
                decoded = decode_ahead(here.videos, task, workers=workers, finished=here.finished)
                with closing(decoded):
                    for record in map_videos(decoded, self._backbone, config.batch_size):
                        yield record
                        bar.update()

        write = _write_shards if cache.sharding else _write_files
        with bar:
            write(cache, plan, mapped, still_held)


def record_kinds(cache: ZarrCache, kinds: Iterable[MachineKind]) -> None:
    """Keep in a cache which kinds of machines compute its maps, beside those that did before."""
    before = kinds_of(cache.attributes, MADE_BY)
    both = tuple(dict.fromkeys((*before, *kinds)))
    if both != before:
        cache.set_made_by([kind.to_dict() for kind in both])


class _Mapped(Protocol):
    def __call__(self, pending: Iterable[RowAndSource]) -> Iterator[MapRecord]: ...


def _write_shards(cache: ZarrCache, plan: Plan, mapped: _Mapped, still_held: StillHeld) -> None:
    """Write shard by shard; a kill loses those that are not whole."""
    if cache.sharding is None:
        raise ValueError(f"{cache.path}: no shards")
    units = cache.units(plan.pending)
    writer = UnitWriter(cache.sharding)
    writer.expect(*units)
    with told_if_unwritable(cache.path):
        for shard in writer.write(mapped([video for unit in units for video in unit.videos])):
            still_held()
            cache.mark(shard.videos)


def _write_files(cache: ZarrCache, plan: Plan, mapped: _Mapped, still_held: StillHeld) -> None:
    """Write a few videos at a time, behind the pipeline."""
    with ThreadPoolExecutor(1) as writer:
        writing: Future[None] | None = None
        for records in _groups(mapped(plan.pending)):
            _wait(writing, cache.path)
            still_held()
            writing = writer.submit(cache.write, records)
        _wait(writing, cache.path)


def _wait(writing: Future[None] | None, path: Path) -> None:
    """Wait for the last write and tell what became of it."""
    if writing is not None:
        with told_if_unwritable(path):
            writing.result()


@contextmanager
def told_if_unwritable(path: Path) -> Iterator[None]:
    """Turn a failure to write a cache into one line with the remedy."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "free some space" if full else "check the disk"
        raise InputError(f"{path}: cannot be written ({error.strerror}); {remedy}, then run again to resume") from error


def _groups(records: Iterable[MapRecord]) -> Iterator[list[MapRecord]]:
    group: list[MapRecord] = []
    for record in records:
        group.append(record)
        if len(group) == VIDEOS_PER_WRITE:
            yield group
            group = []
    if group:
        yield group
