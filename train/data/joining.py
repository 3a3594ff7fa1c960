"""Which caches may be trained on together: what they must share, and what makes their union dishonest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hcl.extract.cache.base import FrameMapCache, map_settings
from hcl.extract.cache.formats import open_cache
from hcl.extract.config import SPLITS
from hcl.extract.hub.class_texts import clean_name
from hcl.extract.system.errors import InputError
from hcl.extract.system.places.location import place_of
from hcl.extract.system.progress import logger
from hcl.extract.system.settings import list_differences
from hcl.train.data.joined_caches import JoinedCaches

SHOWN = 10  # videos or classes that a line names, of many


def join_caches(paths: Sequence[str | Path], *, merge_classes: bool = False) -> JoinedCaches:
    """Open several caches as one.

    Args:
        paths: two or more
        merge_classes: whether classes of the same name are one

    Raises:
        InputError: if one cannot be opened, or their maps or class texts do not fit together
    """
    sets = {name: open_cache(path) for name, path in name_sets(paths).items()}
    refuse_unlike(list(sets.values()))
    return JoinedCaches(sets, merge_classes=merge_classes)


def name_sets(paths: Sequence[str | Path]) -> dict[str, Path]:
    """Name each set after its cache's file, or after the folder of that where two files have the same name.

    Raises:
        InputError: if a cache is named twice, or neither names tell the sets apart
    """
    caches = [place_of(path) for path in paths]
    places = [cache.resolve() for cache in caches]
    if twice := [str(cache) for cache, place in zip(caches, places, strict=True) if places.count(place) > 1]:
        raise InputError(f"{twice[0]}: this cache is named twice; name each cache once")
    for names in ([cache.stem for cache in caches], [place.parent.name for place in places]):
        if len(set(names)) == len(names):
            return dict(zip(names, caches, strict=True))
    shown = ", ".join(map(str, caches))
    raise InputError(f"{shown}: neither files nor folders tell these sets apart by name; rename one of the caches")


def refuse_unlike(caches: Sequence[FrameMapCache]) -> None:
    """Refuse caches whose maps or class texts come from other models or settings than those of the first.

    Raises:
        InputError: the message names the cache, the first one, and what differs
    """
    first, *others = caches
    for cache in others:
        then, now = map_settings(first.settings), map_settings(cache.settings)
        if differences := list_differences(then, now, there=f"in {first.path}", here="here"):
            raise InputError(
                f"{cache.path}: other maps than those of {first.path}: {differences};"
                " extract one of them anew with the settings of the other"
            )
        if first.text_model != cache.text_model:
            here, there = (one["model"] if one else "no text model" for one in (cache.text_model, first.text_model))
            raise InputError(
                f"{cache.path}: class texts by {here}, those of {first.path} by {there};"
                " extract both with the same --text-model"
            )


def refuse_two_splits(joined: JoinedCaches) -> None:
    """Refuse merged classes that are in one split in a set and in another one elsewhere.

    Raises:
        InputError: the message names the class, both caches and both splits
    """
    seen: dict[str, tuple[str, FrameMapCache]] = {}
    for name, cache in joined.sets.items():
        for label, split in cache.class_splits.items():
            first, there = seen.setdefault(joined.class_name(name, label), (split, cache))
            if split != first:
                raise InputError(
                    f"class {label!r} is {first} in {there.path} and {split} in {cache.path}, and merged it would be"
                    " both; give it one split with --splits FILE, or leave out --merge-classes"
                )


def log_sets(joined: JoinedCaches) -> None:
    """Log what each set brings; warn of what the sets share that would make a validation or a test dishonest."""
    for name, cache in joined.sets.items():
        splits = list(cache.class_splits.values())
        counts = ", ".join(f"{splits.count(split)} {split}" for split in SPLITS)
        logger.info(f"set {name}: {counts} classes, {len(cache.rows())} videos in {cache.path}")
    fewest = min(joined.sets.values(), key=lambda cache: cache.n_views)
    if any(cache.n_views > fewest.n_views for cache in joined.sets.values()):
        logger.info(f"views of each video to draw from: {fewest.n_views}; {fewest.path} holds no more")
    path, splits_of = joined.videos.path, joined.videos.split
    of_base = {row: other for row, other in joined.left_out.items() if splits_of[row] == "base"}
    if twins := [f"{path[row]} = {path[other]}" for row, other in of_base.items()]:
        logger.warning(
            f"left out, {len(twins)} base videos that are byte-identical to a val or novel video of another set:"
            f" {_shortened(twins)}"
        )
    if contested := contested_classes(joined):
        logger.warning(
            f"classes of the same name in different splits: {_shortened(contested)}; what is trained on is not new in"
            " a test: give them one split with --splits FILE"
        )


def contested_classes(joined: JoinedCaches) -> list[str]:
    """Name the classes that read alike and are in different splits, such as "A/FanDown base, B/fan_down novel"."""
    splits, alike = joined.class_splits, dict[str, list[str]]()
    for name, text in joined.class_texts.items():
        alike.setdefault(clean_name(text), []).append(name)
    groups = [names for names in alike.values() if len({splits[name] for name in names}) > 1]
    return [", ".join(f"{name} {splits[name]}" for name in names) for names in groups]


def _shortened(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return "; ".join(names[:SHOWN]) + more
