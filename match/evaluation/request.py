"""What an evaluation shall do, whether a command or a script says so: put together and checked in one place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from hcl.extract.system.errors import InputError
from hcl.extract.system.settings import option_of
from hcl.match.config import HCL, EpisodeConfig, EvaluationConfig, ScoreConfig
from hcl.match.episodes.episode_file import EpisodeList, read_episodes
from hcl.match.methods.registry import find_method


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """Which episodes are scored, and how; the store is named apart from it."""

    episodes: EpisodeConfig = EpisodeConfig()
    plan: EvaluationConfig = EvaluationConfig()
    scoring: Mapping[str, Any] = field(default_factory=dict)  # fields of ScoreConfig that differ from the store's
    seeds: tuple[int, ...] = ()  # of several draws; none: the one of `episodes`
    episode_list: EpisodeList | None = None  # scored in place of drawn episodes
    score_cache: Path | None = None  # keeps the scores of pairs for later evaluations

    def __post_init__(self) -> None:
        if self.plan.method not in (None, HCL):
            find_method(self.plan.method)
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"--seeds must be distinct numbers from 0, such as 0,1; got {self.seeds}")
        if self.episode_list is not None and max(self.plan.shots) > self.episode_list.shape["k_shot"]:
            raise InputError(
                f"the listed episodes have {self.episode_list.shape['k_shot']} supports a class; lower --shot"
            )

    @classmethod
    def of(
        cls,
        *,
        episodes_file: str | Path | None = None,
        episode_list: EpisodeList | None = None,
        score_cache: str | Path | None = None,
        seeds: Sequence[int] = (),
        **settings: Any,
    ) -> "EvaluationRequest":
        """Sort settings by what they configure; what is not given keeps its default.

        Args:
            episodes_file: of the episodes to score
            episode_list: the same, read already
            score_cache: Zarr folder of scores
            seeds: of several draws
            settings: fields of EpisodeConfig, EvaluationConfig and ScoreConfig

        Raises:
            InputError: if a value is out of its range, or contradicts the listed episodes
        """
        given = [
            {name: settings.pop(name) for name in _names(config) & set(settings)}
            for config in (EpisodeConfig, EvaluationConfig, ScoreConfig)
        ]
        if settings:
            raise TypeError(f"no setting of an evaluation: {', '.join(settings)}")
        drawing, planning, scoring = given
        if episodes_file is not None:
            episode_list = read_episodes(episodes_file)
        if episode_list is not None:
            options = {each.name: option_of(each) for each in fields(EpisodeConfig)}
            surplus = [options[name] for name in options if name in drawing] + ["--seeds"] * bool(seeds)
            if surplus:
                raise InputError(f"{surplus[0]} follows from --episodes-file; leave it out")
            drawing = episode_list.shape
            planning = {"shots": (drawing["k_shot"],), **planning}
        return cls(
            episodes=EpisodeConfig(**drawing),
            plan=EvaluationConfig(**planning),
            scoring=scoring,
            seeds=tuple(seeds),
            episode_list=episode_list,
            score_cache=None if score_cache is None else Path(score_cache),
        )

    @property
    def draws(self) -> list[EpisodeConfig]:
        """What to draw, once for each seed."""
        return [replace(self.episodes, seed=seed) for seed in self.seeds or (self.episodes.seed,)]


def _names(config: Any) -> set[str]:
    return {each.name for each in fields(config)}
