"""What became of the videos of a cache: which are where they were, which moved, and which are gone; told by content."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hcl.extract.cache.base import DONE
from hcl.extract.cache.edits import Edits
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.videos import SHOWN, Catalog, Video
from hcl.extract.decoding.source import read_source, stat_source
from hcl.extract.system.errors import InputError

SHOWN_REMOVED = 100  # videos that a line names, where they are removed


@dataclass(frozen=True)
class Placed:
    """Where the videos of a catalog are in a cache, and what of the cache is not in the catalog."""

    kept: dict[str, int]  # row of each video whose maps are there, by its path in the catalog
    unread: dict[str, int]  # row of each video that has one, but must be read, by its path
    gone: tuple[int, ...]  # rows of videos that are not in the catalog
    replaced: tuple[int, ...]  # rows of those whose path another video has now, or whose file has another class there

    @cached_property
    def rows(self) -> dict[str, int]:
        """Row of every video of the catalog that has one, by its path."""
        return self.kept | self.unread


def place_videos(videos: Sequence[Video], cache: ZarrCache, frame_names: str) -> Placed:
    """Find the rows of videos in a cache: by their paths, and where these are new or hold something else, by content.

    A source that is as large and as old as it was is the same one; where it is not, or its path is new, its contents
    tell, and are read only if the cache misses a video of that size. A source that was removed is not missed.

    Args:
        videos: of the catalog
        cache: whose rows are looked for
        frame_names: pattern of the names of those images of a folder that are frames
    """
    by_path = {path: row for row, path in enumerate(cache.videos.path)}
    kept = {
        video.path: by_path[video.path]
        for video in videos
        if video.path in by_path and _is_as_it_was(video, cache, by_path[video.path], frame_names)
    }
    others = [video for video in videos if video.path not in kept]
    kept |= _moved(others, cache, set(range(len(by_path))) - set(kept.values()), frame_names)
    taken = set(kept.values())
    unread = {
        video.path: by_path[video.path]
        for video in others
        if video.path in by_path and video.path not in kept and by_path[video.path] not in taken
    }
    taken |= set(unread.values())
    rest = [row for row in range(len(by_path)) if row not in taken]
    replaced = _replaced(rest, videos, cache, kept)
    return Placed(kept, unread, tuple(row for row in rest if row not in replaced), tuple(sorted(replaced)))


def _is_as_it_was(video: Video, cache: ZarrCache, row: int, frame_names: str) -> bool:
    """Whether a row holds the maps of what is at the video's path now."""
    if cache.sources.status[row] != DONE:
        return False
    now = stat_source(video.source, frame_names)
    then = (int(cache.sources.source_bytes[row]), int(cache.sources.source_modified[row]))
    return now is None or now == then or read_source(video.source, frame_names).content == cache.videos.content[row]


def _moved(videos: Sequence[Video], cache: ZarrCache, free: set[int], frame_names: str) -> dict[str, int]:
    """Those videos whose contents a row has that no other video needs, and that row."""
    rows: dict[str, list[int]] = {}
    for row in sorted(free):
        if cache.sources.status[row] == DONE:
            rows.setdefault(cache.videos.content[row], []).append(row)
    sizes = {int(cache.sources.source_bytes[row]) for of_content in rows.values() for row in of_content}
    found: dict[str, int] = {}
    for video in videos:
        state = stat_source(video.source, frame_names) if sizes else None
        if state is not None and state[0] in sizes:
            if same := rows.get(read_source(video.source, frame_names).content):
                found[video.path] = same.pop(0)
    return found


def _replaced(rest: Sequence[int], videos: Sequence[Video], cache: ZarrCache, kept: dict[str, int]) -> set[int]:
    """Rows that must not stay beside the catalog: their path is another video's, or their file is now of another class.

    The second kind stands where a file was moved and both places were extracted: an evaluation would draw either.
    """
    labels: dict[str, set[str]] = {}
    for video in videos:
        if video.path in kept:
            labels.setdefault(cache.videos.content[kept[video.path]], set()).add(video.label)
    paths = {video.path for video in videos}
    found = {row for row in rest if cache.videos.path[row] in paths}
    for row in rest:
        now = labels.get(cache.videos.content[row])
        if now and cache.videos.label[row] not in now:
            found.add(row)
    return found


