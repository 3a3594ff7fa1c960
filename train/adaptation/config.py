"""What an adaptation does; free of heavy imports."""

from __future__ import annotations

from dataclasses import dataclass

from hcl.extract.system.settings import INPUT, SPEED, check_settings, setting


@dataclass(frozen=True, kw_only=True)
class AdaptConfig:
    """How a run learns further classes."""

    weights: str = setting(
        "auto", "Weights file of the backbone, where the run's cannot be found by its name.", group=INPUT
    )
    steps: int = setting(60, "Batches that are learned from.", at_least=1)
    learning_rate: float = setting(0.0005, "Initial learning rate; it is halved at each third of the steps.", above=0)
    views: int = setting(
        6, "Views of each clip of SUPPORT, random frames and crops, that are learned from.", at_least=2
    )
    folds: int = setting(
        5,
        "Parts of the clips that are left out in turn, to measure whether adapting pays; as many are trained besides."
        " 0: not measured, and the adapted weights are kept.",
        at_least=0,
    )
    text_model: str = setting(
        "auto",
        "Text model that reads the classes, where the run has semantic attention: auto (the run's), a folder or a hub"
        " name.",
    )
    seed: int = setting(0, "Seed of batches and folds.", at_least=0)
    device: str = setting("auto", "auto, cpu or cuda.", group=SPEED)
    workers: int = setting(0, "Decoding processes; 0: one per core.", group=SPEED, at_least=0)

    def __post_init__(self) -> None:
        check_settings(self)
