"""The videos that episodes are drawn from, class by class, and whether there are enough of them."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.video_table import Rows, VideoTable, left_out_text
from hcl.extract.system.errors import InputError
from hcl.match.config import EpisodeConfig

TRAINED_ON = "left out, since the run was trained on these classes"


@dataclass(frozen=True)
class Pool:
    """The videos that episodes are drawn from, class by class."""

    class_names: tuple[str, ...]
    rows: tuple[NDArray[np.int64], ...]  # of each class, ascending
    groups: tuple[NDArray[np.int64], ...]  # of each row, as numbers


@dataclass(frozen=True)
class LeftOut:
    """What of a split can be drawn by nobody, and why."""

    trained: tuple[str, ...] = ()  # classes that the encoder was trained on
    small: dict[str, int] = field(default_factory=dict)  # classes with too few videos: how many they have
    duplicates: tuple[tuple[str, ...], ...] = ()  # byte-identical videos, by path; one of each set can be drawn
    copies: tuple[str, ...] = ()  # videos that an earlier split has, too, as `VideoTable.same_as` names them

    def to_dict(self) -> dict[str, Any]:
        """The classes and the copies in plain types."""
        return {"trained": list(self.trained), "few_videos": self.small, "copies": list(self.copies)}

    def sentences(self) -> list[str]:
        """Name the classes, the copies and the reasons, one a line."""
        trained = f"{TRAINED_ON}: {', '.join(self.trained)} (--keep-trained-classes counts them)"
        sizes = ", ".join(f"{name} ({count})" for name, count in self.small.items())
        small = f"left out, with too few videos: {sizes}"
        told = {trained: self.trained, small: self.small, left_out_text(self.copies): self.copies}
        return [sentence for sentence, found in told.items() if found]


@dataclass(frozen=True)
class SplitPool:
    """What episodes of one split are drawn from."""

    pool: Pool
    class_sizes: dict[str, int]  # videos of each class, by name in alphabetical order
    left_out: LeftOut


def make_split_pool(
    videos: VideoTable,
    split: str,
    config: EpisodeConfig,
    *,
    where: str = "",
    trained: Collection[str] = (),
    min_videos: int = 0,
    copies: tuple[str, ...] = (),
) -> SplitPool:
    """Sort the videos of one split of a table by class, without what must not be drawn.

    Args:
        videos: the table
        split: "base", "val" or "novel"
        config: what will be drawn
        where: what the table is of, for messages
        trained: classes that are left out, since the encoder was trained on them
        min_videos: classes with fewer videos are left out
        copies: what to name as left out, since an earlier split has it

    Raises:
        InputError: if the split is empty, or has too few classes or videos; what was left out is named
    """
    rows = videos.rows(split)
    if not len(rows):
        held = ", ".join(sorted(split or "videos without labels" for split in set(videos.split))) or "no videos"
        if set(videos.split) == {""}:
            raise InputError(
                f"{where or 'videos'}: none of its {len(videos)} videos has a label, and an evaluation needs them; give"
                " labels in the manifest, run hcl extract again, and embed anew"
            )
        raise InputError(f"{where or 'videos'}: no videos of split {split!r}, it holds {held}; choose with --split")
    rows, duplicates = without_copies(videos, rows)
    sizes = dict(sorted(Counter(videos.take(rows).label).items()))
    left_out = LeftOut(
        tuple(name for name in sizes if name in trained),
        {name: count for name, count in sizes.items() if count < min_videos and name not in trained},
        tuple(videos.take(members).path for members in duplicates),
        copies,
    )
    sizes = {name: count for name, count in sizes.items() if name not in {*left_out.trained, *left_out.small}}
    rows = np.array([row for row in rows if videos.label[row] in sizes], dtype=np.int64)
    of_rows = videos.take(rows)
    try:
        pool = make_pool(rows, of_rows.label, of_rows.group, config)
    except InputError as error:
        named = f"{where}: {error}" if where else str(error)
        raise InputError("; ".join([named, *left_out.sentences()])) from error
    return SplitPool(pool, sizes, left_out)


def without_copies(videos: VideoTable, rows: Rows) -> tuple[Rows, tuple[Rows, ...]]:
    """Leave out videos that an earlier split holds, too, and all but the first of byte-identical ones.

    As a support, a duplicate would give its query away.

    Args:
        videos: the table
        rows: (n,) of one split

    Returns:
        the rows that remain, ascending; and the sets of byte-identical ones
    """
    rows = np.setdiff1d(rows, list(videos.in_earlier_split)).astype(np.int64)
    duplicates = videos.duplicates(rows)
    return np.setdiff1d(rows, [row for members in duplicates for row in members[1:]]).astype(np.int64), duplicates


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
            f" too few in {', '.join(small)}; lower --shot or --queries, leave such classes out with"
            f" --min-videos {needed}, or add videos"
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
