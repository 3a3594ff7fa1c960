"""Draw few-shot episodes: N classes, K supports and M queries a class, never one video in both roles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcl.extract.system.errors import InputError
from hcl.match.config import EpisodeConfig


@dataclass(frozen=True)
class Episodes:
    """E episodes as row numbers into the embedding store."""

    support: NDArray[np.int64]  # (E, N, K)
    query: NDArray[np.int64]  # (E, N, M)

    def __post_init__(self) -> None:
        if self.support.shape[:2] != self.query.shape[:2]:
            raise ValueError(f"{self.support.shape = } and {self.query.shape = } differ in episodes or classes")

    def __len__(self) -> int:
        return len(self.query)

    def first(self, count: int) -> "Episodes":
        """Take the first episodes."""
        return Episodes(self.support[:count], self.query[:count])

    def renumbered(self) -> tuple[NDArray[np.int64], "Episodes"]:
        """Number the rows that occur from 0: these rows, ascending, and the episodes over their numbers."""
        both = np.concatenate((self.support.ravel(), self.query.ravel()))
        rows, numbers = np.unique(both, return_inverse=True)
        support, query = np.split(numbers, [self.support.size])
        return rows, Episodes(support.reshape(self.support.shape), query.reshape(self.query.shape))


@dataclass(frozen=True)
class Pool:
    """The videos that episodes are drawn from, class by class."""

    class_names: tuple[str, ...]
    rows: tuple[NDArray[np.int64], ...]  # of each class, ascending
    groups: tuple[NDArray[np.int64], ...]  # of each row, as numbers


def make_pool(rows: NDArray[np.int64], labels: Sequence[str], groups: Sequence[str], config: EpisodeConfig) -> Pool:
    """Sort videos by class and check that the episodes asked for can be drawn from every class.

    Args:
        rows: row numbers into the store
        labels: class of each of these rows
        groups: group of each of these rows, "" where unknown
        config: what will be drawn

    Raises:
        InputError: if there are too few classes or videos; the classes are named
    """
    names = tuple(sorted(set(labels)))
    if len(names) < config.n_way:
        raise InputError(f"{config.n_way}-way episodes need {config.n_way} classes, found {len(names)}; lower --way")
    if config.group_disjoint and not all(groups):
        raise InputError("--group-disjoint needs a group for every video; give a group column in the manifest")
    codes = {group: code for code, group in enumerate(sorted(set(groups)))}
    label_array = np.array(labels, dtype=object)
    group_array = np.array([codes[group] for group in groups], dtype=np.int64)
    places = [np.flatnonzero(label_array == name) for name in names]
    pool = Pool(names, tuple(rows[place] for place in places), tuple(group_array[place] for place in places))
    _refuse_small_classes(pool, config)
    return pool


def _refuse_small_classes(pool: Pool, config: EpisodeConfig) -> None:
    needed = config.k_shot + config.n_query
    small = [
        f"{name} ({len(rows)})" for name, rows in zip(pool.class_names, pool.rows, strict=True) if len(rows) < needed
    ]
    if small:
        raise InputError(
            f"{config.k_shot}-shot episodes with --queries {config.n_query} need {needed} videos a class;"
            f" too few in {', '.join(small)}; lower --shot or --queries, or add videos"
        )
    if config.group_disjoint:
        bad = [
            name
            for name, groups in zip(pool.class_names, pool.groups, strict=True)
            if not _separable(np.unique(groups, return_counts=True)[1], config.n_query, config.k_shot)
        ]
        if bad:
            raise InputError(
                f"--group-disjoint: no way to take {config.n_query} queries and {config.k_shot} supports"
                f" from different groups in {', '.join(bad)}; lower --shot or --queries, or leave the option out"
            )


def _separable(sizes: NDArray[np.int64], n_query: int, k_shot: int) -> bool:
    """Whether some groups hold n_query videos and the other groups k_shot."""
    sums = {0}
    for size in sizes:
        sums |= {reached + int(size) for reached in sums}
    return any(reached >= n_query and int(sizes.sum()) - reached >= k_shot for reached in sums)


def draw_episode(pool: Pool, config: EpisodeConfig, index: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw episode `index`: the same whatever was drawn before it.

    The supports of fewer shots are the first of those of more, with the same queries.

    Returns:
        supports (N, K) and queries (N, M)
    """
    rng = np.random.default_rng([config.seed, index])
    chosen = rng.choice(len(pool.class_names), size=config.n_way, replace=False)
    support = np.empty((config.n_way, config.k_shot), dtype=np.int64)
    query = np.empty((config.n_way, config.n_query), dtype=np.int64)
    for place, name in enumerate(chosen):
        query[place], support[place] = _draw_class(rng, pool.rows[name], pool.groups[name], config)
    return support, query


def _draw_class(
    rng: np.random.Generator, rows: NDArray[np.int64], groups: NDArray[np.int64], config: EpisodeConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw the queries and the supports of one class."""
    if not config.group_disjoint:
        order = rng.permutation(len(rows))
        return rows[order[: config.n_query]], rows[order[config.n_query :][: config.k_shot]]
    while True:  # some order succeeds: _separable was asked before
        drawn = _draw_disjoint(rng.permutation(len(rows)), groups, config)
        if drawn is not None:
            return rows[drawn[0]], rows[drawn[1]]


def _draw_disjoint(
    order: NDArray[np.int64], groups: NDArray[np.int64], config: EpisodeConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Take queries in order while enough videos of other groups remain, then supports; None if that gets stuck."""
    query: list[int] = []
    outside = np.ones(len(order), dtype=bool)
    for place in order:
        left = outside & (groups != groups[place])
        if left.sum() >= config.k_shot:
            query.append(int(place))
            outside = left
        if len(query) == config.n_query:
            free = order[outside[order]]
            return np.array(query, dtype=np.int64), free[: config.k_shot]
    return None


def draw_episodes(pool: Pool, config: EpisodeConfig) -> Episodes:
    """Draw all episodes of a configuration."""
    drawn = [draw_episode(pool, config, index) for index in range(config.episodes)]
    return Episodes(np.stack([support for support, _ in drawn]), np.stack([query for _, query in drawn]))
