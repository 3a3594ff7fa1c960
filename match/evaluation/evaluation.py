"""Evaluate an embedding store: in one call for a script, or as a request says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hcl.match.config import EpisodeConfig, EvaluationConfig
from hcl.match.episodes.episode_file import EpisodeList
from hcl.match.evaluation.evaluator import Evaluator
from hcl.match.evaluation.request import EvaluationRequest
from hcl.match.evaluation.results import Evaluation
from hcl.match.store.embedding_store import EmbeddingStore, open_store


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
        method: "resnet" for the ImageNet ResNet without training alone; None: that of the store
        aggregate: "mean", "max" or both, of the scores over supports; (): as the encoder was trained
        spatial: False leaves out the level that costs nearly all the time
        score_cache: Zarr folder that keeps the scores of pairs for later evaluations
        scoring: top_clips, top_patches and attention_scale, where they differ from those of the training

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
        score_cache=score_cache,
        **({"episode_list": episodes} if isinstance(episodes, EpisodeList) else drawing),
        **scoring,
    )
    return evaluate_request(open_store(store_or_run), request)[0]


def evaluate_request(store: EmbeddingStore, request: EvaluationRequest) -> list[Evaluation]:
    """Score the episodes of a request, once for each of its seeds; interrupted, the further seeds are left out.

    Raises:
        InputError: if the episodes cannot be drawn, or the cached scores are of something else
    """
    evaluator = Evaluator(store, request.plan, request.scoring, score_cache=request.score_cache)
    evaluations: list[Evaluation] = []
    for episodes in request.draws:
        evaluations.append(evaluator.run(episodes, request.episode_list))
        if evaluations[-1].interrupted:
            break
    return evaluations
