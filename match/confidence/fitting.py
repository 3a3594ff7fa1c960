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
LEFT_OUT_EPISODES = 1000  # in which every support is a query, too

Floats = NDArray[np.float64]
Score = Callable[[Episodes], Floats]  # of episodes to scores (E, Q, N); all supports count


@dataclass(frozen=True)
class Temperatures:
    """What scores of episodes are divided by before they are probabilities."""

    values: Floats | None  # (1,) of all episodes, or (E,) of the first E; None where nothing tells
    fitted_on: str  # such as "3-way 1-shot episodes of 3 val classes, 57 clips"; else why there is none


@dataclass(frozen=True)
class Threshold:
    """The confidence above which a query is taken for one of the classes."""

    value: float | None  # None where nothing tells
    rate: float  # of false accepts, as asked for
    chosen_on: str  # as of Temperatures


def choose_temperatures(
    videos: VideoTable,
    split: str,
    episodes: Episodes,
    config: EpisodeConfig,
    score: Score,
    *,
    trained: Collection[str] = (),
) -> Temperatures:
    """Fit a temperature to val episodes of as many ways and shots; without them to each episode's own supports.

    Where there are fewer val classes than ways, as many ways as there are classes.

    Args:
        videos: of the store
        split: that is judged: val classes do not judge themselves
        episodes: that are judged; their queries are not read
        config: of these episodes
        score: scores episodes
        trained: classes that are left out, since the encoder was trained on them
    """
    of_val = None if split == "val" else temperature_on_val(videos, config, score, trained=trained)
    if of_val is not None:
        return of_val
    if config.k_shot > 1:
        fitted = fit_on_supports(episodes.first(LEFT_OUT_EPISODES), score)
        return Temperatures(fitted, f"each episode's own supports, one of {config.k_shot} left out at a time")
    return Temperatures(None, "nothing: it takes 2 val classes apart from those judged, or 2 supports a class")


def temperature_on_val(
    videos: VideoTable, config: EpisodeConfig, score: Score, *, trained: Collection[str] = ()
) -> Temperatures | None:
    """Fit one temperature to val episodes, as `choose_temperatures`; None where they cannot be drawn."""
    drawn = _draw_val(videos, config, trained, outside=0)
    if drawn is None:
        return None
    scores = score(drawn.episodes)
    truth = np.broadcast_to(true_places(drawn.episodes), scores.shape[:2])
    clips = len(np.unique(drawn.episodes.query))
    return Temperatures(np.array([fit_temperature(scores, truth, videos=clips)]), _name(drawn, clips))


def choose_threshold(
    videos: VideoTable,
    split: str,
    config: EpisodeConfig,
    score: Score,
    rate: float,
    *,
    trained: Collection[str] = (),
) -> Threshold:
    """Choose the confidence that val videos of no class of their val episode exceed at a rate.

    Args:
        videos: of the store
        split: that is judged: val classes do not judge themselves
        config: of the episodes that are judged
        score: scores val episodes
        rate: of false accepts
        trained: classes that are left out, since the encoder was trained on them
    """
    if split == "val":
        return Threshold(None, rate, "nothing: val classes would judge themselves; leave out --split")
    drawn = _draw_val(videos, config, trained, outside=1)
    if drawn is None:
        return Threshold(
            None,
            rate,
            f"nothing: it takes 3 val classes of {config.k_shot + 1} videos or more, one of them outside each episode;"
            " name such classes in --splits and train anew",
        )
    outside = draw_outside(
        *(videos, "val", drawn.episodes, drawn.class_sizes), seed=config.seed, group_disjoint=config.group_disjoint
    )
    confidence = best_score(score(Episodes(drawn.episodes.support, outside)))
    try:
        value = rejection_threshold(confidence.ravel(), rate, clips=outside.ravel())
    except InputError as error:  # too few clips
        return Threshold(None, rate, f"nothing: {error}")
    return Threshold(value, rate, _name(drawn, len(np.unique(outside))))


def fit_on_supports(episodes: Episodes, score: Score) -> Floats:
    """Fit a temperature to each episode by asking each support of which class it is, given all others.

    One support of each class is left out at a time: K rounds of K - 1 shots.

    Args:
        episodes: E, of K supports a class, at least 2
        score: scores episodes

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
