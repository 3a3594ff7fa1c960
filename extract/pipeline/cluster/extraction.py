"""An extraction on a cluster: the driver claims shards for workers, and alone writes what a cache says of videos.

It holds the cache's lock. A worker decodes, maps and writes the files of whole shards, then reports; the driver marks
the videos of a shard when its files are there. So whoever dies, what was not reported is pending, and is done again.
"""

from __future__ import annotations

from collections import Counter, deque
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from hcl.extract.backbones.backbone import BackboneFacts
from hcl.extract.backbones.machine import MachineKind
from hcl.extract.cache.sharding.places import Sharding, ShardUnit
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.config import ExtractConfig
from hcl.extract.pipeline.cluster.config import ClusterConfig
from hcl.extract.pipeline.cluster.connecting import connected, import_ray
from hcl.extract.pipeline.cluster.crew import DEATHS, Crew, Member
from hcl.extract.pipeline.cluster.worker import ShardReport
from hcl.extract.pipeline.engine import StillHeld, record_kinds, told_if_unwritable
from hcl.extract.pipeline.extraction import extract
from hcl.extract.pipeline.plan import Plan
from hcl.extract.pipeline.summary import Summary
from hcl.extract.system.errors import InputError
from hcl.extract.system.places.location import place_of
from hcl.extract.system.progress import Bar, logger, progress_bar

SHARD_VIDEOS = 64  # of a new cache, where nothing is said
VIDEOS_CLAIMED = 16  # at least, that a worker has beside the shard that it is at: it decodes ahead across shards
PATIENCE = 5.0  # seconds between two looks at the cluster, where nothing happens


def extract_on_cluster(
    videos: str | Path, path: str | Path, config: ExtractConfig, cluster: ClusterConfig, **upkeep: Any
) -> Summary:
    """Extract as `hcl.extract.pipeline.extraction.extract` does, on the workers of a Ray cluster.

    Args:
        videos, path, config: as of `extract`; all nodes must see both: by the same path, or in a bucket
        cluster: which, and what each worker gets
        upkeep: further arguments of `extract`

    Raises:
        InputError: as `extract`; if no cluster can be reached, workers differ, or the cache lies in single files
    """
    import_ray()  # a missing package is told before the work
    path = place_of(path)
    if not path.exists():
        config = replace(config, shard_videos=config.shard_videos or SHARD_VIDEOS)
    elif not ZarrCache.open(path).sharding:
        raise InputError(
            f"{path}: has a file a video, and --ray writes whole shards; copy it with: hcl convert {path} NEW.zarr"
            f" --shard-videos {SHARD_VIDEOS}, or leave out --ray"
        )
    with ExitStack() as held:
        return extract(videos, path, config, engine=ClusterEngine(cluster, held), **upkeep)


class ClusterEngine:
    """Computes maps on the workers of a cluster; `Engine` says what each method is for.

    Args:
        cluster: which, and what each worker gets
        held: ends the workers and the connection
    """

    def __init__(self, cluster: ClusterConfig, held: ExitStack) -> None:
        self._cluster, self._held = cluster, held
        self._crew: Crew | None = None

    @property
    def crew(self) -> Crew:
        """The workers, once the backbone is loaded."""
        if self._crew is None:
            raise ValueError("no workers yet")
        return self._crew

    def load(self, config: ExtractConfig) -> BackboneFacts:
        """Start the workers, and hear of the first ones what they computed with."""
        named: dict[str, Any] = {name: _found(getattr(config, name)) for name in ("weights", "backbone")}
        ray = self._held.enter_context(connected(self._cluster))
        self._crew = Crew(ray, self._cluster, replace(config, **named))
        self._held.callback(self._crew.close)
        self.crew.grow(max(1, self.crew.share.room, self._cluster.workers))
        introductions = self.crew.first_ones()
        first = introductions[0]
        for other in introductions:
            if (other.identity, other.dtype) != (first.identity, first.dtype):
                raise InputError(
                    f"the worker on {other.node} computes in {other.dtype} with {other.identity.sha256[:12]}, that on"
                    f" {first.node} in {first.dtype} with {first.identity.sha256[:12]}; name --precision and the"
                    " same --weights"
                )
        return first

    def kinds(self) -> tuple[MachineKind, ...]:
        """The kinds of the workers."""
        return self.crew.reference

    def run(self, cache: ZarrCache, plan: Plan, config: ExtractConfig, still_held: StillHeld) -> None:
        """Hand out the shards of all pending videos until each is written."""
        if cache.sharding is None:
            raise ValueError(f"{cache.path}: no shards")
        here = [(row, source.absolute()) for row, source in plan.pending]
        with progress_bar(len(here), "video", "extract") as bar:
            _Round(self.crew, cache, cache.sharding, bar, still_held).run(cache.units(here))


