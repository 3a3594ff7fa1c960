"""Temperatures and thresholds come from val episodes or an episode's own supports, never from what is judged."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hcl.extract.cache.video_table import VideoTable
from hcl.match.confidence.calibration import fit_temperature
from hcl.match.confidence.fitting import choose_temperatures, choose_threshold, fit_on_supports
from hcl.match.config import EpisodeConfig
from hcl.match.episodes.drawing import Episodes, draw_set

SIZE = 8
CONFIG = EpisodeConfig(n_way=3, k_shot=2, episodes=20)
Score = Callable[[Episodes], NDArray[np.float64]]


def table(val: int = 4, size: int = SIZE) -> VideoTable:
    """4 novel classes and some val ones."""
    rows = range((4 + val) * size)
    names = [f"class {row // size}" for row in rows]
    return VideoTable(
        tuple(f"v{row}" for row in rows),
        tuple(names),
        tuple("novel" if row < 4 * size else "val" for row in rows),
        tuple(f"g{row % 4}" for row in rows),
        tuple(f"hash{row}" for row in rows),
    )


@pytest.fixture
def asked() -> list[Episodes]:
    """What was scored."""
    return []


@pytest.fixture
def score(asked: list[Episodes]) -> Score:
    """Scores that are noisy cosines of what a video is of."""
    vectors = np.random.default_rng(0).normal(size=(200, 12))
    vectors += np.repeat(np.random.default_rng(1).normal(size=(25, 12)), SIZE, axis=0)

    def of(episodes: Episodes) -> NDArray[np.float64]:
        asked.append(episodes)
        queries = vectors[episodes.query.reshape(len(episodes), -1)]
        return np.einsum("eqd,enkd->eqn", queries, vectors[episodes.support]) / episodes.support.shape[2]

    return of


def judged(videos: VideoTable, config: EpisodeConfig = CONFIG) -> Episodes:
    return draw_set(videos, "novel", config).episodes


def test_the_temperature_is_that_of_val_episodes_alike(score: Score, asked: list[Episodes]) -> None:
    videos = table()
    found = choose_temperatures(videos, "novel", judged(videos), CONFIG, score)
    (episodes,) = asked
    assert episodes.support.shape[1:] == (3, 2)
    assert {videos.split[row] for row in (*episodes.support.ravel(), *episodes.query.ravel())} == {"val"}
    truth = np.broadcast_to(np.arange(3), (len(episodes), 3))
    expected = fit_temperature(score(episodes), truth, videos=len(np.unique(episodes.query)))
    assert found.values is not None and found.values.tolist() == [expected]
    assert found.fitted_on == "3-way 2-shot episodes of 4 val classes, 32 clips"


def test_fewer_val_classes_make_fewer_ways_and_trained_ones_none(score: Score) -> None:
    videos = table(val=2)
    found = choose_temperatures(videos, "novel", judged(videos), CONFIG, score)
    assert found.fitted_on.startswith("2-way 2-shot episodes of 2 val classes")
    less = choose_temperatures(videos, "novel", judged(videos), CONFIG, score, trained=("class 4",))
    assert less.fitted_on == "each episode's own supports, one of 2 left out at a time"


def test_supports_are_asked_in_turn_and_queries_never(score: Score, asked: list[Episodes]) -> None:
    videos = table(val=0)
    config = EpisodeConfig(n_way=3, k_shot=3, episodes=5)
    episodes = judged(videos, config)
    found = choose_temperatures(videos, "novel", episodes, config, score).values
    assert found is not None and len(asked) == 3
    for number, support in enumerate(episodes.support):
        scores, truth = [], []
        for left_out in range(3):
            kept = np.delete(support, left_out, axis=1)
            for place in range(3):
                one = Episodes(kept[None], np.repeat(support[place, left_out], 3).reshape(1, 3, 1))
                scores.append(score(one)[0, 0])
                truth.append(place)
        assert found[number] == pytest.approx(fit_temperature(np.array(scores), np.array(truth)))
    for one in asked[:3]:
        assert not np.intersect1d(one.query, episodes.query).size or set(one.query.ravel()) <= set(
            episodes.support.ravel()
        )
    with pytest.raises(ValueError, match="cannot be left out"):
        fit_on_supports(episodes.with_shots(1), score)


def test_where_nothing_tells_that_is_said(score: Score, asked: list[Episodes]) -> None:
    videos, one = table(val=1), EpisodeConfig(n_way=3, k_shot=1, episodes=5)
    for split, of in (("novel", videos), ("val", table())):
        found = choose_temperatures(of, split, judged(videos, one), one, score)
        assert (
            found.values is None and "it takes 2 val classes apart from those judged, or 2 supports" in found.fitted_on
        )
    assert "val classes would judge themselves" in choose_threshold(table(), "val", CONFIG, score, 0.1).chosen_on
    few = choose_threshold(table(val=2), "novel", CONFIG, score, 0.1)
    assert few.value is None and "it takes 3 val classes of 3 videos or more" in few.chosen_on
    assert not asked
    rare = choose_threshold(table(val=3), "novel", CONFIG, score, 0.01)
    assert (
        rare.value is None and "1 % cannot be known from 24 clips" in rare.chosen_on and "it takes 99" in rare.chosen_on
    )


def test_the_threshold_lets_about_the_rate_of_val_videos_through(score: Score, asked: list[Episodes]) -> None:
    videos = table(val=5)
    found = choose_threshold(videos, "novel", CONFIG, score, 0.1)
    (episodes,) = asked
    labels = np.array(videos.label)
    for support, query in zip(episodes.support, episodes.query, strict=True):
        assert not set(labels[support].ravel()) & set(labels[query].ravel())
    assert found.value is not None and {videos.split[row] for row in np.unique(episodes.query)} == {"val"}
    assert 0.01 < (score(episodes).max(axis=-1) > found.value).mean() <= 0.1
    assert found.rate == 0.1 and found.chosen_on == "3-way 2-shot episodes of 5 val classes, 40 clips"
