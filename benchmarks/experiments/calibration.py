"""How far the weighted sum's probabilities can be believed: python benchmarks/experiments/calibration.py runs/latest

The weights of the levels are those of a logistic regression, so the softmax over an episode's classes of the weighted
sum is a probability. Prints, for each number of shots, how often the first guess is right by what it is given, and the
expected calibration error (Guo et al., On Calibration of Modern Neural Networks, 2017): the mean distance of the two,
weighted by the queries in each bin.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tabulate import tabulate

from hcl.match.config import WEIGHTED, EpisodeConfig, ScoreConfig
from hcl.match.episodes.aggregation import true_places
from hcl.match.episodes.drawing import draw_set
from hcl.match.evaluation.class_scoring import Case, class_scores_of, score_levels
from hcl.match.evaluation.known_levels import known_levels, known_scores
from hcl.match.evaluation.level_weights import weighted_scores
from hcl.match.evaluation.score_cache import ScoreCache
from hcl.match.store.embedding_store import open_store

SHOTS = (1, 5)
BINS = 10


def main() -> None:
    """Print a table a number of shots."""
    given = parse()
    for shot, probabilities, truth in scored(given):
        guess, confidence = probabilities.argmax(axis=-1), probabilities.max(axis=-1)
        right = guess == truth
        rows, error = table(confidence.ravel(), right.ravel())
        print(f"\n{shot}-shot: {100 * right.mean():.1f} % right, {100 * confidence.mean():.1f} % said;", end=" ")
        print(f"expected calibration error {100 * error:.1f} points\n")
        print(tabulate(rows, headers=("said, %", "queries, %", "right, %"), floatfmt=".1f", tablefmt="github"))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="an embedding store of hcl, or a run")
    parser.add_argument("--split", default="novel")
    parser.add_argument("--way", type=int, default=5)
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--group-disjoint", action="store_true")
    return parser.parse_args()


def scored(given: argparse.Namespace) -> list[tuple[int, NDArray[np.float64], NDArray[np.int64]]]:
    """The probabilities (E, Q, N) of the classes by number of shots, and the places (Q,) of the true ones."""
    store = open_store(given.store)
    config = EpisodeConfig(
        n_way=given.way, k_shot=max(SHOTS), episodes=given.episodes, group_disjoint=given.group_disjoint
    )
    episodes = draw_set(store.videos, given.split, config, where=str(store.path)).episodes
    scoring = ScoreConfig(**store.attributes.get("scoring", {}))
    levels = score_levels(store, episodes, scoring, ScoreCache(len(store.videos)), spatial=True)
    pairs = levels.pairs.pairs
    known = known_scores(store, pairs, known_levels(store))
    weighted = {WEIGHTED: weighted_scores(store, pairs, levels.levels, known, np.unique(pairs))}
    found = []
    for shot in SHOTS:
        scores = class_scores_of(weighted, levels.pairs.lookup, Case(shot, scoring.aggregate))[WEIGHTED]
        found.append((shot, torch.from_numpy(scores).softmax(dim=-1).numpy(), true_places(episodes)))
    return found


def table(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[list[tuple[str, float, float]], float]:
    """A row for each bin of confidences that has queries, and the expected calibration error."""
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rows, error = [], 0.0
    for place in np.unique(places):
        here = places == place
        said, found = confidence[here].mean(), right[here].mean()
        error += here.mean() * abs(said - found)
        rows.append((f"{100 * place // BINS} to {100 * (place + 1) // BINS}", 100 * here.mean(), 100 * found))
    return rows, error


if __name__ == "__main__":
    main()
