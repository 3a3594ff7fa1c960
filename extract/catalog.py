"""Folders, manifests and splits: which videos there are, with their class, split and group."""

import csv
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hcl.extract.config import SPLITS
from hcl.extract.system.errors import InputError

VIDEO_SUFFIXES = frozenset(
    ".mp4 .m4v .mov .avi .mkv .webm .ts .mts .m2ts .mpg .mpeg .wmv .flv .3gp .ogv .gif".split()
)  # compared in lower case
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
SPLIT_COLUMNS = ("split", "fold")  # either is understood in a CSV file


SplitCounts = dict[str, dict[str, int]]  # by split: videos by class


@dataclass(frozen=True)
class Video:
    """One video of the catalog: where it is and what is known of it."""

    path: str  # relative to the folder or manifest it was found by, with forward slashes; the video's name in the cache
    source: Path
    label: str
    split: str = ""  # "" until a split decides
    group: str = ""


@dataclass(frozen=True)
class Catalog:
    """The videos of a folder or manifest, in a fixed order, and the files that were not taken for videos."""

    videos: tuple[Video, ...]
    ignored: tuple[str, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """The labels, sorted."""
        return tuple(sorted({video.label for video in self.videos}))

    def class_splits(self) -> dict[str, str]:
        """The split of each class ("" where none is given).

        Raises:
            InputError: if a class lies in two splits, or only some classes have one
        """
        splits: dict[str, str] = {}
        for video in self.videos:
            if splits.setdefault(video.label, video.split) != video.split:
                raise InputError(
                    f"{video.path}: class {video.label!r} is in split {video.split or '(none)'} here and in"
                    f" {splits[video.label] or '(none)'} before; put every class into one split only"
                )
        unset = sorted(label for label, split in splits.items() if not split)
        if unset and len(unset) < len(splits):
            raise InputError(
                f"class {unset[0]!r} has no split while others have one; give a split to all classes or none"
            )
        return splits


def read_catalog(videos: str | Path) -> Catalog:
    """List the videos of a folder of class folders, a folder with base/val/novel folders, or a CSV manifest.

    Raises:
        InputError: if nothing usable is there; the message says what was expected
    """
    videos = Path(videos)
    if videos.is_dir():
        catalog = _read_folder(videos)
    elif videos.is_file() and videos.suffix.lower() == ".csv":
        catalog = _read_manifest(videos)
    elif videos.exists():
        raise InputError(
            f"{videos}: neither a folder of class folders nor a .csv manifest (path,label[,split][,group])"
        )
    else:
        raise InputError(f"{videos}: no such folder or manifest; give a folder of class folders or a .csv file")
    if not catalog.videos:
        raise InputError(
            f"{videos}: no videos found; expected class folders with video files or folders of JPEG/PNG frames"
        )
    return catalog


def _read_folder(root: Path) -> Catalog:
    """Read class folders, or split folders that hold class folders."""
    tops = [entry for entry in _visible(root) if entry.is_dir()]
    stray = [entry.name for entry in _visible(root) if entry.is_file()]
    with_splits = [entry for entry in tops if entry.name in SPLITS]
    if with_splits and len(with_splits) < len(tops):
        other = next(entry.name for entry in tops if entry.name not in SPLITS)
        raise InputError(
            f"{root}: {other!r} stands beside {with_splits[0].name}/; use only base/ val/ novel/ or only class folders"
        )
    videos: list[Video] = []
    for split_root, split in [(entry, entry.name) for entry in with_splits] or [(root, "")]:
        for entry in _visible(split_root):
            if not entry.is_dir():
                stray += [entry.relative_to(root).as_posix()] if split else []
                continue
            for source in _videos_below(entry, stray, root):
                videos.append(Video(source.relative_to(root).as_posix(), source, entry.name, split))
    return Catalog(tuple(sorted(videos, key=lambda video: video.path)), tuple(sorted(stray)))


def _visible(folder: Path) -> list[Path]:
    """The entries of a folder, sorted, without hidden ones."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({error.strerror}); check its permissions") from error


def _videos_below(folder: Path, ignored: list[str], root: Path) -> list[Path]:
    """Video files below a class folder; a folder that holds images is one video."""
    videos: list[Path] = []
    for entry in _visible(folder):
        if entry.is_dir():
            images = any(item.suffix.lower() in IMAGE_SUFFIXES for item in _visible(entry))
            videos += [entry] if images else _videos_below(entry, ignored, root)
        elif entry.suffix.lower() in VIDEO_SUFFIXES:
            videos.append(entry)
        else:
            ignored.append(entry.relative_to(root).as_posix())
    return videos


def _read_manifest(manifest: Path) -> Catalog:
    """Read path,label[,split][,group] from a CSV file with a header, columns in any order."""
    rows = read_csv(manifest, required=("path", "label"))
    videos: dict[str, Video] = {}
    for line, row in rows:
        path, label = row["path"], row["label"]
        if not path or not label:
            raise InputError(f"{manifest} line {line}: path and label must not be empty")
        name = Path(os.path.normpath(path)).as_posix()
        if name in videos:
            raise InputError(f"{manifest} line {line}: {path} is listed twice; keep one of the lines")
        split = _split_in(row, f"{manifest} line {line}")
        videos[name] = Video(name, manifest.parent / path, label, split, row.get("group", ""))
    return Catalog(tuple(videos.values()))


def _split_in(row: Mapping[str, str], where: str) -> str:
    """The split that a row of a file names in one of SPLIT_COLUMNS; "" if it names none."""
    named = {column: row[column] for column in SPLIT_COLUMNS if row.get(column)}
    for column, split in named.items():
        if split not in SPLITS:
            raise InputError(f"{where}: {column} {split!r} is not one of {', '.join(SPLITS)}")
    if len(set(named.values())) > 1:
        both = " and ".join(f"{column} {split!r}" for column, split in named.items())
        raise InputError(f"{where}: {both} differ; both columns give the split, keep one of them")
    return next(iter(named.values()), "")


def read_csv(path: Path, *, required: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV file with a header into (line number, stripped values) pairs.

    Raises:
        InputError: if it is no UTF-8 text or lacks a required column
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            names = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            missing = [name for name in required if name not in names]
            if missing:
                raise InputError(f"{path}: no column {missing[0]!r}; the header must name {','.join(required)}")
            rows = []
            for row in reader:
                if None in row:
                    raise InputError(
                        f"{path} line {reader.line_num}: more values than columns; quote values with commas"
                    )
                rows.append((reader.line_num, {name: (value or "").strip() for name, value in row.items()}))
            return rows
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise InputError(f"{path}: not a readable UTF-8 CSV file ({error})") from error


def split_classes(names: Iterable[str], seed: int, settled: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give every class a split: about 64 : 12 : 24, at least 5 novel and 2 val, by a seeded shuffle.

    Args:
        names: all classes
        seed: of the shuffle
        settled: splits that some classes have already; each other class joins the split that lacks most

    Raises:
        InputError: if there are fewer than 10 classes
    """
    names, splits = sorted(set(names)), dict(settled or {})
    if len(names) < 10:
        raise InputError(
            f"{len(names)} classes are too few to split (5 novel and 2 val classes need 10 in all);"
            " give splits (base/ val/ novel/ folders or a split column), or use --split-policy all-novel"
        )
    novel, val = max(5, round(0.24 * len(names))), max(2, round(0.12 * len(names)))
    sizes = {"novel": novel, "val": val, "base": len(names) - novel - val}
    new = [name for name in names if name not in splits]
    for place in np.random.default_rng(seed).permutation(len(new)):
        missing = {split: sizes[split] - list(splits.values()).count(split) for split in sizes}
        splits[new[place]] = max(missing, key=lambda split: missing[split])
    return {name: splits[name] for name in names}


def read_names(path: str | Path) -> dict[str, str]:
    """Read the text of classes from a CSV file with the columns label,name.

    Raises:
        InputError: if it cannot be read or lacks a column
    """
    return {row["label"]: row["name"] for _, row in read_csv(Path(path), required=("label", "name"))}


def read_splits(path: str | Path) -> dict[str, str]:
    """Read the split of classes from a CSV file with the columns label,split (which may be called fold).

    Raises:
        InputError: if it cannot be read, lacks a column, or gives a class no split or two
    """
    splits: dict[str, str] = {}
    for line, row in read_csv(Path(path), required=("label",)):
        if not any(column in row for column in SPLIT_COLUMNS):
            raise InputError(f"{path}: no column 'split'; the header must name label,split")
        where, label = f"{path} line {line}", row["label"]
        split = _split_in(row, where)
        if not split:
            raise InputError(f"{where}: class {label!r} has no split; give one of {', '.join(SPLITS)}")
        if splits.setdefault(label, split) != split:
            raise InputError(f"{where}: class {label!r} is already in {splits[label]}")
    return splits


def count_splits(labels: Iterable[str], splits: Iterable[str]) -> SplitCounts:
    """Count the videos of each class, split by split.

    Args:
        labels: class of each video
        splits: split of each video

    Returns:
        the number of videos by split and class; every split is there, be it empty
    """
    counts = Counter(zip(splits, labels, strict=True))
    return {split: {label: counts[of, label] for of, label in sorted(counts) if of == split} for split in SPLITS}


def split_lines(counts: SplitCounts) -> list[str]:
    """Describe each split in one line: its classes, and how many videos each of them has."""
    lines = []
    for split, classes in counts.items():
        named = ", ".join(f"{name} ({count})" for name, count in classes.items())
        total = sum(classes.values())
        lines.append(f"{split:>5}: {len(classes)} classes, {total} videos{': ' if classes else ''}{named}")
    return lines
