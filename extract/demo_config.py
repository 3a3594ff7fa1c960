"""What the demo set holds; free of heavy imports so that the command line can show the defaults at once."""

from dataclasses import dataclass

from hcl.extract.demo_classes import CLASSES
from hcl.extract.errors import InputError


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """How many videos are drawn, and from which seed."""

    classes: int = len(CLASSES)  # the first so many of demo_classes.CLASSES
    videos_per_class: int = 12
    seed: int = 0
    workers: int = 0  # drawing processes; 0 means one per core

    def __post_init__(self) -> None:
        for name, least, most in (
            ("classes", 1, len(CLASSES)),
            ("videos_per_class", 1, 999),
            ("seed", 0, 2**63 - 1),
            ("workers", 0, 256),
        ):
            if not least <= getattr(self, name) <= most:
                raise InputError(f"{name} must be from {least} to {most}, got {getattr(self, name)}")
