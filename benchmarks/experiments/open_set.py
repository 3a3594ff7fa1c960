"""Which number tells best that a query is of no class of its episode: python benchmarks/experiments/open_set.py RUN

On val classes, by episodes whose queries come half from other val classes. Prints, for each number of shots, AUROC and
the share of queries that are falsely rejected where 5 % of the outside ones are let through.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from hcl.match.confidence.calibration import fit_temperature, probabilities
from hcl.match.confidence.open_set import auroc
from hcl.match.config import EpisodeConfig, EvaluationConfig
from hcl.match.episodes.aggregation import true_places
from hcl.match.episodes.drawing import Episodes, draw_set
from hcl.match.episodes.outside import draw_outside
from hcl.match.evaluation.evaluator import Evaluator
from hcl.match.store.embedding_store import open_store

Floats = NDArray[np.float64]


def main() -> None:
    """Print a table a run and number of shots."""
    given = parse()
    for run in given.runs:
        for shot in given.shot:
            evaluator = Evaluator(open_store(run), EvaluationConfig(split=given.split))
            rows = trial(evaluator, shot, given)
            print(f"\n{run.name}, {given.split}, {shot}-shot\n")
            print(tabulate(rows, headers=("confidence", "AUROC", "rejected, %"), floatfmt=".1f", tablefmt="github"))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--split", default="val")
    parser.add_argument("--way", type=int, default=5)
    parser.add_argument("--shot", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--group-disjoint", action="store_true")
    return parser.parse_args()


def trial(evaluator: Evaluator, shot: int, given: argparse.Namespace) -> list[tuple[str, float, float]]:
    """Score inside and outside queries, and the supports by each other, and try every number."""
    videos, split = evaluator.store.videos, given.split
    classes = len({videos.label[row] for row in videos.rows(split)})
    config = EpisodeConfig(
        n_way=min(given.way, classes - 1),
        k_shot=shot,
        episodes=given.episodes,
        group_disjoint=given.group_disjoint,
    )
    drawn = draw_set(videos, split, config)
    episodes = drawn.episodes
    outside = draw_outside(videos, split, episodes, drawn.class_sizes, seed=0, group_disjoint=given.group_disjoint)
    both = np.concatenate((episodes.query, outside), axis=2)
    scores = evaluator.headline_scores(Episodes(episodes.support, both), "mean")  # (E, N * 2M, N)
    is_outside = np.tile([False, True], config.n_way)
    own, others = scores[:, ~is_outside], scores[:, is_outside]
    among = evaluator.headline_scores(Episodes(episodes.support, episodes.support), "mean")  # (E, N * K, N)
    of_others = np.repeat(np.arange(config.n_way), shot)[:, None] != np.arange(config.n_way)
    temperature = fit_temperature(own, np.broadcast_to(true_places(episodes), own.shape[:2]))
    found = []
    for name, function in candidates(among, of_others, temperature).items():
        inside, beside = function(own).ravel(), function(others).ravel()
        rejected = (inside <= np.quantile(beside, 0.95, method="higher")).mean()
        found.append((name, 100 * auroc(inside, beside), 100 * float(rejected)))
    return found


def candidates(
    among: Floats, of_others: NDArray[np.bool_], temperature: float
) -> dict[str, Callable[[Floats], Floats]]:
    """Functions of scores (E, Q, N) to confidences (E, Q); `among` are those of supports by the classes (E, N K, N)."""
    noise = np.where(of_others, among, np.nan)
    mean, std = np.nanmean(noise, axis=1, keepdims=True), np.nanstd(noise, axis=1, keepdims=True)  # (E, 1, N)
    mean_all, std_all = np.nanmean(noise, axis=(1, 2), keepdims=True), np.nanstd(noise, axis=(1, 2), keepdims=True)

    def top_two(s: Floats) -> Floats:
        return np.diff(np.sort(s, axis=-1)[..., -2:], axis=-1)[..., 0]

    def margin(s: Floats) -> Floats:
        return s.max(axis=-1) - (s.sum(axis=-1) - s.max(axis=-1)) / (s.shape[-1] - 1)

    def energy(s: Floats) -> Floats:
        return (
            np.log(np.exp((s - s.max(axis=-1, keepdims=True)) / temperature).sum(axis=-1))
            + s.max(axis=-1) / temperature
        )

    return {
        "largest probability": lambda s: probabilities(s, temperature).max(axis=-1),
        "best score": lambda s: s.max(axis=-1),
        "best score less the second": top_two,
        "best score less the mean of the others": margin,
        "energy": energy,
        "best score, standardised by class": lambda s: ((s - mean) / np.maximum(std, 1e-9)).max(axis=-1),
        "best score less its class's mean": lambda s: (s - mean).max(axis=-1),
        "best score, standardised by episode": lambda s: ((s - mean_all) / std_all).max(axis=-1),
        "best score less the episode's mean": lambda s: (s - mean_all).max(axis=-1),
        "best score + margin": lambda s: (s - mean_all).max(axis=-1) + margin(s),
    }


if __name__ == "__main__":
    main()
