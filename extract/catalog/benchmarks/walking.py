"""One walk over a folder for the videos that are listed: files, and folders of frames, at any depth."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hcl.extract.catalog.videos import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from hcl.extract.system.errors import InputError

ARCHIVES = frozenset(".rar .zip .7z .tar .tgz .gz .bz2 .xz".split())
FRAMES_FIRST = ("rgb", "img", "imgs", "images", "frames")  # folders of a video's frames beside those of its flow


@dataclass(frozen=True)
class Candidate:
    """A file or folder of frames that a listed id may mean."""

    stem: str  # its name without suffixes of videos
    path: Path
    is_folder: bool


@dataclass
class Seen:
    """What else a walk came by, for messages."""

    videos: int = 0
    archives: Counter[str] = field(default_factory=Counter)  # by suffix
    example: str = ""  # a video's name


def walk(root: Path, is_listed: Callable[[str], bool], seen: Seen) -> Iterator[Candidate]:
    """Give every video file, and every folder of frames whose name is listed; a folder is entered once.

    Args:
        root: where to begin
        is_listed: whether a name may be that of a listed video
        seen: is filled with what else there is

    Raises:
        InputError: if a folder cannot be listed
    """
    waiting, entered = [root], set[tuple[int, int]]()
    while waiting:
        folder = waiting.pop()
        inode = _inode(folder)
        if inode in entered:  # through a link
            continue
        entered.add(inode)
        folders, files = _entries(folder)
        for name in files:
            stem, suffix = os.path.splitext(name)
            suffix = suffix.lower()
            seen.archives[suffix] += suffix in ARCHIVES
            if suffix in VIDEO_SUFFIXES:
                seen.videos += 1
                seen.example = seen.example or name
                yield Candidate(_without_suffixes(stem), folder / name, is_folder=False)
        for name in reversed(folders):  # the first is taken from the end of the list next
            frames = _frames_of(folder / name) if is_listed(name) else None
            if frames is None:
                waiting.append(folder / name)
            else:
                yield Candidate(name, frames, is_folder=True)


def _without_suffixes(stem: str) -> str:
    """A name without further suffixes, as some programs leave them: ID.mp4.webm."""
    while os.path.splitext(stem)[1].lower() in VIDEO_SUFFIXES:
        stem = os.path.splitext(stem)[0]
    return stem


def _entries(folder: Path) -> tuple[list[str], list[str]]:
    """The names of folders, and of files that are no images: of frames there may be millions."""
    folders: list[str] = []
    files: list[str] = []
    with _told(folder), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES and not _is_folder(entry):
                continue
            (folders if _is_folder(entry) else files).append(entry.name)
    return sorted(folders), sorted(files)


def _frames_of(folder: Path) -> Path | None:
    """Where the frames of a folder that is called as a listed video lie: in it, or in one below it; None: nowhere."""
    if _holds_images(folder):
        return folder
    below = [folder / name for name in _entries(folder)[0] if _holds_images(folder / name)]
    chosen = [path for path in below if path.name.lower() in FRAMES_FIRST] or below
    return chosen[0] if len(chosen) == 1 else None


def _holds_images(folder: Path) -> bool:
    with _told(folder), os.scandir(folder) as entries:
        return any(
            entry.name[0] != "." and os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES for entry in entries
        )


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that cannot be followed
        return False


def _inode(folder: Path) -> tuple[int, int]:
    with _told(folder):
        state = folder.stat()
    return state.st_dev, state.st_ino


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({error.strerror}); check its permissions") from error
