"""Evaluate a store: what is asked of it, from Python or the command line, and the call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from hcl.extract.pipeline.cluster.config import ClusterConfig
from hcl.extract.system.errors import InputError
from hcl.extract.system.places.location import local_only
from hcl.extract.system.settings import check_distinct, option_of
from hcl.match.config import HCL, EpisodeConfig, EvaluationConfig, ScoreConfig
from hcl.match.episodes.episode_file import EpisodeList, read_episodes
from hcl.match.evaluation.evaluator import Evaluator
from hcl.match.evaluation.results import Evaluation
from hcl.match.methods.registry import find_method
from hcl.match.store.distinct import refuse_twice
from hcl.match.store.embedding_store import EmbeddingStore, open_store


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """Which episodes are scored, and how; the store is named apart from it."""

    episodes: EpisodeConfig = EpisodeConfig()
    plan: EvaluationConfig = EvaluationConfig()
    scoring: Mapping[str, Any] = field(default_factory=dict)  # fields of ScoreConfig that differ from the store's
    seeds: tuple[int, ...] = ()  # of several draws; none: the one of `episodes`
    episode_list: EpisodeList | None = None  # scored in place of drawn episodes
    score_cache: Path | None = None  # keeps the scores of pairs for later evaluations
    cluster: ClusterConfig | None = None  # whose workers score; None: this machine

    def __post_init__(self) -> None:
        if self.plan.method not in (None, HCL):
            find_method(self.plan.method)
        if self.seeds:
            if self.episodes.seed != EpisodeConfig.seed:
                raise InputError(f"--seed {self.episodes.seed} and --seeds exclude each other; leave one out")
            check_distinct("--seeds", self.seeds, "numbers from 0, such as 0,1", at_least=0)
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
        cluster: ClusterConfig | None = None,
        **settings: Any,
    ) -> "EvaluationRequest":
        """Sort settings by what they configure; what is not given keeps its default.

        Args:
            episodes_file: of the episodes to score
            episode_list: the same, read already
            score_cache: Zarr folder of scores
            seeds: of several draws
            cluster: whose workers score
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
            if planning.get("min_videos"):
                raise InputError("--min-videos chooses classes to draw from; leave it out with --episodes-file")
            drawing = episode_list.shape
            planning = {"shots": (drawing["k_shot"],), **planning}
        return cls(
            episodes=EpisodeConfig(**drawing),
            plan=EvaluationConfig(**planning),
            scoring=scoring,
            seeds=tuple(seeds),
            episode_list=episode_list,
            score_cache=None if score_cache is None else local_only(score_cache, "scores of pairs"),
            cluster=cluster,
        )

    @property
    def draws(self) -> list[EpisodeConfig]:
        """What to draw, once for each seed."""
        return [replace(self.episodes, seed=seed) for seed in self.seeds or (self.episodes.seed,)]


def _names(config: Any) -> set[str]:
    return {each.name for each in fields(config)}


