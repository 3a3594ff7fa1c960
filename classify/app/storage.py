"""Where the examples that a person makes are kept: nowhere, in a support set, or as clips in class folders."""

from __future__ import annotations

import os
import shutil
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from hcl.classify.support.embedding import LabelledVideo, labelled_videos
from hcl.classify.support.store import change_support, is_support_set, read_support, write_support
from hcl.classify.support.support_set import SupportSet
from hcl.extract.catalog.listing import LISTS
from hcl.extract.catalog.videos import VIDEO_SUFFIXES, readable
from hcl.extract.config import SPLITS
from hcl.extract.system.atomic import atomic_file, stays_within
from hcl.extract.system.errors import InputError, write_errors
from hcl.extract.system.lock import sole_writer
from hcl.extract.system.places.location import is_remote, local_only

OWN = "app-"  # begins the names of clips that the page wrote
LONGEST_FOLDER = 200  # bytes of a name
NOT_IN_NAMES = '/\\:*?"<>|'  # on one system or another
REMEDY = "name another folder with --support"


class Home(Protocol):
    """Where examples are kept."""

    @property
    def about(self) -> str:
        """Where, for a person."""

    @property
    def keeps_clips(self) -> bool:
        """Whether the files of clips are needed."""

    def add(self, current: SupportSet | None, one: SupportSet, file: Path | None) -> SupportSet:
        """Keep one more example; the examples that there are then.

        Raises:
            InputError: if it cannot be kept
        """

    def remove(self, current: SupportSet, contents: Container[str]) -> SupportSet | None:
        """Keep some examples no longer.

        Args:
            current: all examples
            contents: SHA-256 of those that go

        Raises:
            InputError: if that cannot be
        """


def without(support: SupportSet, contents: Container[str]) -> SupportSet | None:
    """A support set without some of its videos; None where nothing would be left."""
    kept = [row for row, content in enumerate(support.videos.content) if content not in contents]
    return support.take(kept) if kept else None


@dataclass(frozen=True)
class Nowhere:
    """Examples live as long as the page."""

    about: str = "Examples are kept until the page ends: export them."
    keeps_clips: bool = False

    def add(self, current: SupportSet | None, one: SupportSet, file: Path | None) -> SupportSet:
        """Join them."""
        return one if current is None else current.joined(one)

    def remove(self, current: SupportSet, contents: Container[str]) -> SupportSet | None:
        """Leave them out."""
        return without(current, contents)


@dataclass(frozen=True)
class InSupportSet:
    """Examples are kept as embeddings in a support set, and no clips."""

    path: Path
    keeps_clips: bool = False

    @property
    def about(self) -> str:
        """Where."""
        return f"Examples are kept in {readable(str(self.path))}, as embeddings without clips."

    def add(self, current: SupportSet | None, one: SupportSet, file: Path | None) -> SupportSet:
        """Join them to what is stored, whoever else wrote it."""
        if self.path.exists():
            return change_support(self.path, lambda stored: stored.joined(one))
        joined = one if current is None else current.joined(one)
        write_support(self.path, joined)
        return joined

    def remove(self, current: SupportSet, contents: Container[str]) -> SupportSet | None:
        """Leave them out of what is stored; the last ones cannot be."""

        def change(stored: SupportSet) -> SupportSet:
            left = without(stored, contents)
            if left is None:
                raise InputError(f"{self.path}: nothing would be left of it; add another example first")
            return left

        return change_support(self.path, change)


@dataclass(frozen=True)
class AsClips:
    """Examples are kept as clips in class folders, as every other command takes them."""

    folder: Path
    keeps_clips: bool = True

    @property
    def about(self) -> str:
        """Where."""
        return f"Examples are kept as clips in the class folders of {readable(str(self.folder))}."

    def add(self, current: SupportSet | None, one: SupportSet, file: Path | None) -> SupportSet:
        """Copy the clip into the folder of its class, and join its embeddings."""
        joined = Nowhere().add(current, one, file)
        if file is None:
            raise InputError(f"{one.videos.path[0]}: its file is gone, so it cannot be kept; drop it once more")
        label, suffix = one.videos.label[0], os.path.splitext(one.videos.path[0])[1].lower()
        path = self._copy(file, self._class_folder(label), suffix if suffix in VIDEO_SUFFIXES else ".webm")
        sources = dict(zip(joined.videos.content, joined.sources, strict=True))
        sources[one.videos.content[0]] = readable(str(path.absolute()))
        return replace(joined, sources=tuple(sources[content] for content in joined.videos.content))

    def remove(self, current: SupportSet, contents: Container[str]) -> SupportSet | None:
        """Leave them out, and delete those files that the page itself wrote."""
        for content, source in zip(current.videos.content, current.sources, strict=True):
            path = Path(source)
            if content in contents and path.name.startswith(OWN) and self._holds(path):
                with write_errors(path, "check its permissions"), sole_writer(self.folder, REMEDY):
                    path.unlink(missing_ok=True)
        return without(current, contents)

    def _class_folder(self, label: str) -> Path:
        folder = self.folder / label
        is_name = not (set(label) & set(NOT_IN_NAMES)) and not label.startswith(".") and not label.endswith((".", " "))
        if not is_name or label in SPLITS or len(os.fsencode(label)) > LONGEST_FOLDER:
            raise InputError(
                f"class {label!r}: a folder cannot be called so, and clips are kept in a folder of each class; call the"
                " class otherwise"
            )
        return folder

    def _copy(self, file: Path, folder: Path, suffix: str) -> Path:
        with write_errors(folder, REMEDY), sole_writer(self.folder, REMEDY):
            folder.mkdir(exist_ok=True)
            if not stays_within(self.folder, folder / OWN):
                raise InputError(f"{folder}: a link out of {self.folder}; put a folder in its place")
            taken = {path.stem for path in folder.iterdir()}
            number = next(number for number in range(1, len(taken) + 2) if f"{OWN}{number:04d}" not in taken)
            path = folder / f"{OWN}{number:04d}{suffix}"
            with atomic_file(path) as fresh:
                shutil.copyfile(file, fresh)
        return path

    def _holds(self, path: Path) -> bool:
        return path.parent.parent == self.folder.absolute() and stays_within(self.folder.absolute(), path)


@dataclass(frozen=True)
class Opened:
    """What --support names."""

    home: Home
    support: SupportSet | None = None
    videos: tuple[LabelledVideo, ...] = ()  # that are to be embedded first


def open_home(path: Path | None) -> Opened:
    """Look at what --support names; nothing is written yet.

    Raises:
        InputError: if it cannot be used
    """
    if path is None:
        return Opened(Nowhere())
    if is_support_set(path):
        return Opened(InSupportSet(path), read_support(path))
    if is_remote(path):
        if path.exists():
            local_only(path, "a folder of clips", "name a support set of hcl index, or a new name")
        return Opened(InSupportSet(path))
    if path.is_dir():
        has_videos = any(not name.name.startswith(".") for name in path.iterdir())
        return Opened(AsClips(path), videos=tuple(labelled_videos(path)) if has_videos else ())
    if path.suffix.lower() in LISTS or path.exists():
        about = f"Examples of {readable(str(path))}; what you add is kept until the page ends: export it."
        return Opened(Nowhere(about), videos=tuple(labelled_videos(path)))
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it, or name another place with --support")
    return Opened(InSupportSet(path))
