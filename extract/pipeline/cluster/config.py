"""Which cluster works, and what each of its workers gets; free of heavy imports."""

from dataclasses import dataclass

from hcl.extract.system.errors import InputError

LOCAL = "local"  # in place of an address: a cluster of this machine alone, for as long as the command runs


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """The workers of a Ray cluster."""

    ray: str  # HOST:PORT, "auto" for the one that runs here, or "local"
    workers: int = 0  # at most; 0: as many as there is room for, also on nodes that join later
    cpus: int = 0  # cores of each worker; 0: those of the smallest node, shared among its GPUs
    gpus: float | None = None  # of each worker; None: one, where the cluster has any

    def __post_init__(self) -> None:
        """Refuse an address that is none, and numbers out of range."""
        if self.ray.startswith("ray://"):
            raise InputError(
                f"--ray {self.ray}: the driver must run on a node of the cluster; start it there by: ray job submit"
            )
        host, _, port = self.ray.rpartition(":")
        if self.ray not in (LOCAL, "auto") and not (host and port.isdecimal()):
            raise InputError(f"--ray must be local, auto or HOST:PORT, got {self.ray!r}")
        if self.workers < 0 or self.cpus < 0:
            name, value = ("workers", self.workers) if self.workers < 0 else ("cpus", self.cpus)
            raise InputError(f"--ray-{name} must be at least 0, got {value}")
        if self.gpus is not None and not (0 <= self.gpus <= 1 or self.gpus == int(self.gpus) > 0):
            raise InputError(f"--ray-gpus must be from 0 to 1, such as 0.5, or a whole number, got {self.gpus}")
