"""Outside queries are of no class of their episode, the same whenever drawn, and of other groups where asked for."""

import numpy as np
import pytest

from hcl.extract.cache.video_table import VideoTable
from hcl.extract.system.errors import InputError
from hcl.match.config import EpisodeConfig
from hcl.match.episodes.drawing import Episodes, draw_set
from hcl.match.episodes.outside import draw_outside, shared_groups

CLASSES, SIZE = 5, 6


def table(groups: int = 3, **facts: tuple[str, ...]) -> VideoTable:
    rows = range(CLASSES * SIZE)
    columns = {
        "path": tuple(f"v{row}" for row in rows),
        "label": tuple("abcde"[row // SIZE] for row in rows),
        "split": ("novel",) * len(rows),
        "group": tuple(f"g{row % groups}" for row in rows),
        "content": tuple(f"hash{row}" for row in rows),
    }
    return VideoTable(**columns | facts)


@pytest.mark.parametrize(("way", "shot", "queries"), [(2, 1, 1), (4, 2, 1), (3, 3, 2), (4, 1, 2)])
def test_outside_queries_are_of_other_classes_and_none_is_asked_twice(way: int, shot: int, queries: int) -> None:
    videos = table()
    config = EpisodeConfig(n_way=way, k_shot=shot, n_query=queries, episodes=30)
    drawn = draw_set(videos, "novel", config)
    outside = draw_outside(videos, "novel", drawn.episodes, drawn.class_sizes, seed=0)
    labels = np.array(videos.label)
    assert outside.shape == drawn.episodes.query.shape
    for support, rows in zip(drawn.episodes.support, outside.reshape(30, -1), strict=True):
        assert not set(labels[support].ravel()) & set(labels[rows])
        free = SIZE * (CLASSES - way)
        assert len(set(rows.tolist())) == min(len(rows), free)
    fewer = draw_outside(videos, "novel", drawn.episodes.first(7), drawn.class_sizes, seed=0)
    np.testing.assert_array_equal(fewer, outside[:7])
    assert (draw_outside(videos, "novel", drawn.episodes, drawn.class_sizes, seed=1) != outside).any()


def test_all_other_classes_are_drawn_alike() -> None:
    videos = table(label=("a",) * 2 + ("b",) * 10 + tuple("cde"[row // SIZE] for row in range(3 * SIZE)))
    drawn = draw_set(videos, "novel", EpisodeConfig(n_way=2, episodes=600))
    outside = draw_outside(videos, "novel", drawn.episodes, drawn.class_sizes, seed=0)
    counts = np.unique(np.array(videos.label)[outside], return_counts=True)[1]
    assert len(counts) == CLASSES and counts.min() > 0.75 * counts.max()


def test_groups_of_supports_are_left_out_as_far_as_there_are_others() -> None:
    videos, config = table(), EpisodeConfig(n_way=2, k_shot=1, episodes=40, group_disjoint=True)
    drawn = draw_set(videos, "novel", config)
    apart = draw_outside(videos, "novel", drawn.episodes, drawn.class_sizes, seed=0, group_disjoint=True)
    groups = np.array(videos.group)
    for support, rows in zip(drawn.episodes.support, apart, strict=True):
        assert not set(groups[support].ravel()) & set(groups[rows].ravel())
    assert shared_groups(videos, drawn.episodes, apart) == 0
    mixed = draw_outside(videos, "novel", drawn.episodes, drawn.class_sizes, seed=0)
    loops = [
        groups[row] in groups[support]
        for support, rows in zip(drawn.episodes.support, mixed, strict=True)
        for row in rows.ravel()
    ]
    assert shared_groups(videos, drawn.episodes, mixed) == pytest.approx(np.mean(loops)) and np.mean(loops) > 0
    alone = table(groups=1)
    anyway = draw_outside(alone, "novel", drawn.episodes, drawn.class_sizes, seed=0, group_disjoint=True)
    assert shared_groups(alone, drawn.episodes, anyway) == 1
    assert shared_groups(table(group=("",) * 30), drawn.episodes, anyway) == 0


def test_copies_are_no_outside_queries() -> None:
    videos = table(content=tuple(f"hash{row % SIZE if row >= SIZE else 100 + row}" for row in range(CLASSES * SIZE)))
    drawn = draw_set(table(), "novel", EpisodeConfig(n_way=2, episodes=50))
    later = Episodes(
        *(rows[(rows[:, :, 0] >= 2 * SIZE).all(axis=1)] for rows in (drawn.episodes.support, drawn.episodes.query))
    )
    outside = draw_outside(videos, "novel", later, drawn.class_sizes, seed=0)
    assert outside.max() < 2 * SIZE  # of each later video an earlier one is byte-identical
    with pytest.raises(InputError, match="no novel video of another class than those of episode"):
        draw_outside(videos, "novel", drawn.episodes, drawn.class_sizes, seed=0)


def test_without_a_class_outside_the_remedy_is_fewer_ways() -> None:
    videos = table()
    drawn = draw_set(videos, "novel", EpisodeConfig(n_way=5, episodes=2))
    with pytest.raises(
        InputError, match="other classes than an episode's 5, and there are 5 novel classes.*--way to 4"
    ):
        draw_outside(videos, "novel", drawn.episodes, drawn.class_sizes, seed=0)
