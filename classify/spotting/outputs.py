"""What was found in videos, as a table for a person and as files for other programs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from hcl.classify.spotting.segments import Segment, Spotted
from hcl.extract.system.console import csv_cell, csv_text, plain
from hcl.extract.system.errors import InputError, write_errors
from hcl.match.reports.report import write_json, write_text

COLUMNS = ("video", "label", "start", "end", "score")
TAGS = ("segments", "video")  # names of the tags TimelineLabels and Video in Label Studio's configuration
DIGITS = 3  # of seconds and scores


def as_table(found: Iterable[Spotted]) -> str:
    """One row a segment; a video without segments, or that cannot be read, has a row that says so."""
    rows: list[list[str]] = []
    for each in found:
        if each.reason:
            rows.append([plain(each.video), "not read", "", "", "", plain(each.reason)])
        elif not each.segments:
            rows.append([plain(each.video), "none", "0.00", f"{each.seconds:.2f}", "", ""])
        rows += [
            [
                plain(each.video),
                plain(segment.label),
                f"{segment.start:.2f}",
                f"{segment.end:.2f}",
                f"{segment.score:.3f}",
                f"{100 * segment.probability:.1f}",
            ]
            for segment in each.segments
        ]
    headers = ("video", "class", "start s", "end s", "score", "probability %")
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def write_csv(path: Path, found: Iterable[Spotted]) -> None:
    """Write the columns video,label,start,end,score: a row a segment, in seconds.

    Raises:
        InputError: if it cannot be written
    """
    rows: list[tuple[object, ...]] = [COLUMNS]
    for each in found:
        for segment in each.segments:
            numbers = (round(value, DIGITS) for value in (segment.start, segment.end, segment.score))
            rows.append((csv_cell(each.video), csv_cell(segment.label), *numbers))
    write_text(path, csv_text(rows), "--csv")


def write_tasks(path: Path, found: Iterable[Spotted]) -> None:
    """Write tasks with predictions, as Label Studio imports them; see `label_studio_task`.

    Raises:
        InputError: if it cannot be written
    """
    write_json(path, [label_studio_task(each) for each in found])


def label_studio_task(found: Spotted) -> dict[str, Any]:
    """A task of Label Studio whose predictions are regions of TimelineLabels.

    Label Studio counts frames from 1, at the rate that its tag Video has: `frameRate="$fps"` takes the task's.
    """
    if found.reason:
        return {"data": {"video": found.video, "error": found.reason}}
    result = [_region(number, segment, found.rate) for number, segment in enumerate(found.segments)]
    data = {"video": found.video, "fps": round(found.rate, 6), "seconds": round(found.seconds, DIGITS)}
    return {"data": data, "predictions": [{"model_version": "hcl", "result": result}]}


def _region(number: int, segment: Segment, rate: float) -> dict[str, Any]:
    first = math.floor(segment.start * rate + 1e-6) + 1
    last = max(first, math.ceil(segment.end * rate - 1e-6))
    return {
        "id": f"segment-{number}",
        "from_name": TAGS[0],
        "to_name": TAGS[1],
        "type": "timelinelabels",
        "score": round(segment.probability, 6),
        "value": {"ranges": [{"start": first, "end": last}], "timelinelabels": [segment.label]},
        "meta": {"start": round(segment.start, DIGITS), "end": round(segment.end, DIGITS)},
    }


def write_subtitles(
    path: Path, found: Sequence[Spotted], write: Callable[[Sequence[Segment]], str], option: str
) -> None:
    """Write the subtitles of one video as a file, of several into a folder; none of a video that cannot be read.

    Args:
        path: the file, or the folder, which is made
        found: of all videos
        write: gives the text
        option: that named the path, such as "--srt"

    Raises:
        InputError: if it cannot be written, or the folder is a file
    """
    if len(found) == 1:
        if path.is_dir():
            path = path / subtitle_names(found, option)[0]
        if not found[0].reason:
            write_text(path, write(found[0].segments), option)
        return
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: a file, and there are {len(found)} videos; name a folder with {option}")
    with write_errors(path, f"name another folder with {option}"):
        path.mkdir(parents=True, exist_ok=True)
    for each, name in zip(found, subtitle_names(found, option), strict=True):
        if not each.reason:
            write_text(path / name, write(each.segments), option)


def subtitle_names(found: Sequence[Spotted], option: str) -> list[str]:
    """Name a file for each video by its stem, as players look for it; of equal names the later ones get numbers."""
    suffix, taken = f".{option.removeprefix('--')}", set[str]()
    names = []
    for each in found:
        stem, number = Path(each.video).stem, 1
        name = f"{stem}{suffix}"
        while name in taken:
            number += 1
            name = f"{stem}-{number}{suffix}"
        taken.add(name)
        names.append(name)
    return names