def _found(name: str | None) -> str | None:
    """What a setting names if it is a file or folder here, by its whole path: workers start elsewhere."""
    return str(Path(name).absolute()) if name and Path(name).exists() else name


class _Round:
    """One pass over the shards: which are to do, which a worker has, which are done."""

    def __init__(self, crew: Crew, cache: ZarrCache, sharding: Sharding, bar: Bar, still_held: StillHeld) -> None:
        self._ray, self._crew, self._cache, self._bar = crew.ray, crew, cache, bar
        self._still_held = still_held
        self._sharding = replace(sharding, path=sharding.path.absolute())
        self._to_do: deque[ShardUnit] = deque()
        self._claimed: dict[Any, tuple[Member, ShardUnit]] = {}  # by the reference to the report
        self._deaths: Counter[int] = Counter()  # of workers, by the number of a shard that they had

    def run(self, units: list[ShardUnit]) -> None:
        """Extract all units.

        Raises:
            InputError: if a shard cannot be written, workers keep dying over one, or none is left that may work
        """
        self._to_do.extend(units)
        while self._to_do or self._claimed:
            self._crew.grow(len(self._to_do) + len({id(member) for member, _ in self._claimed.values()}))
            self._hand_out()
            self._refuse_standstill()
            starting = {member.hello: member for member in self._crew.members if not member.introduction}
            done, _ = self._ray.wait([*self._claimed, *starting], num_returns=1, timeout=PATIENCE)
            for reference in done:
                if reference in starting:
                    self._crew.meet(starting[reference])
                    record_kinds(self._cache, self._crew.reference)  # of those that joined later, before they get work
                elif reference in self._claimed:  # unless its worker died just before
                    self._take(reference)

    def _hand_out(self) -> None:
        """Give each worker what it needs to be busy, in turn, so that the last shards are shared out."""
        most = 1 + max(1, -(-VIDEOS_CLAIMED // self._sharding.videos))
        for has in range(most):
            for member in self._crew.ready:
                if self._to_do and len(member.units) == has:
                    self._claim(member, self._to_do.popleft())

    def _claim(self, member: Member, unit: ShardUnit) -> None:
        call = member.actor.extract.options(name=f"{self._cache.path.name}, {unit.name}")
        reference = call.remote(unit, self._sharding)
        member.units.append(unit)
        self._claimed[reference] = (member, unit)

    def _take(self, reference: Any) -> None:
        """Mark a shard that is written; or, where its worker died, give all that it had to others."""
        member, unit = self._claimed[reference]
        try:
            report: ShardReport = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise self._crew.of_worker(error, member) from error
        except self._ray.exceptions.RayError as error:
            self._bury(member, error)
            return
        del self._claimed[reference]
        member.units.remove(unit)
        for line in report.lines:
            logger.warning(f"{member}: {line}")
        self._still_held()
        with told_if_unwritable(self._cache.path):
            self._cache.mark(report.shard.videos)
        self._bar.update(len(report.shard.videos))

    def _bury(self, member: Member, error: Exception) -> None:
        lost = sorted(member.units, key=lambda unit: unit.number)
        names = ", ".join(str(unit.number) for unit in lost)
        logger.warning(f"{member} is gone ({type(error).__name__}); its shards go to others: {names}")
        self._claimed = {ref: claim for ref, claim in self._claimed.items() if claim[0] is not member}
        self._crew.dismiss(member)
        self._to_do.extendleft(reversed(lost))
        for unit in member.units[:1]:  # the others it had hardly begun
            self._deaths[unit.number] += 1
            if self._deaths[unit.number] >= DEATHS:
                first, last = unit.videos[0][1], unit.videos[-1][1]
                raise InputError(
                    f"{self._cache.path}: {DEATHS} workers died at shard {unit.number} ({first} to {last}; the last:"
                    f" {' '.join(str(error).split())[:300]}); give workers more memory by fewer of them or a smaller"
                    " --batch-size, then run again to resume"
                )

    def _refuse_standstill(self) -> None:
        """Stop where every worker was refused."""
        if not self._crew.members and self._crew.refused:
            raise InputError(
                f"no worker is left that may work: {self._crew.refused[-1]}; install the same version on all nodes, or"
                " accept both with --mixed"
            )