def labels_that_remain(videos: Sequence[Video], cache: ZarrCache, placed: Placed, removed: Container[int]) -> set[str]:
    """The classes that have a video once the catalog is what the cache holds, beside what is not in it and stays."""
    of_catalog = set(placed.rows.values())
    others = {label for row, label in enumerate(cache.videos.label) if row not in of_catalog and row not in removed}
    return {video.label for video in videos} | others


def inherited_splits(videos: Sequence[Video], cache: ZarrCache, placed: Placed, remaining: set[str]) -> dict[str, str]:
    """The split of each new class that is an old one by another name: all its cached videos come from that."""
    splits, former = cache.class_splits, dict[str, set[str]]()
    for video in videos:
        if video.path in placed.rows and video.label not in splits:
            former.setdefault(video.label, set()).add(cache.videos.label[placed.rows[video.path]])
    renamed = {name: next(iter(old)) for name, old in former.items() if len(old) == 1 and not old & remaining}
    return {name: splits[old] for name, old in renamed.items() if old in splits}


def plan_edits(
    catalog: Catalog,
    cache: ZarrCache,
    placed: Placed,
    splits: Mapping[str, str],
    *,
    removed: tuple[int, ...],
    remaining: set[str],
) -> Edits:
    """Settle what the cache must say otherwise, so that it says what the catalog does.

    Args:
        catalog: that counts
        cache: as it is
        placed: the catalog's videos in it
        splits: of the catalog's classes
        removed: rows of the videos that are removed
        remaining: classes that have a video then, as `labels_that_remain` tells
    """
    facts: dict[str, dict[int, str]] = {"path": {}, "label": {}, "group": {}}
    knows_groups = any(video.group for video in catalog.videos)  # else it says nothing against those of the cache
    for video in catalog.videos:
        row = placed.rows.get(video.path, -1)
        for name, of_rows in facts.items() if row >= 0 else []:
            if getattr(cache.videos, name)[row] != getattr(video, name) and (name != "group" or knows_groups):
                of_rows[row] = getattr(video, name)
    stored = cache.class_splits
    return Edits(
        **facts,
        removed=removed,
        splits={name: split for name, split in splits.items() if stored.get(name, split) != split},
        removed_classes=tuple(name for name in stored if name not in remaining),
    )


def change_lines(edits: Edits, cache: ZarrCache, placed: Placed, videos: Path) -> list[str]:
    """Say what becomes of the videos that the cache has, one line a kind of change."""
    path, label, stored = cache.videos.path, cache.videos.label, cache.class_splits
    now = [edits.path.get(row, path[row]) for row in range(len(path))]
    pruned = set(edits.removed) - set(placed.replaced)
    kept = [path[row] for row in placed.gone if row not in pruned]
    told = {
        "moved or renamed, maps kept": [f"{path[row]} -> {new}" for row, new in edits.path.items()],
        "of another class now": [
            f"{now[row]}: {label[row] or 'unlabelled'} -> {new or 'unlabelled'}" for row, new in edits.label.items()
        ],
        "of another group now": [now[row] for row in edits.group],
        "classes of another split now": [f"{name}: {stored[name]} -> {new}" for name, new in edits.splits.items()],
        "classes without videos, removed": list(edits.removed_classes),
        "replaced at its place or in its class, removed": [path[row] for row in placed.replaced],
        f"removed, since not in {videos}": [path[row] for row in sorted(pruned)],
        f"not in {videos}, and kept; --prune removes them": kept,
    }
    lines = [
        shortened(what, names, most=SHOWN_REMOVED if "removed" in what else SHOWN)
        for what, names in told.items()
        if names
    ]
    if edits:
        lines.append(f"runs and stores made of {cache.path} before do not know this: train anew, or hcl embed")
    return lines


def shortened(what: str, names: Sequence[str], *, most: int) -> str:
    """Name the first of some, and how many there are."""
    return f"{what} ({len(names)}): {', '.join(names[:most])}{', ...' if len(names) > most else ''}"


def refuse_to_prune_all(cache: ZarrCache, placed: Placed, videos: Path) -> None:
    """Refuse to remove every video of a cache: another folder was named than the one that it was made of.

    Raises:
        InputError: if no video of the cache would remain
    """
    if not placed.rows and placed.gone:
        raise InputError(
            f"{videos}: holds none of the {len(cache.videos)} videos of {cache.path}, and --prune would remove them"
            " all; name the folder or list that it was made of, or leave out --prune"
        )
