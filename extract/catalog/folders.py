"""A folder of class folders, with or without split folders above them, as a catalog."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from hcl.extract.catalog.videos import (
    IMAGE_SUFFIXES,
    SPLIT_WORDS,
    SUFFIX,
    UNLABELLED,
    VIDEO_SUFFIXES,
    Catalog,
    Video,
    left_aside_lines,
    readable,
    words_read_as,
)
from hcl.extract.system.errors import InputError
from hcl.extract.system.places.location import is_remote

KINDS_OF_IMAGES = {  # folders that show the same video in several ways, as other programs name them
    *("rgb", "img", "imgs", "images", "frames", "flow", "flow_x", "flow_y", "flow_u", "flow_v", "optical_flow", "tvl1"),
    *("depth", "ir", "infrared", "mask", "masks", "segmentation"),
}
EXPECTED = "expected class folders with video files or folders of frames, or a CSV manifest (path,label)"

# Why entries are left aside, as the end of "left aside, ".
BESIDE = "images beside videos (a folder of frames holds images alone)"
LOOSE = "images outside of folders of frames (put the frames of each video into a folder of its own)"
OUTSIDE = "videos outside of class folders (put each into the folder of its class)"
BACK = "links that lead back to a folder above them"
EMPTY = "class folders without videos"
SAME_NAME = "videos whose names read like another's (rename them)"

Inodes = frozenset[tuple[int, int]]  # device and number of folders


@dataclass(frozen=True)
class _Entries:
    """What a folder holds, each kind sorted by name; hidden entries are left out."""

    folders: list[Path]
    videos: list[Path]
    images: list[str] | list[Path]  # paths, on this machine as texts: of frames there are many
    others: list[Path]


def read_folder(root: Path, *, unlabelled: bool = False) -> Catalog:
    """Read class folders, or split folders that hold class folders.

    Args:
        root: the folder
        unlabelled: whether a folder of videos without class folders is read, as videos without a class

    Raises:
        InputError: if there are no videos, or it cannot be told what is a class, a split or a video
    """
    return _Reader(root).read(unlabelled)


class _Reader:
    """Walks a folder, and remembers what was left aside."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.videos: dict[str, Video] = {}
        self.left_aside: dict[str, list[str]] = {}

    def read(self, unlabelled: bool) -> Catalog:
        top = _entries(self.root)
        above = self._folders_above()
        self._refuse_kinds_of_images(self.root, top.folders)
        splits = self._split_folders(top.folders)
        for folder, split in splits or [(self.root, "")]:
            entries = _entries(folder) if split else top
            self._leave_aside(OUTSIDE, entries.videos)
            self._leave_aside(LOOSE, _paths(entries.images))
            self._leave_aside(SUFFIX, entries.others)
            for class_folder in self._not_linked_back(entries.folders, above):
                self._read_class(class_folder, split, above)
        if splits:
            self._leave_aside(OUTSIDE, top.videos)
            self._leave_aside(LOOSE, _paths(top.images))
            self._leave_aside(SUFFIX, top.others)
        if unlabelled and not self.videos and not splits:
            self.left_aside.pop(OUTSIDE, None)
            self.videos = {name: Video(name, video, UNLABELLED) for video in top.videos for name in [self._name(video)]}
        if not self.videos:
            raise InputError(f"{self.root}: no videos found; {self._found()}{EXPECTED}")
        aside = {reason: tuple(sorted(names)) for reason, names in self.left_aside.items()}
        read_as = words_read_as(folder.name for folder, _ in splits)
        return Catalog(tuple(self.videos[path] for path in sorted(self.videos)), aside, self._hint(), read_as)

    def _folders_above(self) -> Inodes:
        place = self.root.resolve()
        return frozenset(_inode(folder) for folder in (place, *place.parents))

    def _split_folders(self, tops: list[Path]) -> list[tuple[Path, str]]:
        """The split folders and their splits; none where class folders stand at the top."""
        with_splits = [
            (folder, SPLIT_WORDS[folder.name.lower()]) for folder in tops if folder.name.lower() in SPLIT_WORDS
        ]
        if len(tops) == len(with_splits):
            return with_splits
        if with_splits:
            other = next(folder for folder in tops if folder.name.lower() not in SPLIT_WORDS)
            raise InputError(
                f"{self.root}: {readable(other.name)!r} stands beside {with_splits[0][0].name}/, which is read as the"
                f" split {with_splits[0][1]}; use only split folders (base/ val/ novel/, or train/ val/ test/) or only"
                " class folders, or give a CSV manifest (path,label)"
            )
        return []

    def _read_class(self, folder: Path, split: str, above: Inodes) -> None:
        entries = _entries(folder)
        self._leave_aside(LOOSE, _paths(entries.images))
        sources = self._sources(folder, entries, above)
        if not sources:
            self._leave_aside(EMPTY, [folder])
        for source in sources:
            path = self._name(source)
            if path in self.videos:
                self._leave_aside(SAME_NAME, [source])
            else:
                self.videos[path] = Video(path, source, readable(folder.name), split)

    def _sources(self, folder: Path, entries: _Entries, above: Inodes) -> list[Path]:
        """The video files of a folder, and those, or folders of frames, of the folders below it."""
        self._leave_aside(SUFFIX, entries.others)
        self._refuse_kinds_of_images(folder, entries.folders)
        above = above | {_inode(folder)}
        sources = list(entries.videos)
        for below in self._not_linked_back(entries.folders, above):
            sources += self._sources_or_frames(below, above)
        return sources

    def _sources_or_frames(self, folder: Path, above: Inodes) -> list[Path]:
        """As `_sources`, of a folder that may be one of frames: a video itself."""
        entries = _entries(folder)
        sources = self._sources(folder, entries, above)
        if not entries.images:
            return sources
        if not sources:
            return [folder]
        if len(entries.images) > 1 and not entries.videos:
            raise InputError(
                f"{self._name(folder)} in {self.root}: holds {len(entries.images)} images (such as"
                f" {readable(Path(str(entries.images[0])).name)}) and, below it, {self._name(sources[0])}:"
                " one video or several? Move the images away, or into a folder beside the others"
            )
        self._leave_aside(BESIDE, _paths(entries.images))
        return sources

    def _refuse_kinds_of_images(self, folder: Path, below: list[Path]) -> None:
        """Refuse folders such as rgb/ and flow/ side by side, which would all be read as videos, or classes."""
        if len(below) > 1 and all(one.name.lower() in KINDS_OF_IMAGES for one in below):
            raise InputError(
                f"{folder}: {', '.join(f'{one.name}/' for one in below)} read like several kinds of images of the same"
                " videos; list the folders that are to be read in a CSV manifest (path,label)"
            )

    def _not_linked_back(self, folders: list[Path], above: Inodes) -> list[Path]:
        """Those folders that are not one of the folders above them, reached again by a link."""
        back = [folder for folder in folders if _inode(folder) in above]
        self._leave_aside(BACK, back)
        return [folder for folder in folders if folder not in back]

    def _leave_aside(self, reason: str, entries: Iterable[Path]) -> None:
        if names := [self._name(entry) for entry in entries]:
            self.left_aside.setdefault(reason, []).extend(names)

    def _name(self, entry: Path) -> str:
        return readable(entry.relative_to(self.root).as_posix())

    def _hint(self) -> str:
        """What to do if the folder is one above that of the classes, where it may be."""
        if not any(video.label for video in self.videos.values()):
            return ""
        depth = 3 if any(video.split for video in self.videos.values()) else 2
        shallow = [path for path in self.videos if path.count("/") < depth]
        if shallow:
            return ""
        first = min(self.videos)
        return (
            f"no class folder holds videos itself, as {first} of class {self.videos[first].label!r}; if the classes are"
            " the folders below, name the folder that holds them"
        )

    def _found(self) -> str:
        """What was found in place of videos, and what to do where that can be told."""
        if self.left_aside.get(OUTSIDE):
            count, first = len(self.left_aside[OUTSIDE]), self.left_aside[OUTSIDE][0]
            return f"found {count} videos without class folders, such as {first}: make one for each class; "
        if self.left_aside.get(LOOSE):
            first = min(self.left_aside[LOOSE])
            return (
                f"found images such as {first}: the folder of a video's frames stands in a class folder"
                " (if it does here, give the folder above); "
            )
        found = [line.removeprefix("left aside ") for line in left_aside_lines(self.left_aside)]
        return f"found {'; '.join(found)}; " if found else "the folder is empty; "


