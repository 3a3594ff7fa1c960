"""What one evaluation draws and how it scores; free of heavy imports."""

from dataclasses import dataclass
from typing import TypedDict

from hcl.extract.system.errors import InputError

HCL, BASELINE = "hcl", "resnet"  # methods: ours, and the untrained one that any store serves
LEVELS = ("global", "temporal", "spatial")  # of scores, Eq. 2 to 4
ALL_LEVELS = "+".join(LEVELS)  # Eq. 6
AGGREGATES = ("mean", "max")
ATTENTION_SCALES = ("mean_one", "paper")
METHODS = ("hcl", "resnet", "protonet", "matchingnet", "otam", "trx")


@dataclass(frozen=True, kw_only=True)
class EpisodeConfig:
    """How episodes are drawn."""

    n_way: int = 5
    k_shot: int = 1
    n_query: int = 1  # per class
    episodes: int = 10_000
    seed: int = 0
    group_disjoint: bool = False  # no query shares a group with a support of its own class

    def __post_init__(self) -> None:
        for name, option, least in (
            ("n_way", "--way", 2),
            ("k_shot", "--shot", 1),
            ("n_query", "--queries", 1),
            ("episodes", "--episodes", 1),
            ("seed", "--seed", 0),
        ):
            if getattr(self, name) < least:
                raise InputError(f"{option} must be at least {least}, got {getattr(self, name)}")


class PairSettings(TypedDict):
    """What the scores of a pair of videos depend on, beside the videos."""

    top_clips: int
    top_patches: int
    attention_scale: str


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """How a query is held against the supports of a class (Eq. 2 to 6)."""

    top_clips: int = 10  # the paper's T
    top_patches: int = 10  # the paper's S
    attention_scale: str = "mean_one"
    aggregate: str = "mean"  # of the scores over a class's supports

    def __post_init__(self) -> None:
        for name, option in (("top_clips", "--top-clips"), ("top_patches", "--top-patches")):
            if getattr(self, name) < 1:
                raise InputError(f"{option} must be at least 1, got {getattr(self, name)}")
        for name, choices in (("attention_scale", ATTENTION_SCALES), ("aggregate", AGGREGATES)):
            if getattr(self, name) not in choices:
                raise InputError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")

    @property
    def of_pairs(self) -> PairSettings:
        """The settings that a pair's scores depend on."""
        return {
            "top_clips": self.top_clips,
            "top_patches": self.top_patches,
            "attention_scale": self.attention_scale,
        }


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What is asked of an embedding store, beside the episodes."""

    shots: tuple[int, ...] = (1,)  # all over the same draw: the supports of few are the first of many
    aggregates: tuple[str, ...] = ()  # none: that of the store
    split: str = "novel"
    method: str | None = None  # None: that of the store
    spatial: bool = True  # False leaves out the level that costs nearly all the time

    def __post_init__(self) -> None:
        if not self.shots or min(self.shots) < 1 or len(set(self.shots)) < len(self.shots):
            raise InputError(f"--shot must be distinct numbers from 1, such as 1 or 1,5; got {self.shots}")
        unknown = [name for name in self.aggregates if name not in AGGREGATES]
        if unknown:
            raise InputError(f"aggregate must be one of {', '.join(AGGREGATES)}, got {unknown[0]!r}")
