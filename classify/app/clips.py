"""Clips that come from a browser: their names, which are never paths, and their frames as small pictures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hcl.classify.config import NONE
from hcl.classify.pages.pictures import READ_SIZE, Strip, as_jpeg, fitting_size, shown_frames
from hcl.classify.selftest.looks import Look, look_at
from hcl.extract.decoding.pool import DecodePool
from hcl.extract.decoding.worker import Decoded, DecodeTask
from hcl.extract.system.console import plain
from hcl.extract.system.errors import InputError

LONGEST_LABEL, LONGEST_NAME = 80, 120  # letters
GONE = "its frames are not kept"


@dataclass(frozen=True)
class Upload:
    """A file that came from the browser, under a name of our own."""

    path: Path
    name: str  # as the person calls it; never a path


@dataclass(frozen=True)
class Seen:
    """The frames of a clip as a person sees them; at most 12 kB each."""

    frames: tuple[int, ...] = ()  # their places among the T frames, from 0
    jpegs: tuple[bytes, ...] = ()
    size: tuple[int, int] = (1, 1)  # width and height on the page
    look: Look | None = None
    problem: str = ""

    def strip(self, content: str) -> Strip:
        """For a drawing; pictures are addresses of this page.

        Args:
            content: SHA-256 of the clip
        """
        addresses = tuple(picture_address(content, place) for place in range(len(self.jpegs)))
        return Strip(self.frames, addresses, self.size, self.problem)


def picture_address(content: str, place: int) -> str:
    """Where the page serves a picture of a clip."""
    return f"/pictures/{content[:32]}/{place}"


def key_of(label: str) -> str:
    """What a class is called between page and browser, whatever letters its name has."""
    return hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def clean_label(label: str) -> str:
    """The name of a class, without spaces around it.

    Raises:
        InputError: if it is empty, long, the word for no class, or has letters that are not seen
    """
    label = " ".join(label.split(" ")).strip()
    if not label:
        raise InputError("a class needs a name; write one")
    if label == NONE:
        raise InputError(f"class {NONE!r}: so a clip is called that is of no class; choose another name")
    if len(label) > LONGEST_LABEL:
        raise InputError(f"a name of {len(label)} letters; choose one of at most {LONGEST_LABEL}")
    if plain(label) != label:
        raise InputError(f"class {plain(label)}: it has letters that are not seen; choose another name")
    return label


def clean_name(name: str) -> str:
    """What a clip is called: the last part of the name that the browser gave, on one line."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return plain(last)[-LONGEST_NAME:] or "clip"


class FrameReader:
    """Reads the frames of clips in a process of its own, within the limits of an extraction.

    Args:
        frames: T, of each clip
        is_brightened: whether dark ones are before they are mapped; they are shown as they are
    """

    def __init__(self, frames: int, *, is_brightened: bool) -> None:
        self.frames, self.is_brightened = frames, is_brightened

    @cached_property
    def _pool(self) -> DecodePool:
        return DecodePool(DecodeTask(frames=self.frames, size=READ_SIZE, decoder="auto"), workers=1)

    def read(self, path: Path, content: str) -> Seen:
        """Read a clip's frames.

        Args:
            path: a file
            content: SHA-256 that it should have
        """
        self._pool.add((0, path))
        result = self._pool.take()
        if not isinstance(result, Decoded):
            return Seen(problem=f"cannot be read: {result.reason}")
        if result.source.content != content:
            return Seen(problem="another file stands in its place")
        images = result.images[0, :, 0]  # (T, size, size, 3)
        size, chosen = fitting_size(*result.shape), shown_frames(len(images))
        jpegs = tuple(as_jpeg(images[place], size) for place in chosen)
        return Seen(chosen, jpegs, size, look_at(images, result.frame_count, is_brightened=self.is_brightened))

    def close(self) -> None:
        """End the process."""
        if "_pool" in vars(self):
            self._pool.close()
