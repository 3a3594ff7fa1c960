"""The videos that a benchmark lists: from the lists in this package, or from a folder of lists."""

import gzip
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hcl.extract.catalog.benchmarks.definitions import DEFINED, Benchmark
from hcl.extract.catalog.splits import SplitCounts, count_splits
from hcl.extract.catalog.videos import VIDEO_SUFFIXES
from hcl.extract.config import SPLITS
from hcl.extract.system.atomic import json_hash
from hcl.extract.system.errors import InputError

SHIPPED = Path(__file__).parent / "lists"
PREFIXES = {"base": "train", "val": "val", "novel": "test"}  # of the files' names, as the field calls the splits
CLASS_NAMES = "class_names.txt"
_ABBREVIATED = re.compile(r"\bsth\b")


@dataclass(frozen=True)
class Listed:
    """One video of a benchmark."""

    split: str
    label: str  # its class, in words
    line: str  # class/id as it is listed: the video's name in the cache

    @property
    def id(self) -> str:
        """What the set calls the video."""
        return self.line.split("/", 1)[1]


@dataclass(frozen=True)
class Listing:
    """All videos of a benchmark, sorted by split, class and id; no id stands twice, no class in two splits."""

    benchmark: Benchmark
    videos: tuple[Listed, ...]
    origin: str  # where it was read, for messages

    def __post_init__(self) -> None:
        seen: dict[str, Listed] = {}
        splits: dict[str, str] = {}
        for video in self.videos:
            if other := seen.get(video.id):
                where = f"{other.split} {other.line} and {video.split} {video.line}"
                raise InputError(f"{self.origin}: {video.id} is listed twice ({where}); keep one of the lines")
            if splits.setdefault(video.label, video.split) != video.split:
                raise InputError(
                    f"{self.origin}: class {video.label!r} is listed in {splits[video.label]} and in {video.split};"
                    " splits share no class, keep it in one of them"
                )
            seen[video.id] = video
        if empty := [split for split in SPLITS if split not in splits.values()]:
            raise InputError(f"{self.origin}: lists no videos of {empty[0]}; each list needs a line class/id a video")

    @property
    def counts(self) -> SplitCounts:
        """The number of videos by split and class."""
        return count_splits((video.label for video in self.videos), (video.split for video in self.videos))

    @property
    def identity(self) -> str:
        """A hash that is the same for the same videos, classes and splits."""
        return json_hash([[video.split, video.label, video.line] for video in self.videos])


def read_listing(name: str, folder: str | Path | None = None) -> Listing:
    """Read what a benchmark lists.

    Args:
        name: of the benchmark
        folder: of lists trainlist*.txt, vallist*.txt and testlist*.txt; None: those of this package

    Raises:
        InputError: if there is no such benchmark, or the lists are missing or contradict each other
    """
    if name not in DEFINED:
        raise InputError(f"--benchmark must be one of {', '.join(DEFINED)}, got {name!r}")
    videos = read_packed(SHIPPED / f"{name}.tsv.gz") if folder is None else read_folder(Path(folder))
    ordered = tuple(sorted(videos, key=lambda video: (SPLITS.index(video.split), video.label, video.line)))
    return Listing(DEFINED[name], ordered, str(folder or name))


def read_packed(file: Path) -> Iterator[Listed]:
    """Read a list of this package: a line a class, of tabs between its split, code, name in words, and its ids."""
    for line in gzip.decompress(file.read_bytes()).decode().splitlines():
        split, code, label, *ids = line.split("\t")
        yield from (Listed(split, label, f"{code}/{name}") for name in ids)


def pack(videos: Iterable[Listed]) -> bytes:
    """Undo `read_packed`; the same videos give the same bytes."""
    classes: dict[tuple[str, str, str], list[str]] = {}
    for video in videos:
        classes.setdefault((video.split, video.line.split("/", 1)[0], video.label), []).append(video.id)
    lines = ["\t".join([*of_class, *sorted(ids)]) for of_class, ids in sorted(classes.items())]
    return gzip.compress(("\n".join(lines) + "\n").encode(), compresslevel=9, mtime=0)


def read_folder(folder: Path) -> Iterator[Listed]:
    """Read lists of a line class/id a video, and class_names.txt (code, then name) where classes are codes."""
    names = _class_names(folder / CLASS_NAMES)
    for split, prefix in PREFIXES.items():
        files = sorted(folder.glob(f"{prefix}*.txt"))
        if len(files) != 1:
            found = ", ".join(file.name for file in files) or "none"
            raise InputError(f"{folder}: expected one list {prefix}*.txt of {split}, found {found}; see --split-lists")
        for number, line in enumerate(_lines(files[0]), 1):
            if line.strip():
                yield _listed(split, line.strip(), names, f"{files[0]} line {number}")


def _listed(split: str, line: str, names: dict[str, str], where: str) -> Listed:
    """One line of a list; a suffix such as .avi is no part of an id."""
    if any(line.lower().endswith(suffix) for suffix in VIDEO_SUFFIXES):
        line = line.rpartition(".")[0]
    code, _, name = line.partition("/")
    if not code or not name or "/" in name or "\t" in line:
        raise InputError(f"{where}: {line[:80]!r} is not class/id; write the class, a slash and the id of the video")
    return Listed(split, names.get(code, code), line)


def _class_names(file: Path) -> dict[str, str]:
    """The names of classes that are listed by codes, with abbreviations written out; empty if there is no file."""
    lines: Sequence[str] = _lines(file) if file.is_file() else ()
    split = (line.split(maxsplit=1) for line in lines)
    return {code: _ABBREVIATED.sub("something", " ".join(name.split())) for code, name in split}


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file}: not a readable UTF-8 text ({error}); give another folder by --split-lists"
        ) from error
