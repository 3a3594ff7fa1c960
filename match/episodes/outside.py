"""Queries of none of an episode's classes, drawn beside its own."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.video_table import Rows, VideoTable
from hcl.extract.system.errors import InputError
from hcl.match.episodes.drawing import Episodes
from hcl.match.episodes.video_pool import without_copies

OUTSIDE = 1  # a stream of its own: the episodes stay the same with outside queries and without


def refuse_none_outside(class_names: Collection[str], n_way: int, split: str) -> None:
    """Refuse a split whose classes are all in each episode.

    Raises:
        InputError: the message names the remedy
    """
    if len(class_names) <= n_way:
        raise InputError(
            f"--open-set asks for videos of other classes than an episode's {n_way}, and there are {len(class_names)}"
            f" {split} classes in all; lower --way" + (f" to {len(class_names) - 1}" if len(class_names) > 2 else "")
        )


def draw_outside(
    videos: VideoTable,
    split: str,
    episodes: Episodes,
    class_names: Collection[str],
    *,
    seed: int,
    group_disjoint: bool = False,
) -> NDArray[np.int64]:
    """Draw as many queries of other classes as each episode has of its own: of random classes, then videos.

    Those of episode i follow from the seed, i and the episode. A video is asked twice in one episode only where the
    other classes have fewer videos than there are queries.

    Args:
        videos: the table
        split: of the episodes
        episodes: E, rows of the table
        class_names: the classes that episodes were drawn from
        seed: of the draw
        group_disjoint: draw no query that shares a group with any support of its episode, as far as there are others

    Returns:
        (E, N, M) rows of the table; the second axis means nothing

    Raises:
        InputError: if no class is left outside, or none of its videos
    """
    n_way = episodes.query.shape[1]
    refuse_none_outside(class_names, n_way, split)
    rows, _ = without_copies(videos, videos.rows(split))
    rows = np.array([row for row in rows if videos.label[row] in class_names], dtype=np.int64)
    labels = np.unique(np.array(videos.label, dtype=str), return_inverse=True)[1]
    groups = np.unique(np.array(videos.group, dtype=str), return_inverse=True)[1]
    found = np.empty((len(episodes), episodes.query[0].size), dtype=np.int64)
    for index, support in enumerate(episodes.support):
        free = rows[~np.isin(labels[rows], labels[support[:, 0]])]
        if group_disjoint:
            apart = free[~np.isin(groups[free], groups[support])]
            free = apart if len(apart) else free
        if not len(free):  # all of other classes are copies
            raise InputError(
                f"--open-set: no {split} video of another class than those of episode {index}; lower --way"
            )
        found[index] = _draw(np.random.default_rng([seed, index, OUTSIDE]), free, labels[free], found.shape[1])
    return found.reshape(episodes.query.shape)


def shared_groups(videos: VideoTable, episodes: Episodes, outside: NDArray[np.int64]) -> float:
    """The share of outside queries (E, N, M) whose group shows among the supports of their episode; "" is no group."""
    groups = np.array(videos.group, dtype=str)
    of_queries = groups[outside.reshape(len(outside), -1, 1)]
    of_supports = groups[episodes.support.reshape(len(outside), 1, -1)]
    return float(((of_queries == of_supports).any(axis=2) & (of_queries[..., 0] != "")).mean())


def _draw(rng: np.random.Generator, free: Rows, labels: NDArray[np.int64], count: int) -> Rows:
    """Draw videos: a class at random each time, then one of its videos that was not drawn yet, if any is left."""
    names, chosen = np.unique(labels), list[int]()
    waiting: dict[int, list[int]] = {}
    while len(chosen) < count:
        if not any(waiting.values()):
            waiting = {name: rng.permutation(free[labels == name]).tolist() for name in names.tolist()}
        left = [name for name, of_class in waiting.items() if of_class]
        chosen.append(waiting[left[int(rng.integers(len(left)))]].pop())
    return np.array(chosen, dtype=np.int64)
