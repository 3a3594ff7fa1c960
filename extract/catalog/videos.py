"""The videos of a catalog, each with its class, split and group; and what was not taken for a video."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hcl.extract.system.errors import InputError

VIDEO_SUFFIXES = frozenset(  # compared in lower case
    """
    .mp4 .m4v .mov .qt .3gp .3gpp .3g2 .f4v .mj2 .insv .avi .divx .amv .mkv .mk3d .webm .ts .mts .m2ts .m2t .tp .trp
    .mpg .mpeg .mpe .mpv .m1v .m2v .mp2v .vob .mod .tod .evo .asf .wmv .wtv .flv .ogv .ogm .rm .rmvb .mxf .gxf .dv .nut
    .ivf .y4m .gif
    """.split()
)
IMAGE_SUFFIXES = frozenset(".jpg .jpeg .jpe .jfif .png .webp .bmp .dib .tif .tiff".split())
SUFFIX = "not read by their suffix (a CSV manifest reads any file that it names)"  # why files are left aside
UNLABELLED = ""  # the label, and the split, of a video of which no class is known
SPLIT_WORDS = {  # what other sets call the splits, and ours
    **dict.fromkeys(("base", "train", "training"), "base"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("novel", "test", "testing", "eval"), "novel"),
}
SHOWN = 5  # names that a line shows, of many


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
    """The videos of a folder or manifest, in a fixed order, and what was not taken for a video."""

    videos: tuple[Video, ...]
    left_aside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by reason: files and folders
    hint: str = ""  # what may be meant otherwise
    read_as: str = ""  # which split each other word for one was read as

    @property
    def ignored(self) -> tuple[str, ...]:
        """The files and folders that were not taken for videos, sorted."""
        return tuple(sorted(name for names in self.left_aside.values() for name in names))

    def notes(self) -> list[str]:
        """What a user should know of the videos that were found, in lines."""
        return [*left_aside_lines(self.left_aside), *([self.hint] if self.hint else [])]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The labels, sorted."""
        return tuple(sorted({video.label for video in self.videos} - {UNLABELLED}))

    def class_splits(self) -> dict[str, str]:
        """The split of each class ("" where none is given).

        Raises:
            InputError: if a class lies in two splits, or only some classes have one
        """
        splits: dict[str, str] = {}
        for video in (video for video in self.videos if video.label != UNLABELLED):
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


def words_read_as(words: Iterable[str]) -> str:
    """Say which splits other words for them were read as; "" where all are called as here."""
    others = [word for word in dict.fromkeys(words) if SPLIT_WORDS[word.lower()] != word]
    return "; ".join(f"{word} is read as the split {SPLIT_WORDS[word.lower()]}" for word in others)


def left_aside_lines(left_aside: Mapping[str, Sequence[str]]) -> list[str]:
    """Say what was not taken for a video, one line a reason."""
    lines = []
    for reason, names in left_aside.items():
        shown = ", ".join(sorted(names)[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        kinds = Counter(os.path.splitext(name)[1].lower() or "none" for name in names)
        suffixes = f" {', '.join(f'{kind} {count}' for kind, count in kinds.most_common(SHOWN))}:"
        lines.append(f"left aside ({len(names)}), {reason}:{suffixes if reason == SUFFIX else ''} {shown}")
    return lines


def readable(name: str) -> str:
    r"""A name as text; bytes that are no UTF-8 are shown as \xfc is."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    return name
