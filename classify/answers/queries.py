"""The queries that a person names: files, folders however deep, CSV lists; nothing is known of their classes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hcl.extract.catalog.csv_files import read_csv
from hcl.extract.catalog.listing import LISTS
from hcl.extract.catalog.videos import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from hcl.extract.system.errors import InputError, schema_of, what_stands_at


def list_queries(given: Iterable[str | Path]) -> list[Path]:
    """List videos, in the order in which they are named and sorted within a folder; none stands twice.

    A folder that holds images alone is one video, its frames. Hidden files are left out, and links to folders are not
    followed.

    Args:
        given: video files, folders of videos at any depth, CSV files with a column path

    Raises:
        InputError: if one is not there, or holds no videos
    """
    found: dict[Path, None] = {}
    for each in map(Path, given):
        found |= dict.fromkeys(_queries_of(each))
    return list(found)


def _queries_of(given: Path) -> Sequence[Path]:
    if given.is_dir():
        if schema_of(given):
            raise InputError(f"{given}: {what_stands_at(given)}; expected videos to classify")
        videos = list(_videos_in(given))
        if not videos:
            raise InputError(f"{given}: no videos in it or below; expected files such as .mp4, or folders of frames")
        return videos
    if not given.exists():
        raise InputError(f"{given}: no such file or folder; name videos, folders of videos or a CSV file with path")
    if given.suffix.lower() in LISTS:
        rows = [row["path"] for _, row in read_csv(given, required=("path",)) if row["path"]]
        if not rows:
            raise InputError(f"{given}: lists no videos; below the header path each line must name one")
        return [given.parent / path for path in rows]
    return [given]


def _videos_in(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        shown = sorted(name for name in files if not name.startswith("."))
        videos = [name for name in shown if os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES]
        images = [name for name in shown if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES]
        if images and not videos and not folders:
            yield Path(place)
        yield from (Path(place) / name for name in videos)