def evaluate(
    store_or_run: str | Path | EmbeddingStore,
    *,
    way: int = EpisodeConfig.n_way,
    shot: int | Sequence[int] = EpisodeConfig.k_shot,
    queries: int = EpisodeConfig.n_query,
    episodes: int | EpisodeList = EpisodeConfig.episodes,
    seed: int = EpisodeConfig.seed,
    split: str = EvaluationConfig.split,
    group_disjoint: bool = EpisodeConfig.group_disjoint,
    method: str | None = None,
    aggregate: str | Sequence[str] = (),
    spatial: bool = EvaluationConfig.spatial,
    min_videos: int = EvaluationConfig.min_videos,
    keep_trained_classes: bool = EvaluationConfig.keep_trained_classes,
    calibration: bool = EvaluationConfig.calibration,
    open_set: bool = EvaluationConfig.open_set,
    reject: float = EvaluationConfig.reject,
    score_cache: str | Path | None = None,
    **scoring: Any,
) -> Evaluation:
    """Evaluate one store: `evaluate("runs/latest", way=5, shot=(1, 5)).to_dict()`.

    Args:
        store_or_run: an embedding store, its path, or that of a run
        way: N, classes per episode
        shot: K, supports per class; several are scored over the same episodes
        queries: M, query videos per class
        episodes: how many to draw; or a list of episodes, from which way, queries and seed then follow
        seed: of the draw
        split: "novel" for a result, "val" while choosing settings
        group_disjoint: draw no query that shares a group with a support of its own class
        method: one that the store serves, such as "resnet", the ImageNet ResNet without training, or "bimhm", which
            needs no weights; None: that of the store
        aggregate: "mean", "max" or both, of the scores over supports; (): as the encoder was trained
        spatial: False leaves out the level that takes most of the time
        min_videos: classes with fewer videos are left out
        keep_trained_classes: count classes that the run was trained on
        calibration: measure how far probabilities can be believed: `outcomes[0].calibration`
        open_set: measure how well queries of no class of their episode are told: `outcomes[0].open_set`
        reject: with `open_set`, the share of such queries that may be taken for a class
        score_cache: Zarr folder that keeps the scores of pairs for later evaluations
        scoring: top_clips, top_patches, attention_scale and patch_selection, where they differ from the training's

    Returns:
        accuracies in percent with their intervals; interrupted by Ctrl-C, of the episodes that are scored so far

    Raises:
        InputError: if the store cannot be read or the episodes cannot be drawn; the message names the remedy
    """
    drawing: dict[str, Any] = {"n_way": way, "n_query": queries, "episodes": episodes, "seed": seed}
    drawing["group_disjoint"] = group_disjoint
    request = EvaluationRequest.of(
        shots=(shot,) if isinstance(shot, int) else tuple(shot),
        split=split,
        method=method,
        aggregates=(aggregate,) if isinstance(aggregate, str) else tuple(aggregate),
        spatial=spatial,
        min_videos=min_videos,
        keep_trained_classes=keep_trained_classes,
        calibration=calibration,
        open_set=open_set,
        reject=reject,
        score_cache=score_cache,
        **({"episode_list": episodes} if isinstance(episodes, EpisodeList) else drawing),
        **scoring,
    )
    return evaluate_request(open_store(store_or_run), request)[0]


def evaluate_stores(
    sources: Sequence[str | Path | EmbeddingStore | None], request: EvaluationRequest
) -> list[Evaluation]:
    """Score the same request over several stores of one method; all are looked at before the first is scored.

    Args:
        sources: stores, or the paths of stores or runs; None: the latest run
        request: which episodes, and how they are scored

    Raises:
        InputError: if one cannot be read, is named twice or is of another method, or its episodes cannot be drawn
    """
    stores = [open_store(source, request.plan.method) for source in sources]
    refuse_twice(stores)
    evaluators = [_evaluator(store, request) for store in stores]
    first = evaluators[0]
    for other in evaluators[1:]:
        if other.method != first.method:
            raise InputError(
                f"{first.store.path} is of method {first.method}, {other.store.path} of {other.method}: mean and"
                " deviation are over runs of one method; put methods side by side with: hcl compare RUN_A RUN_B"
            )
    if first.method != HCL and (of_levels := _options_of_levels(request)):
        raise InputError(f"{of_levels[0]} is of the levels of method {HCL}, not of {first.method}; leave it out")
    for evaluator in evaluators:
        evaluator.refuse(request.episodes, request.episode_list)
    evaluations: list[Evaluation] = []
    for evaluator in evaluators:
        evaluations += _of_seeds(evaluator, request)
        if evaluations[-1].interrupted:
            break
    return evaluations


def _options_of_levels(request: EvaluationRequest) -> list[str]:
    """The given options that only HCL's levels heed, as they are typed."""
    given = [option_of(each) for each in fields(ScoreConfig) if each.name in request.scoring]
    return given + ([] if request.plan.spatial else ["--no-spatial"])


def evaluate_request(store: EmbeddingStore, request: EvaluationRequest) -> list[Evaluation]:
    """Score the episodes of a request, once for each of its seeds; interrupted, the further seeds are left out.

    Raises:
        InputError: if the episodes cannot be drawn, or the cached scores are of something else
    """
    return _of_seeds(_evaluator(store, request), request)


def _evaluator(store: EmbeddingStore, request: EvaluationRequest) -> Evaluator:
    of_request: dict[str, Any] = {"score_cache": request.score_cache, "cluster": request.cluster}
    return Evaluator(store, request.plan, request.scoring, **of_request)


def _of_seeds(evaluator: Evaluator, request: EvaluationRequest) -> list[Evaluation]:
    evaluations: list[Evaluation] = []
    for episodes in request.draws:
        evaluations.append(evaluator.run(episodes, request.episode_list))
        if evaluations[-1].interrupted:
            break
    return evaluations
