"""What a classification does; free of heavy imports."""

from __future__ import annotations

from dataclasses import dataclass

from hcl.extract.system.errors import InputError
from hcl.extract.system.settings import SPEED, check_settings, setting

NONE = "none"  # what a query of no class is called


@dataclass(frozen=True, kw_only=True)
class ClassifyConfig:
    """How queries are answered."""

    top: int = setting(3, "Ranked classes that are shown.", at_least=1)
    reject: float | None = setting(
        None,
        "Answer none where a query is of no class: the share, such as 0.05, of videos of no class that may pass.",
    )
    text_model: str = setting(
        "auto",
        "Text model that reads the classes, where the run has semantic attention: auto (the run's), a folder or a hub"
        " name; none: go without.",
    )
    test_views: int | None = setting(
        None, "Views of each video whose embeddings are averaged; 0: all.  [default: as the run has it]"
    )
    device: str = setting("auto", "auto, cpu or cuda.", group=SPEED)
    workers: int = setting(0, "Decoding processes; 0: one per core.", group=SPEED, at_least=0)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.reject is not None and not 0 < self.reject < 1:
            raise InputError(f"--reject must be a share between 0 and 1, such as 0.05; got {self.reject}")
