"""The worker's side of an extraction: one process beside a GPU, or on some cores, that turns shards into files.

Decoding processes, the backbone and the writing thread live as long as the worker. The next shard is decoded while this
one is mapped, so that nothing waits between two shards.
"""

from __future__ import annotations

import logging
import os
import platform
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from hcl.extract.backbones.backbone import Backbone, BackboneIdentity
from hcl.extract.backbones.machine import MachineKind
from hcl.extract.cache.sharding.places import Sharding, ShardUnit
from hcl.extract.cache.sharding.shard_writer import UnitWriter, WrittenShard
from hcl.extract.config import ExtractConfig
from hcl.extract.decoding.pool import AHEAD, DecodePool
from hcl.extract.decoding.worker import Decoded, DecodeTask, Failed
from hcl.extract.pipeline.engine import told_if_unwritable
from hcl.extract.pipeline.inference import map_videos
from hcl.extract.pipeline.preparation import choose_backbone
from hcl.extract.system.atomic import in_bucket
from hcl.extract.system.places.streaming import Fetching
from hcl.extract.system.progress import logger


@dataclass(frozen=True)
class Introduction:
    """What a worker says of itself, and of the backbone that it loaded, before it gets work."""

    node: str  # the machine's name
    process: int  # its number there
    kind: MachineKind
    identity: BackboneIdentity
    dtype: torch.dtype  # that the backbone computes in


@dataclass(frozen=True)
class ShardReport:
    """A shard whose files are there, and what the worker logged meanwhile."""

    shard: WrittenShard
    lines: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Job:
    unit: ShardUnit
    done: Future[WrittenShard]


class ShardExtractor:
    """Extracts shards, several of which may be asked for at once; a thread takes them one after the other.

    Args:
        config: how to read and what to compute
        cpus: cores that it may use: so many decoding processes, and threads that map where there is no GPU
    """

    def __init__(self, config: ExtractConfig, cpus: int) -> None:
        torch.set_num_threads(cpus)
        self._config, self._cpus = config, cpus
        self._lines = _Lines()
        self._backbone: Backbone | None = None
        self._pool: DecodePool | None = None
        self._fetching: Fetching | None = None  # once videos lie in a bucket
        self._given = 0  # of the videos that are fetched, those that the pool has
        self._writer: UnitWriter | None = None
        self._jobs: queue.Queue[tuple[_Job, Sharding]] = queue.Queue()
        self._current: dict[int, _Job] = {}  # by the number of the shard
        threading.Thread(target=self._work, name="shards", daemon=True).start()

    def __repr__(self) -> str:
        """What Ray's dashboard calls it."""
        return f"hcl extract on {platform.node()}"

    def introduce(self) -> Introduction:
        """Load the backbone, and say where the worker is and what it computes with.

        Raises:
            InputError: as `choose_backbone`
        """
        self._backbone = self._backbone or choose_backbone(self._config)
        kind = MachineKind.here(self._backbone.device)
        return Introduction(platform.node(), os.getpid(), kind, self._backbone.identity, self._backbone.dtype)

    def extract(self, unit: ShardUnit, sharding: Sharding) -> ShardReport:
        """Write a shard; called from several threads, each of which waits for its own.

        Raises:
            InputError: if the shard cannot be written
        """
        job = _Job(unit, Future())
        self._jobs.put((job, sharding))
        return ShardReport(job.done.result(), self._lines.take())

    def _work(self) -> None:
        while True:
            first = self._jobs.get()
            try:
                self._extract_from(*first)
            except BaseException as error:  # of any kind: the callers raise it
                self._fail(error, first[0])

    def _extract_from(self, first: _Job, sharding: Sharding) -> None:
        """Extract a shard and those that are asked for meanwhile."""
        if self._backbone is None:
            raise ValueError("a worker introduces itself first")
        self._writer = self._writer or UnitWriter(sharding)
        decoded = self._decoded(first)
        records = map_videos(decoded, self._backbone, self._config.batch_size, threads=self._cpus)
        with told_if_unwritable(sharding.path):
            for shard in self._writer.write(records):
                self._current.pop(shard.unit.number).done.set_result(shard)

    def _decoded(self, first: _Job) -> Iterator[Decoded | Failed]:
        """The frames of all videos that are asked for, in order; it ends where none is left, so that no batch waits."""
        if self._pool is None:
            workers = self._config.workers or self._cpus
            self._pool = DecodePool(DecodeTask.of(self._config), workers, self._decoded_one)
        waiting = self._admit(first)
        while True:
            with suppress(queue.Empty):
                while True:
                    waiting += self._admit(self._jobs.get_nowait()[0])
            if not waiting:
                return
            self._pass_on(waiting)
            waiting -= 1
            yield self._pool.take()

    def _admit(self, job: _Job) -> int:
        if self._pool is None or self._writer is None:
            raise ValueError("no pool yet")
        self._current[job.unit.number] = job
        self._writer.expect(job.unit)
        if self._fetching is None and any(in_bucket(path) for _, path in job.unit.videos):
            self._fetching = Fetching()
        add = self._pool.add if self._fetching is None else self._fetching.add
        add(*job.unit.videos)
        return len(job.unit.videos)

    def _pass_on(self, waiting: int) -> None:
        """Give the pool the next videos that are fetched; it waits for them where the pool has too few.

        Args:
            waiting: videos that were asked for and not taken yet, wherever they are
        """
        if self._pool is None or self._fetching is None:
            return
        in_pool = waiting - (len(self._fetching) - self._given)
        for _ in range(min(waiting, AHEAD) - in_pool):
            self._pool.add(self._fetching[self._given])
            self._given += 1

    def _decoded_one(self, video: tuple[int, Path]) -> None:
        if self._fetching is not None:
            self._fetching.finished(video)

    def close(self) -> None:
        """End the decoding processes, and remove what was fetched."""
        if self._pool is not None:
            self._pool.close()
        if self._fetching is not None:
            self._fetching.close()
        self._pool = self._fetching = None
        self._given = 0

    def _fail(self, error: BaseException, first: _Job) -> None:
        """Tell all who wait, and begin anew: what was decoded meanwhile belongs to nobody."""
        self.close()
        self._writer = None
        jobs, self._current = {*self._current.values(), first}, {}
        for job in jobs:
            if not job.done.done():
                job.done.set_exception(error)


class _Lines(logging.Handler):
    """What is logged here, for whoever watches the cluster."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._kept: queue.SimpleQueue[str] = queue.SimpleQueue()
        logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self._kept.put(self.format(record))

    def take(self) -> tuple[str, ...]:
        """Give the lines since the last time."""
        lines = []
        with suppress(queue.Empty):
            while True:
                lines.append(self._kept.get_nowait())
        return tuple(lines)
