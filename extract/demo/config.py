"""What the demo set holds; free of heavy imports so that the command line can show the defaults at once."""

from dataclasses import dataclass

from hcl.extract.demo.classes import CLASSES
from hcl.extract.system.settings import SPEED, check_settings, setting


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """How many videos are generated, and from which seed."""

    classes: int = setting(
        len(CLASSES), f"Number of classes (at most {len(CLASSES)}).", at_least=1, at_most=len(CLASSES)
    )
    videos_per_class: int = setting(12, "Videos per class.", at_least=1, at_most=999)
    seed: int = setting(0, "Seed of the generated videos.", at_least=0, at_most=2**63 - 1)
    workers: int = setting(0, "Processes that generate videos; 0: one per core.", group=SPEED, at_least=0, at_most=256)

    def __post_init__(self) -> None:
        check_settings(self)
