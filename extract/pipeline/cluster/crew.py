"""The workers of an extraction: started where there is room, replaced where they die, refused where they differ."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from hcl.extract.backbones.machine import MachineKind, refuse_mixture
from hcl.extract.config import ExtractConfig
from hcl.extract.pipeline.cluster.config import ClusterConfig
from hcl.extract.pipeline.cluster.connecting import Share, share_out
from hcl.extract.pipeline.cluster.worker import Introduction, ShardExtractor
from hcl.extract.system.errors import InputError, first_line
from hcl.extract.system.installation import package_version
from hcl.extract.system.progress import logger

CALLS = 20  # that a worker may have at once; all but one or two wait
STARTS_WITHIN = 30.0  # seconds that the others have once the first worker is there
CLOSES_WITHIN = 5.0  # seconds
DEATHS = 3  # of workers in a row, or over one shard, after which nothing more is tried


@dataclass(eq=False)
class Member:
    """A worker, and what it said of itself."""

    number: int
    actor: Any
    hello: Any  # reference to its introduction
    introduction: Introduction | None = None  # None: it is still starting
    units: list[Any] = field(default_factory=list)  # that it has

    def __str__(self) -> str:
        node = self.introduction.node if self.introduction else "its node"
        return f"worker {self.number} on {node}"


class Crew:
    """Keeps as many workers as there is room for.

    Args:
        ray: the package, connected
        cluster: how many workers, and what each gets
        config: of the extraction
        mixed: whether workers of several kinds may work together
    """

    def __init__(self, ray: Any, cluster: ClusterConfig, config: ExtractConfig) -> None:
        self.ray, self._cluster, self._config = ray, cluster, config
        self.share: Share = share_out(ray.nodes(), cluster)
        self._class = ray.remote(ShardExtractor)
        self._started = 0
        self._early_ends = 0  # of workers in a row that ended before they introduced themselves
        self.members: list[Member] = []
        self.reference: tuple[MachineKind, ...] = ()  # kinds that may work
        self.refused: list[str] = []  # why others may not

    @property
    def ready(self) -> list[Member]:
        """The workers that can be given work."""
        return [member for member in self.members if member.introduction]

    def grow(self, wanted: int) -> None:
        """Start workers up to the number that is wanted, as far as there is room.

        Args:
            wanted: shards to extract: more workers would have nothing to do
        """
        room = self._cluster.workers or max(self.share.room, self._room_now())
        for _ in range(min(room - len(self.refused), wanted) - len(self.members)):
            self._start()

    def _room_now(self) -> int:
        """How many workers fit onto the nodes that are alive by now."""
        settled = replace(self._cluster, cpus=self.share.cpus, gpus=self.share.gpus)
        try:
            return share_out(self.ray.nodes(), settled).room
        except InputError:
            return 0

    def _start(self) -> None:
        self._started += 1
        options = self.share.resources | {
            "max_concurrency": CALLS,
            "max_restarts": 0,
            "scheduling_strategy": "SPREAD",
        }
        actor = self._class.options(**options).remote(self._config, self.share.cpus)
        self.members.append(Member(self._started, actor, actor.introduce.options(name="load the backbone").remote()))

    def first_ones(self) -> list[Introduction]:
        """Wait for the workers that there is room for now, and refuse them if they differ.

        Raises:
            InputError: if they differ and are not to be mixed, or none can be started
        """
        hellos = [member.hello for member in self.members]
        while not self.ray.wait(hellos, num_returns=1, timeout=STARTS_WITHIN)[0]:  # an autoscaler may take its time
            logger.warning(f"no worker has started yet: waiting for room for one with {self.share}")
        self.ray.wait(hellos, num_returns=min(len(hellos), max(1, self.share.room)), timeout=STARTS_WITHIN)
        for member in list(self.members):
            if self.ray.wait([member.hello], timeout=0)[0]:
                self.meet(member, settled=False)
        found = [member.introduction for member in self.members if member.introduction]
        if not found:
            self.grow(1)
            return self.first_ones()
        counts = Counter(one.kind for one in found)
        kinds = sorted(
            counts, key=lambda kind: (-counts[kind], kind.hcl != package_version())
        )  # of as many, the driver's
        for one in found:
            if one.kind != kinds[0]:
                differences = one.kind.differences(kinds[0], here="there", there="on most others")
                refuse_mixture(f"the worker on {one.node}", differences, mixed=self._config.mixed)
        self.reference = tuple(kinds)
        return found

    def meet(self, member: Member, *, settled: bool = True) -> bool:
        """Hear what a worker says of itself; one that differs from the others is sent away, and named.

        Args:
            member: whose introduction is there
            settled: whether it is known by now which kinds may work

        Returns:
            whether it may be given work

        Raises:
            InputError: if it cannot load the backbone, or workers keep ending while they start
        """
        try:
            introduction: Introduction = self.ray.get(member.hello)
        except self.ray.exceptions.RayTaskError as error:
            raise self.of_worker(error, member) from error
        except self.ray.exceptions.RayError as error:
            self._early_ends += 1
            self.dismiss(member)
            if self._early_ends >= DEATHS:
                raise InputError(
                    f"{self._early_ends} workers ended one after the other while they started ({first_line(error)});"
                    " is hcl installed on every node, and memory free?"
                ) from error
            return False
        self._early_ends = 0
        if settled and not self._config.mixed and introduction.kind not in self.reference:
            differences = introduction.kind.differences(self.reference[0], here="there", there="on the others")
            self.refused.append(f"the worker on {introduction.node} gets no work: {differences}")
            logger.warning(self.refused[-1] + "; install the same version there, or accept both with --mixed")
            self.dismiss(member)
            return False
        if settled and introduction.kind not in self.reference:
            self.reference = (*self.reference, introduction.kind)
        member.introduction = introduction
        logger.info(f"{member}, process {introduction.process}: {introduction.kind.device}, {self.share.cpus} cores")
        return True

    def of_worker(self, error: Any, member: Member) -> Exception:
        """The error that a worker raised: of the user's kind, with the node, or a fault of ours."""
        cause = error.cause if isinstance(getattr(error, "cause", None), Exception) else error
        return InputError(f"{member}: {cause}") if isinstance(cause, InputError) else error

    def dismiss(self, member: Member) -> None:
        """End a worker."""
        if member in self.members:
            self.members.remove(member)
        self.ray.kill(member.actor)

    def close(self) -> None:
        """End all workers; those that can remove what they fetched first."""
        closing = [member.actor.close.remote() for member in self.ready]
        if closing:
            self.ray.wait(closing, num_returns=len(closing), timeout=CLOSES_WITHIN)
        for member in list(self.members):
            self.dismiss(member)
