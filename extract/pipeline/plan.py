"""What an extraction has to do: the catalog compared with what the cache holds already."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hcl.extract.cache.base import DONE
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.benchmarks.finding import find_videos
from hcl.extract.catalog.benchmarks.listing import Listing, read_listing
from hcl.extract.catalog.csv_files import read_names
from hcl.extract.catalog.listing import read_catalog
from hcl.extract.catalog.splits import count_splits, split_classes, split_lines
from hcl.extract.catalog.videos import Catalog, Video
from hcl.extract.config import ExtractConfig
from hcl.extract.decoding.source import read_source, stat_source
from hcl.extract.hub.class_texts import clean_name
from hcl.extract.pipeline.completeness import refuse_other_benchmark, refuse_small_classes
from hcl.extract.system.errors import InputError


@dataclass(frozen=True)
class Plan:
    """Which videos and classes there are, which are new, and which must be read."""

    catalog: Catalog
    splits: dict[str, str]  # of every class of the catalog
    texts: dict[str, str]  # of every class of the catalog
    new_classes: tuple[str, ...]
    new_videos: tuple[Video, ...]
    pending: tuple[tuple[int, Path], ...]  # (row, source) of all that must be read, new videos included
    kept: int  # videos of the catalog whose maps the cache holds already
    changed: tuple[str, ...]  # paths of cached videos whose source has other contents now; pending again
    damaged: tuple[str, ...]  # paths of cached videos whose maps cannot be read back; pending again
    listing: Listing | None = None  # of the published benchmark, where one is named

    def split_lines(self) -> list[str]:
        """One line a split: its classes and their number of videos."""
        labels = [video.label for video in self.catalog.videos]
        return split_lines(count_splits(labels, [self.splits[label] for label in labels]))


def make_plan(
    videos: Path, cache: ZarrCache | None, config: ExtractConfig, names: Path | None = None, *, repair: bool = False
) -> Plan:
    """Read the catalog, settle splits and texts, and find what is not done yet.

    Args:
        videos: folder or manifest
        cache: the cache as it stands, None for a new one
        config: of this extraction
        names: CSV file with label,name that overrides the texts of classes
        repair: read all maps back and do the damaged ones again

    Raises:
        InputError: if the catalog contradicts itself or the cache
    """
    listing = read_listing(config.benchmark, config.split_lists) if config.benchmark else None
    if cache is not None:
        refuse_other_benchmark(cache, listing)
    catalog = find_videos(videos, listing) if listing else read_catalog(videos)
    if listing:
        refuse_small_classes(listing, catalog, cache, config.min_per_class)
    splits = _settle_splits(catalog, cache, config)
    texts = _class_texts(catalog, cache, names)
    rows = {path: row for row, path in enumerate(cache.videos.path)} if cache else {}
    new_videos = tuple(video for video in catalog.videos if video.path not in rows)
    stored = {rows[video.path]: video for video in catalog.videos if video.path in rows}
    names_of_frames = config.frame_names
    states = {row: _state(video, cache, row, repair, names_of_frames) for row, video in stored.items()} if cache else {}
    pending = [(row, video.source) for row, video in stored.items() if states[row] != "kept"]
    pending += [(len(rows) + place, video.source) for place, video in enumerate(new_videos)]
    kept = list(states.values()).count("kept")
    if not kept:
        _refuse_missing(videos, catalog)
    stored_classes = cache.class_splits if cache else {}
    return Plan(
        catalog=catalog,
        splits=splits,
        texts=texts,
        new_classes=tuple(name for name in catalog.class_names if name not in stored_classes),
        new_videos=new_videos,
        pending=tuple(pending),
        kept=kept,
        changed=tuple(video.path for row, video in stored.items() if states[row] == "changed"),
        damaged=tuple(video.path for row, video in stored.items() if states[row] == "damaged"),
        listing=listing,
    )


def _refuse_missing(videos: Path, catalog: Catalog) -> None:
    """Refuse a list of several videos of which not one is there: their paths count from another folder."""
    first = catalog.videos[0]
    if len(catalog.videos) > 1 and not any(os.path.exists(video.source) for video in catalog.videos):
        raise InputError(
            f"{videos}: none of its {len(catalog.videos)} videos is there, such as {first.path} (looked for at"
            f" {first.source}); paths count from the folder of the manifest"
        )


def _state(video: Video, cache: ZarrCache, row: int, repair: bool, frame_names: str) -> str:
    """Whether a video of the cache is "kept", or must be read: "pending", "changed" or "damaged".

    Size and time tell cheaply that a source is as it was; only if they differ are its contents compared.

    Raises:
        InputError: if its class or group is not what the cache says
    """
    _refuse_other_facts(video, cache, row)
    if cache.sources.status[row] != DONE:
        return "pending"
    if repair and not cache.intact(row):
        return "damaged"
    now = stat_source(video.source, frame_names)
    then = (int(cache.sources.source_bytes[row]), int(cache.sources.source_modified[row]))
    if now is None or now == then or read_source(video.source, frame_names).content == cache.videos.content[row]:
        return "kept"  # a source that was removed after it was read is not missed
    return "changed"


def split_origin(catalog: Catalog, config: ExtractConfig) -> str:
    """How the splits of a new cache come about: "all-novel", "given" or "seeded"."""
    if config.split_policy == "all-novel":
        return "all-novel"
    return "given" if any(video.split for video in catalog.videos) else "seeded"


def _settle_splits(catalog: Catalog, cache: ZarrCache | None, config: ExtractConfig) -> dict[str, str]:
    """Decide the split of each class; classes of the cache keep theirs."""
    settled = cache.class_splits if cache else {}
    kind = split_origin(catalog, config)
    if kind == "all-novel":
        splits = dict.fromkeys(catalog.class_names, "novel")
    elif kind == "given":
        splits = catalog.class_splits()
    else:
        splits = _split(catalog, settled, str(cache.settings["split_origin"]) if cache else kind, config.split_seed)
    for name, split in splits.items():
        if settled.get(name, split) != split:
            raise InputError(
                f"class {name!r} is in split {settled[name]} of {cache.path if cache else ''} and in {split} now;"
                " keep the splits, or train with other ones by: hcl train --splits FILE"
            )
    return splits


def _split(catalog: Catalog, settled: Mapping[str, str], kind: str, seed: int) -> dict[str, str]:
    """Split classes that come without a split, the way the cache began."""
    if kind == "all-novel":
        return {name: settled.get(name, "novel") for name in catalog.class_names}
    if kind == "given":
        new = [name for name in catalog.class_names if name not in settled]
        if new:
            raise InputError(f"class {new[0]!r} has no split, but the cache's classes were given theirs; give it one")
        return {name: settled[name] for name in catalog.class_names}
    split = split_classes({*settled, *catalog.class_names}, seed, settled)
    return {name: split[name] for name in catalog.class_names}


def _class_texts(catalog: Catalog, cache: ZarrCache | None, names: Path | None) -> dict[str, str]:
    """The text of each class: from the names file, else the cleaned label; no two alike."""
    override = read_names(names) if names else {}
    unknown = sorted(set(override) - set(catalog.class_names))
    if unknown:
        raise InputError(f"{names}: {unknown[0]!r} is no class; the classes are {', '.join(catalog.class_names)}")
    stored = cache.class_texts if cache else {}
    texts = {name: override.get(name) or stored.get(name) or clean_name(name) for name in catalog.class_names}
    owner: dict[str, str] = {text: name for name, text in stored.items()}
    for name, text in texts.items():
        if stored.get(name, text) != text:
            raise InputError(
                f"class {name!r} has the text {stored[name]!r} in the cache and {text!r} now; keep the former"
            )
        if owner.setdefault(text, name) != name:
            raise InputError(
                f"classes {owner[text]!r} and {name!r} are both called {text!r};"
                " join their folders, or tell them apart in a CSV file (label,name) given by --names"
            )
    return texts


def _refuse_other_facts(video: Video, cache: ZarrCache, row: int) -> None:
    """Refuse a video whose class or group is not what the cache says."""
    for what, now, then in (
        ("class", video.label, cache.videos.label[row]),
        ("group", video.group, cache.videos.group[row]),
    ):
        if now != then:
            raise InputError(
                f"{video.path}: {what} {now!r} now, {then!r} in {cache.path}; keep that or extract into a new cache"
            )
