"""Whether a store still says what its cache does: labels can be corrected there after it was embedded."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hcl.extract.cache.formats import open_cache
from hcl.extract.cache.video_table import VideoTable
from hcl.extract.system.atomic import names_url
from hcl.extract.system.errors import InputError


def relabelled_line(store: str, origin: Any, videos: VideoTable) -> str:
    """Say in one line what the cache of a store says otherwise now; "" where nothing, or the cache is not there.

    Args:
        store: its path, for the message
        origin: the attribute of the store that names its cache and run
        videos: of the store
    """
    cache, run = (origin.get(name) if isinstance(origin, dict) else None for name in ("cache", "run"))
    if names_url(str(cache)):  # no file makes the program open a connection
        return ""
    try:
        now = open_cache(str(cache)).videos
    except (InputError, OSError):  # it may have gone, or lie elsewhere
        return ""
    told = differences(videos, now)
    if not told:
        return ""
    by = "--untrained" if run == "untrained" else f"--run {run}"
    return (
        f"{store}: its cache was changed since, {len(told)} of its {len(videos)} videos, such as {told[0]}; embed anew"
        f" with: hcl embed {cache} {by} --out {store}"
    )


def differences(then: VideoTable, now: VideoTable) -> list[str]:
    """Name the videos that have another class now, or are gone, as "a/1.mp4: wave there, clap now"; told by content."""
    labels: dict[str, list[str]] = defaultdict(list)
    for content, label in zip(now.content, now.label, strict=True):
        labels[content].append(label)
    told = []
    for path, label, content in zip(then.path, then.label, then.content, strict=True):
        found = labels.get(content, [])
        if content and label not in found:
            told.append(f"{path}: {label or 'unlabelled'} there, {' or '.join(found) or 'removed'} now")
    return told
