"""Where temperatures and thresholds come from: val episodes of the same run, or an episode's own supports.

Never from the queries that are judged. Whoever scores episodes hands in a function, so that this serves an evaluation
and a classifier alike.
"""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.video_table import VideoTable
from hcl.extract.system.errors import InputError
from hcl.match.confidence.calibration import fit_temperature, fit_temperatures
from hcl.match.confidence.open_set import rejection_threshold
from hcl.match.config import EpisodeConfig
from hcl.match.episodes.aggregation import true_places
from hcl.match.episodes.drawing import Episodes, EpisodeSet, draw_set
from hcl.match.episodes.outside import draw_outside
from hcl.match.episodes.video_pool import without_copies

VAL_EPISODES = 500

Floats = NDArray[np.float64]
Score = Callable[[Episodes], Floats]  # scores (E, Q, N) of episodes of a number of supports


@dataclass(frozen=True)
class Fitted:
    """A number that was fitted, and on what."""

    value: float
    fitted_on: str  # such as "3-way 1-shot episodes of 3 val classes, 57 clips"


def fit_on_val(
    videos: VideoTable, config: EpisodeConfig, score: Score, *, trained: Collection[str] = ()
) -> Fitted | None:
    """Fit the temperature of episodes to val episodes of as many ways and shots, or as many ways as there are classes.

    Args:
        videos: of the store
        config: of the episodes that will be judged
        score: scores val episodes
        trained: classes that are left out, since the encoder was trained on them

    Returns:
        None where val episodes of so many shots cannot be drawn
    """
    drawn = _draw_val(videos, config, trained, outside=0)
    if drawn is None:
        return None
    scores = score(drawn.episodes)
    truth = np.broadcast_to(true_places(drawn.episodes), scores.shape[:2])
    clips = len(np.unique(drawn.episodes.query))
    return Fitted(fit_temperature(scores, truth, videos=clips), _name(drawn, clips))


def threshold_on_val(
    videos: VideoTable, config: EpisodeConfig, score: Score, rate: float, *, trained: Collection[str] = ()
) -> Fitted:
    """Choose the confidence that val videos of no class of their val episode exceed at a rate.

    Args:
        videos: of the store
        config: of the episodes that will be judged
        score: scores val episodes
        rate: false accepts among outside queries
        trained: classes that are left out, since the encoder was trained on them

    Raises:
        InputError: if the val classes cannot tell
    """
    drawn = _draw_val(videos, config, trained, outside=1)
    if drawn is None:
        raise InputError(
            f"a threshold is chosen on val classes, of which one stands outside each episode: it takes 3 of"
            f" {config.k_shot + 1} videos or more; name some in the splits and train anew"
        )
    outside = draw_outside(
        *(videos, "val", drawn.episodes, drawn.class_sizes), seed=config.seed, group_disjoint=config.group_disjoint
    )
    confidence = best_score(score(Episodes(drawn.episodes.support, outside)))
    value = rejection_threshold(confidence.ravel(), rate, clips=outside.ravel())
    return Fitted(value, _name(drawn, len(np.unique(outside))))


def fit_on_supports(episodes: Episodes, score: Score) -> Floats:
    """Fit a temperature to each episode by asking each support of which class it is, given all others.

    One support of each class is left out at a time: K rounds of K - 1 shots.

    Args:
        episodes: E, of K supports a class, at least 2
        score: scores episodes of K - 1 supports

    Returns:
        (E,)
    """
    count, n_way, k_shot = episodes.support.shape
    if k_shot < 2:
        raise ValueError(f"{episodes.support.shape = }: one support a class cannot be left out")
    rounds = [
        score(Episodes(np.delete(episodes.support, left_out, axis=2), episodes.support[:, :, left_out : left_out + 1]))
        for left_out in range(k_shot)
    ]
    truth = np.broadcast_to(np.tile(np.arange(n_way), k_shot), (count, n_way * k_shot))
    return fit_temperatures(np.concatenate(rounds, axis=1), truth)


def best_score(scores: Floats) -> Floats:
    """How sure it is that a query is of any of the classes: the score of the best one, (..., N) to (...).

    On val classes this told better than the largest probability, margins, or scores standardised by class.
    """
    return np.asarray(scores.max(axis=-1))


def _draw_val(
    videos: VideoTable, config: EpisodeConfig, trained: Collection[str], *, outside: int
) -> EpisodeSet | None:
    """Draw val episodes with so many classes left outside; None where that cannot be."""
    rows, _ = without_copies(videos, videos.rows("val"))
    sizes = Counter(videos.label[row] for row in rows if videos.label[row] not in trained)
    needed = config.k_shot + 1
    n_way = min(config.n_way, sum(size >= needed for size in sizes.values()) - outside)
    if n_way < 2:
        return None
    of_val = replace(config, n_way=n_way, n_query=1, episodes=VAL_EPISODES)
    try:
        return draw_set(videos, "val", of_val, trained=trained, min_videos=needed)
    except InputError:  # too few groups
        return None


def _name(drawn: EpisodeSet, clips: int) -> str:
    _, n_way, k_shot = drawn.episodes.support.shape
    return f"{n_way}-way {k_shot}-shot episodes of {len(drawn.class_sizes)} val classes, {clips} clips"
