"""What an extraction has to do: the catalog compared with what the cache holds already."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from hcl.extract.cache.base import DONE
from hcl.extract.cache.edits import Edits
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.benchmarks.finding import find_videos
from hcl.extract.catalog.benchmarks.listing import Listing, read_listing
from hcl.extract.catalog.listing import read_catalog
from hcl.extract.catalog.splits import count_splits, split_lines
from hcl.extract.catalog.videos import UNLABELLED, Catalog, Video
from hcl.extract.config import ExtractConfig
from hcl.extract.pipeline.changes import (
    Placed,
    change_lines,
    inherited_splits,
    labels_that_remain,
    place_videos,
    plan_edits,
    refuse_to_prune_all,
)
from hcl.extract.pipeline.classes import class_texts, settle_splits, split_origin
from hcl.extract.pipeline.completeness import finished_videos, refuse_other_benchmark, refuse_small_classes
from hcl.extract.system.atomic import in_bucket
from hcl.extract.system.errors import InputError
from hcl.extract.system.places.streaming import with_states

MISSING = "listed, but not there"  # why videos are left aside


@dataclass(frozen=True)
class Plan:
    """Which videos and classes there are, which are new, and which must be read."""

    catalog: Catalog
    splits: dict[str, str]  # of every class of the catalog
    texts: dict[str, str]  # of every class of the catalog
    new_classes: tuple[str, ...]
    new_videos: tuple[Video, ...]
    pending: tuple[tuple[int, Path], ...]  # (row after the edits, source) of all that must be read, new videos included
    kept: int  # videos of the catalog whose maps the cache holds already
    changed: tuple[str, ...]  # paths of cached videos whose source has other contents now; pending again
    damaged: tuple[str, ...]  # paths of cached videos whose maps cannot be read back; pending again
    edits: Edits = field(default_factory=Edits)  # of what the cache says of its videos and classes
    changes: tuple[str, ...] = ()  # the same in lines
    seed: int | None = None  # of the shuffle that split the classes; None: they were not shuffled now
    listing: Listing | None = None  # of the published benchmark, where one is named

    def split_lines(self) -> list[str]:
        """One line a split: its classes and their number of videos; and how the splits came about, or are missing."""
        labels = [video.label for video in self.catalog.videos if video.label != UNLABELLED]
        lines = split_lines(count_splits(labels, [self.splits[label] for label in labels]))
        if unlabelled := len(self.catalog.videos) - len(labels):
            lines.append(f"unlabelled: {unlabelled} videos, for hcl embed alone; training and evaluation need labels")
        if self.catalog.read_as:
            lines.append(self.catalog.read_as)
        if self.seed is not None:
            lines.append(
                f"the splits are a shuffle of the classes (--split-seed {self.seed}): not comparable with published"
                " results, whose splits go into a column split of the manifest or hcl train --splits"
            )
        return lines


def make_plan(
    videos: Path,
    cache: ZarrCache | None,
    config: ExtractConfig,
    names: Path | None = None,
    *,
    repair: bool = False,
    prune: bool = False,
    skip_missing: bool = False,
) -> Plan:
    """Read the catalog, settle splits and texts, and find what is not done yet.

    Args:
        videos: folder or manifest
        cache: the cache as it stands, None for a new one
        config: of this extraction
        names: CSV file with label,name that overrides the texts of classes
        repair: read all maps back and do the damaged ones again
        prune: remove videos of the cache that are not in the catalog
        skip_missing: go without listed videos that are not there

    Raises:
        InputError: if the catalog contradicts itself or the cache, or listed videos are not there
    """
    listing = read_listing(config.benchmark, config.split_lists) if config.benchmark else None
    if cache is not None:
        refuse_other_benchmark(cache, listing)
    if listing:
        catalog = find_videos(videos, listing)
        refuse_small_classes(listing, catalog, cache, config.min_per_class)
    else:
        catalog = without_missing(videos, read_catalog(videos, unlabelled=True), cache, skip=skip_missing)
    if cache is None:
        splits = settle_splits(catalog, config, {}, None)
        return Plan(
            catalog=catalog,
            splits=splits,
            texts=class_texts(catalog, {}, names),
            new_classes=catalog.class_names,
            new_videos=catalog.videos,
            pending=tuple(enumerate(video.source for video in catalog.videos)),
            kept=0,
            changed=(),
            damaged=(),
            seed=config.split_seed if splits and split_origin(catalog, config) == "seeded" else None,
            listing=listing,
        )
    placed = place_videos(catalog.videos, cache, config.frame_names)
    if prune:
        refuse_to_prune_all(cache, placed, videos)
    made = _plan_with(cache, catalog, config, names, placed, videos=videos, repair=repair, prune=prune)
    return replace(made, listing=listing)


def _plan_with(
    cache: ZarrCache,
    catalog: Catalog,
    config: ExtractConfig,
    names: Path | None,
    placed: Placed,
    *,
    videos: Path,
    repair: bool,
    prune: bool,
) -> Plan:
    """The plan beside a cache that holds some of the videos."""
    removed = tuple(sorted(placed.replaced + (placed.gone if prune else ())))
    remaining = labels_that_remain(catalog.videos, cache, placed, set(removed))
    stored, origin = cache.class_splits, str(cache.settings.get("split_origin", "given"))
    inherited = inherited_splits(catalog.videos, cache, placed, remaining)
    settled = {name: split for name, split in stored.items() if name in remaining} | inherited
    splits = settle_splits(catalog, config, settled, origin)
    shuffled = "seeded" == origin == split_origin(catalog, config) and not set(catalog.class_names) <= set(settled)
    texts = {name: text for name, text in cache.class_texts.items() if name in remaining}
    edits = plan_edits(catalog, cache, placed, splits, removed=removed, remaining=remaining)
    damaged = [path for path, row in placed.kept.items() if repair and not cache.intact(row)]
    set_aside = set(removed)
    after = {row: place for place, row in enumerate(row for row in range(len(cache.videos)) if row not in set_aside)}
    new = tuple(video for video in catalog.videos if video.path not in placed.rows)
    to_read = {*placed.unread, *damaged}
    again = {video.path: video.source for video in catalog.videos if video.path in to_read}
    pending = [(after[placed.rows[path]], source) for path, source in again.items()]
    return Plan(
        catalog=catalog,
        splits=splits,
        texts=class_texts(catalog, texts, names),
        new_classes=tuple(name for name in catalog.class_names if name not in stored),
        new_videos=new,
        pending=(*pending, *((len(after) + place, video.source) for place, video in enumerate(new))),
        kept=len(placed.kept) - len(damaged),
        changed=tuple(path for path, row in placed.unread.items() if cache.sources.status[row] == DONE),
        damaged=tuple(damaged),
        edits=edits,
        changes=tuple(change_lines(edits, cache, placed, videos)),
        seed=config.split_seed if shuffled else None,
    )


def without_missing(videos: Path, catalog: Catalog, cache: ZarrCache | None, *, skip: bool) -> Catalog:
    """Leave out the listed videos that are not there, those aside whose maps the cache has.

    Args:
        videos: the list, for the message
        catalog: what it says
        cache: as it is; None: there is none yet
        skip: whether to go without them

    Raises:
        InputError: if there are any and they are not to be skipped, or if nothing remains
    """
    done = finished_videos(cache)
    sources = with_states([video.source for video in catalog.videos])
    catalog = replace(
        catalog,
        videos=tuple(
            replace(video, source=source) if source else video
            for video, source in zip(catalog.videos, sources, strict=True)
        ),
    )
    missing = [
        video
        for video, source in zip(catalog.videos, sources, strict=True)
        if video.path not in done and (source is None or not (in_bucket(source) or os.path.lexists(source)))
    ]  # a link that leads nowhere is there, and fails when it is read
    if not missing:
        return catalog
    count, first = len(catalog.videos), missing[0]
    found = f"such as {first.path} (looked for at {first.source})"
    if len(missing) == count:
        raise InputError(
            f"{videos}: none of its {count} videos is there, {found}; paths count from the folder of the manifest"
        )
    if not skip:
        raise InputError(
            f"{videos}: {len(missing)} of its {count} videos are not there, {found}; put them there, or go on with"
            f" the other {count - len(missing)} by --skip-missing"
        )
    absent = {video.path for video in missing}
    there = tuple(video for video in catalog.videos if video.path not in absent)
    return replace(catalog, videos=there, left_aside={**catalog.left_aside, MISSING: tuple(sorted(absent))})