def _entries(folder: Path) -> _Entries:
    """Sort out what a folder holds."""
    if is_remote(folder):
        return _entries_in_bucket(folder)
    found = _Entries([], [], [], [])
    images: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name.startswith("."):
                    continue
                suffix = os.path.splitext(entry.name)[1].lower()
                if suffix in IMAGE_SUFFIXES and not _is_folder(entry):
                    images.append(entry.path)
                    continue
                kind = (
                    found.folders if _is_folder(entry) else found.videos if suffix in VIDEO_SUFFIXES else found.others
                )
                kind.append(Path(entry.path))
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({error.strerror}); check its permissions") from error
    return replace(found, images=images)


def _entries_in_bucket(folder: Path) -> _Entries:
    """The same of a place in a bucket, where no name can be a link."""
    shown = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]
    folders = [entry for entry in shown if not entry.is_file()]
    files = [entry for entry in shown if entry.is_file()]
    images = [entry for entry in files if entry.suffix.lower() in IMAGE_SUFFIXES]
    videos = [entry for entry in files if entry.suffix.lower() in VIDEO_SUFFIXES]
    return _Entries(folders, videos, images, [entry for entry in files if entry not in {*images, *videos}])


def _paths(images: list[str] | list[Path]) -> Iterable[Path]:
    return (Path(image) if isinstance(image, str) else image for image in images)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that cannot be followed; reading it tells why
        return False


def _inode(folder: Path) -> tuple[int, int]:
    if is_remote(folder):
        return 0, hash(str(folder))
    try:
        state = folder.stat()
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from error
    return state.st_dev, state.st_ino
