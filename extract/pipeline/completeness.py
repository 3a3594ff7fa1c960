"""What an extraction finds and lacks of a published benchmark: before it, from its plan; after it, from the cache."""

from pathlib import Path

from hcl.extract.cache.base import FAILED, FrameMapCache
from hcl.extract.catalog.benchmarks.coverage import ENDING, Coverage, missing_videos, write_missing
from hcl.extract.catalog.benchmarks.listing import Listing
from hcl.extract.catalog.splits import count_splits
from hcl.extract.catalog.videos import Catalog
from hcl.extract.system.errors import InputError


def refuse_other_benchmark(cache: FrameMapCache, listing: Listing | None) -> None:
    """Refuse to mix a benchmark with other videos, or with other lists of it, in one cache.

    Raises:
        InputError: if the cache holds something else
    """
    stored, given = cache.lists_identity, listing.identity if listing else ""
    if stored == given or (listing and not len(cache.videos)):
        return
    if not stored:
        raise InputError(f"{cache.path}: holds videos that no benchmark lists; extract the benchmark into a new cache")
    name = str(cache.attributes["benchmark"].get("benchmark"))
    if listing and name == listing.benchmark.name:
        raise InputError(f"{cache.path}: holds {name} by other lists; give the same --split-lists, or a new cache")
    raise InputError(f"{cache.path}: holds the benchmark {name}; give --benchmark {name}, or extract into a new cache")


def planned_coverage(listing: Listing, catalog: Catalog, cache: FrameMapCache | None) -> Coverage:
    """How much of a benchmark a cache will hold if all videos that were found can be read."""
    there = finished_videos(cache) | {video.path for video in catalog.videos}
    videos = [video for video in listing.videos if video.line in there]
    present = count_splits((video.label for video in videos), (video.split for video in videos))
    return Coverage(listing.benchmark.name, listing.counts, present)


def refuse_small_classes(listing: Listing, catalog: Catalog, cache: FrameMapCache | None, least: int) -> None:
    """Refuse a benchmark of which a class has too few videos.

    Raises:
        InputError: the message names the classes
    """
    small = planned_coverage(listing, catalog, cache).below(least)
    if small:
        named = ", ".join(f"{label} ({count})" for label, count in small.items())
        raise InputError(
            f"--min-per-class {least}: fewer videos are found of {named}; lower it, or get the others: with"
            " --dry-run --missing-list FILE, without --min-per-class, they are listed"
        )


def list_planned(listing: Listing, catalog: Catalog, cache: FrameMapCache | None, path: Path) -> None:
    """Write the videos of a benchmark that were not found to a file."""
    found = finished_videos(cache) | {video.path for video in catalog.videos}
    write_missing(path, missing_videos(listing, found, {}))


def list_missing(cache: FrameMapCache, listing: Listing | None, path: str | Path | None) -> Path | None:
    """Write the videos of a benchmark that a cache lacks to a file, with the reason.

    Args:
        cache: after an extraction
        listing: of the benchmark; None: there is none
        path: of the file; None: beside the cache, if any video is missing, else what stood there is removed

    Returns:
        the file; None if none was written
    """
    if listing is None:
        return None
    paths, sources = cache.videos.path, cache.sources
    failed = {name: sources.reason[row] for row, name in enumerate(paths) if sources.status[row] == FAILED}
    missing = missing_videos(listing, finished_videos(cache), failed)
    beside = cache.path.with_name(cache.path.name + ENDING)
    if path is None and not missing:
        beside.unlink(missing_ok=True)
        return None
    file = Path(path) if path else beside
    write_missing(file, missing)
    return file


def finished_videos(cache: FrameMapCache | None) -> set[str]:
    """The names of the videos whose maps a cache holds; none without a cache."""
    return {cache.videos.path[row] for row in cache.rows()} if cache else set()
