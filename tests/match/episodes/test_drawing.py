"""Episodes: fair, reproducible, and never a video in two roles."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcl.extract.cache.video_table import VideoTable
from hcl.extract.system.errors import InputError
from hcl.match.config import EpisodeConfig
from hcl.match.episodes.drawing import draw_episode, draw_episodes, draw_for_choice, draw_from_pool, draw_set
from hcl.match.episodes.video_pool import Pool, make_pool


def pool_of(sizes: list[int], config: EpisodeConfig, groups: list[str] | None = None) -> Pool:
    labels = [f"class {number}" for number, size in enumerate(sizes) for _ in range(size)]
    rows = np.arange(100, 100 + len(labels))  # rows of a store need not start at 0
    return make_pool(rows, labels, groups or [""] * len(labels), config)


def class_of(pool: Pool, row: int) -> int:
    return next(number for number, rows in enumerate(pool.rows) if row in rows)


@settings(max_examples=30)
@given(
    n_way=st.integers(2, 5),
    k_shot=st.integers(1, 4),
    n_query=st.integers(1, 3),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_an_episode_holds_what_was_asked_for(
    n_way: int, k_shot: int, n_query: int, seed: int, data: st.DataObject
) -> None:
    config = EpisodeConfig(n_way=n_way, k_shot=k_shot, n_query=n_query, seed=seed)
    sizes = data.draw(st.lists(st.integers(k_shot + n_query, 12), min_size=n_way, max_size=8))
    pool = pool_of(sizes, config)
    support, query = draw_episode(pool, config, 3)
    assert support.shape == (n_way, k_shot) and query.shape == (n_way, n_query)
    both = np.concatenate([support.ravel(), query.ravel()])
    assert len(set(both.tolist())) == len(both)  # queries are never among the supports
    classes = [class_of(pool, row) for row in support[:, 0]]
    assert len(set(classes)) == n_way
    for place, number in enumerate(classes):
        assert set(support[place]) | set(query[place]) <= set(pool.rows[number])


def test_episode_i_is_the_same_whatever_was_drawn_before() -> None:
    long, short = EpisodeConfig(episodes=20, seed=4), EpisodeConfig(episodes=3, seed=4)
    pool = pool_of([6] * 7, long)
    all_, few = draw_from_pool(pool, long), draw_from_pool(pool, short)
    np.testing.assert_array_equal(all_.support[:3], few.support)
    np.testing.assert_array_equal(all_.query[:3], few.query)
    np.testing.assert_array_equal(draw_episode(pool, long, 17)[0], all_.support[17])


def test_seeds_differ() -> None:
    first, second = EpisodeConfig(episodes=5, seed=0), EpisodeConfig(episodes=5, seed=1)
    pool = pool_of([6] * 7, first)
    assert (draw_from_pool(pool, first).query != draw_from_pool(pool, second).query).any()


def test_every_class_and_every_video_is_drawn_about_equally() -> None:
    config = EpisodeConfig(n_way=2, episodes=4000)
    drawn = draw_from_pool(pool_of([4] * 6, config), config)
    for rows in (drawn.query, drawn.support):
        counts = Counter(rows.ravel().tolist())
        assert len(counts) == 24
        assert all(abs(count - 4000 * 2 / 24) < 100 for count in counts.values())  # five standard deviations


def test_fewer_shots_are_the_first_of_more() -> None:
    one, five = EpisodeConfig(k_shot=1, episodes=9), EpisodeConfig(k_shot=5, episodes=9)
    few, many = (draw_from_pool(pool_of([9] * 6, config), config) for config in (one, five))
    np.testing.assert_array_equal(few.support, many.support[:, :, :1])
    np.testing.assert_array_equal(few.query, many.query)


@settings(max_examples=40, deadline=None)
@given(
    k_shot=st.integers(1, 3),
    n_query=st.integers(1, 3),
    groups=st.lists(st.lists(st.sampled_from("abcd"), min_size=2, max_size=9), min_size=2, max_size=4),
)
def test_group_disjoint_episodes_or_an_error_that_names_the_class(
    k_shot: int, n_query: int, groups: list[list[str]]
) -> None:
    config = EpisodeConfig(n_way=2, k_shot=k_shot, n_query=n_query, group_disjoint=True)
    flat = [group for members in groups for group in members]
    feasible = [
        any(
            sum(members.count(g) for g in "abcd" if bits >> "abcd".index(g) & 1) >= n_query
            and sum(members.count(g) for g in "abcd" if not bits >> "abcd".index(g) & 1) >= k_shot
            for bits in range(16)
        )
        for members in groups
    ]
    if not all(feasible):
        bad = "|".join(str(number) for number, possible in enumerate(feasible) if not possible)
        with pytest.raises(InputError, match=rf"class ({bad})\b.*lower --shot"):
            pool_of([len(members) for members in groups], config, flat)
        return
    pool = pool_of([len(members) for members in groups], config, flat)
    for index in range(5):
        for supports, queries in zip(*draw_episode(pool, config, index), strict=True):
            assert not {flat[row - 100] for row in supports} & {flat[row - 100] for row in queries}


def test_too_few_videos_or_classes_are_refused() -> None:
    config = EpisodeConfig(n_way=3, k_shot=5, n_query=2)
    with pytest.raises(InputError, match=r"need 7 videos a class; too few in class 1 \(6\); lower --shot"):
        pool_of([7, 6, 8], config)
    with pytest.raises(InputError, match="3-way episodes need 3 classes, found 2; lower --way"):
        pool_of([7, 7], config)


def test_group_disjoint_without_groups_is_refused() -> None:
    with pytest.raises(InputError, match="needs a group for every video; give a group column"):
        pool_of([4, 4], EpisodeConfig(n_way=2, group_disjoint=True))


def table(labels: str, splits: str, groups: str, contents: str) -> VideoTable:
    names = {"b": "base", "n": "novel"}
    paths = tuple(f"{number}.mp4" for number in range(len(labels)))
    return VideoTable(paths, tuple(labels), tuple(names[split] for split in splits), tuple(groups), tuple(contents))


LABELS = "aaabbbcccddd"
VIDEOS = table(LABELS, "bbbnnnnnnnnn", "xyzxyzxyzxyz", "abcdefghijkl")


def test_a_table_is_drawn_from_one_split() -> None:
    """By the labels of that split alone, the same episodes are drawn."""
    of_table = draw_episodes(VIDEOS, way=3, shot=2, episodes=9, seed=4)
    of_labels = draw_episodes(LABELS[3:], way=3, shot=2, episodes=9, seed=4)
    np.testing.assert_array_equal(of_table.support, of_labels.support + 3)
    np.testing.assert_array_equal(of_table.query, of_labels.query + 3)
    assert of_table.support.shape == (9, 3, 2) and of_table.query.shape == (9, 3, 1)
    with pytest.raises(InputError, match="no videos of split 'val', it holds base, novel; choose with --split"):
        draw_episodes(VIDEOS, split="val")


def test_groups_of_a_table_are_kept_apart() -> None:
    episodes = draw_episodes(VIDEOS, way=2, shot=2, episodes=20, group_disjoint=True)
    for support, query in zip(episodes.support.reshape(-1, 2), episodes.query.reshape(-1, 1), strict=True):
        assert not {VIDEOS.group[row] for row in support} & {VIDEOS.group[row] for row in query}
    with pytest.raises(InputError, match="--group-disjoint needs a group for every video"):
        draw_episodes(LABELS, way=2, group_disjoint=True)


def test_of_byte_identical_videos_the_first_alone_is_drawn() -> None:
    twice = replace(VIDEOS, content=tuple("abcddfghijkl"))
    drawn = draw_set(twice, "novel", EpisodeConfig(n_way=3, episodes=50))
    assert drawn.left_out.duplicates == (("3.mp4", "4.mp4"),) and drawn.class_sizes == {"b": 2, "c": 3, "d": 3}
    assert 4 not in drawn.episodes.support and 4 not in drawn.episodes.query


OF_CHOICE = [name for name in "abc" for _ in range(4)]


@pytest.mark.parametrize(
    ("groups", "disjoint"),
    [
        (["p", "p", "p", "q"] * 3, True),
        (["p"] * 12, False),  # no other group to take supports from
        (["p", "p", "p", "q"] * 2 + ["p"] * 4, False),  # nor in one of the classes
        ([""] * 12, False),
        (["p", "p", "p", ""] * 3, False),  # unknown
    ],
)
def test_episodes_that_choose_settings_are_group_disjoint_where_they_can_be(groups: list[str], disjoint: bool) -> None:
    drawn = draw_for_choice(OF_CHOICE, groups, shot=1, way=5, episodes=40)
    assert drawn is not None and drawn.support.shape == drawn.query.shape == (40, 3, 1)
    assert (drawn.support != drawn.query).all()
    for support, query in zip(drawn.support[..., 0], drawn.query[..., 0], strict=True):
        assert sorted(OF_CHOICE[row] for row in support) == list("abc")
        assert [OF_CHOICE[row] for row in support] == [OF_CHOICE[row] for row in query]
    of_groups = np.array(groups)
    shared = (of_groups[drawn.support] == of_groups[drawn.query]).any()
    assert shared == (not disjoint)


def test_episodes_that_choose_settings_need_two_classes_and_enough_videos() -> None:
    assert draw_for_choice(["a"] * 4, list("pqrs"), shot=1, way=5, episodes=3) is None
    assert draw_for_choice([], [], shot=1, way=5, episodes=3) is None
    assert draw_for_choice(OF_CHOICE, [""] * 12, shot=4, way=2, episodes=3) is None
    assert draw_for_choice(OF_CHOICE, ["p", "q", "r", "s"] * 3, shot=1, way=1, episodes=3) is None
    drawn = draw_for_choice(OF_CHOICE, ["p", "p", "p", "q"] * 3, shot=3, way=2, episodes=9, seed=3)
    assert drawn is not None and (drawn.query % 4 == 3).all()  # the only way: the support of three is p's
    again = draw_for_choice(OF_CHOICE, ["p", "p", "p", "q"] * 3, shot=3, way=2, episodes=9, seed=3)
    assert again is not None
    np.testing.assert_array_equal(again.support, drawn.support)
