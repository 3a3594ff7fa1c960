"""Draw few-shot episodes: N classes, K supports and M queries per class, never one video in both roles."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.video_table import VideoTable
from hcl.extract.system.errors import InputError
from hcl.match.config import EpisodeConfig
from hcl.match.episodes.video_pool import LeftOut, Pool, make_pool, make_split_pool


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
        """Take the first `count` episodes."""
        return Episodes(self.support[:count], self.query[:count])

    def with_shots(self, k_shot: int) -> "Episodes":
        """Take the first `k_shot` supports of each class."""
        return Episodes(self.support[:, :, :k_shot], self.query)

    def renumbered(self) -> tuple[NDArray[np.int64], "Episodes"]:
        """Number the rows that occur from 0: these rows, ascending, and the episodes over their numbers."""
        both = np.concatenate((self.support.ravel(), self.query.ravel()))
        rows, numbers = np.unique(both, return_inverse=True)
        support, query = np.split(numbers, [self.support.size])
        return rows, Episodes(support.reshape(self.support.shape), query.reshape(self.query.shape))


@dataclass(frozen=True)
class EpisodeSet:
    """Episodes over the videos of a store, and what they were drawn from."""

    episodes: Episodes  # rows of the store
    class_sizes: dict[str, int]  # videos of each class, by name in alphabetical order
    left_out: LeftOut = LeftOut()


def draw_episodes(
    videos: VideoTable | Sequence[str],
    *,
    way: int = EpisodeConfig.n_way,
    shot: int = EpisodeConfig.k_shot,
    queries: int = EpisodeConfig.n_query,
    episodes: int = EpisodeConfig.episodes,
    seed: int = EpisodeConfig.seed,
    split: str = "novel",
    group_disjoint: bool = EpisodeConfig.group_disjoint,
) -> Episodes:
    """Draw few-shot episodes: `draw_episodes(store.videos, way=5, shot=1)`.

    Episode i is the same whatever else is drawn: it follows from the seed, i and the videos. The supports of fewer
    shots are the first of those of more, with the same queries.

    Args:
        videos: of a store or a cache; of byte-identical ones the first alone is drawn, and none that an earlier split
            holds, too. Or the class of each video
        way: N, classes per episode
        shot: K, supports per class
        queries: M, per class
        episodes: E
        seed: of the draw
        split: of a table, from which videos are drawn; of no consequence where labels are given
        group_disjoint: draw no query that shares a group with a support of its own class

    Returns:
        row numbers (E, N, K) of the supports and (E, N, M) of the queries

    Raises:
        InputError: if there are too few classes, videos or groups; the message names them
    """
    config = EpisodeConfig(
        n_way=way, k_shot=shot, n_query=queries, episodes=episodes, seed=seed, group_disjoint=group_disjoint
    )
    if isinstance(videos, VideoTable):
        return draw_set(videos, split, config).episodes
    labels = [str(label) for label in videos]
    return draw_from_pool(make_pool(np.arange(len(labels)), labels, [""] * len(labels), config), config)


def draw_set(videos: VideoTable, split: str, config: EpisodeConfig, **choice: Any) -> EpisodeSet:
    """Draw episodes from one split of a table; a video that an earlier split holds, too, is never drawn.

    Args:
        videos: the table
        split: "base", "val" or "novel"
        config: what to draw
        choice: as of `make_split_pool`: where, trained, min_videos and copies

    Raises:
        InputError: if the split is empty, or the episodes cannot be drawn from it
    """
    of_split = make_split_pool(videos, split, config, **choice)
    return EpisodeSet(draw_from_pool(of_split.pool, config), of_split.class_sizes, of_split.left_out)


def draw_for_choice(
    labels: Sequence[str], groups: Sequence[str], *, shot: int, way: int, episodes: int, seed: int = 0
) -> Episodes | None:
    """Draw episodes that choose settings: group-disjoint where the groups allow it, as other people's videos will be.

    Args:
        labels: class of each video
        groups: group of each video, "" where unknown
        shot: K, supports per class
        way: N, at most as many as there are classes
        episodes: E
        seed: of the draw

    Returns:
        episodes of positions in `labels`; None where they cannot be drawn
    """
    way = min(way, len(set(labels)))
    if way < 2:
        return None
    for disjoint in (True, False) if all(groups) else (False,):
        config = EpisodeConfig(n_way=way, k_shot=shot, episodes=episodes, seed=seed, group_disjoint=disjoint)
        try:
            return draw_from_pool(make_pool(np.arange(len(labels)), labels, groups, config), config)
        except InputError:  # too few groups or videos: the next best is drawn
            continue
    return None


def draw_episode(pool: Pool, config: EpisodeConfig, index: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw episode `index`, which is the same whatever was drawn before it.

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
    while True:  # some order succeeds: make_pool checked it
        places = _draw_disjoint(rng.permutation(len(rows)), groups, config)
        if places is not None:
            return rows[places[0]], rows[places[1]]


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


def draw_from_pool(pool: Pool, config: EpisodeConfig) -> Episodes:
    """Draw all episodes of a configuration, from a pool that was made for it."""
    episodes = [draw_episode(pool, config, index) for index in range(config.episodes)]
    return Episodes(np.stack([support for support, _ in episodes]), np.stack([query for _, query in episodes]))
