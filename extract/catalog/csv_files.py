"""What a user lists in a CSV file: videos, names of classes, splits of classes."""

import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from hcl.extract.catalog.videos import SPLIT_WORDS, UNLABELLED, Catalog, Video, words_read_as
from hcl.extract.config import SPLITS
from hcl.extract.system.atomic import names_url
from hcl.extract.system.errors import InputError
from hcl.extract.system.places.location import is_remote, place_of

SPLIT_COLUMNS = ("split", "fold")  # either is understood in a CSV file
DELIMITERS = (",", ";", "\t")
COLUMNS = ("path", "label")  # of a manifest
LIKE_LABEL = {
    "labels",
    "class",
    "classes",
    "class_name",
    "classname",
    "category",
    "action",
    "activity",
    "target",
    "name",
}
SHOWN = 80  # characters of a line that a message shows


def read_manifest(manifest: Path, *, unlabelled: bool = False) -> Catalog:
    """Read path,label[,split][,group] from a CSV file with a header, columns in any order.

    Args:
        manifest: the file
        unlabelled: whether labels may be left out

    Raises:
        InputError: if it cannot be read, lists nothing, or a line is incomplete or stands twice
    """
    rows = read_csv(manifest, required=COLUMNS[:1] if unlabelled else COLUMNS, shown=COLUMNS)
    _refuse_other_names(manifest, rows[0][1] if rows else {})
    videos: dict[str, Video] = {}
    words: dict[str, None] = {}  # for splits
    for line, row in rows:
        path, label = row["path"], row.get("label", UNLABELLED)
        if not path or not (label or unlabelled):
            raise InputError(f"{manifest} line {line}: path and label must not be empty")
        name, source = _named(manifest.parent, path)
        if name in videos:
            raise InputError(f"{manifest} line {line}: {path} is listed twice; keep one of the lines")
        split = _split_in(row, f"{manifest} line {line}")
        words |= {row[column]: None for column in SPLIT_COLUMNS if row.get(column)}
        if split and not label:
            raise InputError(f"{manifest} line {line}: a split is of a class; give {path} a label, or leave both out")
        videos[name] = Video(name, source, label, split, row.get("group", ""))
    if not videos:
        raise InputError(f"{manifest}: no videos found; below the header path,label each line must name one")
    return Catalog(tuple(videos.values()), read_as=words_read_as(words))


def _named(folder: Path, path: str) -> tuple[str, Path]:
    """The name of a listed video, and where it is: a URL, or a path that counts from the folder of the manifest."""
    if names_url(path):
        place = place_of(path)
        return str(place), place
    path = _with_slashes(folder, path)
    if not is_remote(folder) or os.path.isabs(path):
        return Path(os.path.normpath(path)).as_posix(), Path(path) if os.path.isabs(path) else folder / path
    name = Path(os.path.normpath(path)).as_posix()
    return name, folder / name


def _refuse_other_names(manifest: Path, row: Mapping[str, str]) -> None:
    """Refuse a manifest without labels that has a column which reads like one: its videos would have no class."""
    like = [name for name in row if name in LIKE_LABEL]
    if like and "label" not in row:
        raise InputError(f"{manifest}: no column 'label'; is it {like[0]!r}? Call it label")


def _with_slashes(folder: Path, path: str) -> str:
    """A path of Windows with forward slashes; a backslash that is part of a file's name stays."""
    return path if "\\" not in path or (folder / path).exists() else path.replace("\\", "/")


def _split_in(row: Mapping[str, str], where: str) -> str:
    """The split that a row of a file names in one of SPLIT_COLUMNS, by any of SPLIT_WORDS; "" if it names none."""
    named = {column: row[column] for column in SPLIT_COLUMNS if row.get(column)}
    for column, split in named.items():
        if split.lower() not in SPLIT_WORDS:
            raise InputError(f"{where}: {column} {split!r} is not one of {', '.join(SPLITS)}")
    named = {column: SPLIT_WORDS[split.lower()] for column, split in named.items()}
    if len(set(named.values())) > 1:
        both = " and ".join(f"{column} {split!r}" for column, split in named.items())
        raise InputError(f"{where}: {both} differ; both columns give the split, keep one of them")
    return next(iter(named.values()), "")


def read_csv(path: Path, *, required: Iterable[str], shown: Iterable[str] = ()) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV file with a header into (line number, stripped values) pairs; semicolons and tabs do for commas.

    Args:
        path: of the file
        required: columns that must be there
        shown: those that a message names, where they are others

    Raises:
        InputError: if it is no UTF-8 text or lacks a required column
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, before = file.readline(), 1
            if header.lower().startswith("sep="):  # by which Excel says what separates columns
                header, before = file.readline(), 2
            names, delimiter = _read_header(path, header, list(required), list(shown))
            rows = []
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
            for values in reader:
                line = reader.line_num + before
                if len(values) > len(names):
                    raise InputError(f"{path} line {line}: more values than columns; quote values with {delimiter!r}")
                if values:
                    stripped = [value.strip() for value in values] + [""] * (len(names) - len(values))
                    rows.append((line, dict(zip(names, stripped, strict=True))))
            return rows
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected a CSV file with {','.join(shown or required)}") from error
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise InputError(f"{path}: not a readable UTF-8 CSV file ({error}); save it as CSV UTF-8") from error


def _read_header(path: Path, header: str, required: list[str], shown: list[str]) -> tuple[list[str], str]:
    """The names of the columns in lower case, and what separates them."""
    for delimiter in DELIMITERS:
        names = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
        if set(required) <= set(names):
            twice = [name for name in names if name and names.count(name) > 1]
            if twice:
                raise InputError(f"{path}: column {twice[0]!r} stands twice in the header; keep one of them")
            return names, delimiter
    names = [name.strip().lower() for name in next(csv.reader([header]), [])]
    missing = next((name for name in required if name not in names), required[0])
    raise InputError(
        f"{path}: no column {missing!r}; the header must name {','.join(shown or required)} (or with semicolons or tabs"
        f" between them), the first line is {header.strip()[:SHOWN]!r}"
    )


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
    for line, row in read_csv(place_of(path), required=("label",)):
        if not any(column in row for column in SPLIT_COLUMNS):
            raise InputError(f"{path}: no column 'split'; the header must name label,split")
        where, label = f"{path} line {line}", row["label"]
        split = _split_in(row, where)
        if not split:
            raise InputError(f"{where}: class {label!r} has no split; give one of {', '.join(SPLITS)}")
        if splits.setdefault(label, split) != split:
            raise InputError(f"{where}: class {label!r} is already in {splits[label]}")
    return splits
