"""The videos that episodes are drawn from, class by class, and whether there are enough of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.video_table import Rows
from hcl.extract.system.errors import InputError
from hcl.match.config import EpisodeConfig


@dataclass(frozen=True)
class Pool:
    """The videos that episodes are drawn from, class by class."""

    class_names: tuple[str, ...]
    rows: tuple[NDArray[np.int64], ...]  # of each class, ascending
    groups: tuple[NDArray[np.int64], ...]  # of each row, as numbers


def make_pool(rows: Rows, labels: Sequence[str], groups: Sequence[str], config: EpisodeConfig) -> Pool:
    """Sort videos by class and check that episodes can be drawn from every class.

    Args:
        rows: (n,) row numbers into the store
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
