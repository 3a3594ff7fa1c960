"""The state of a video's file: what it holds, how large it is and when it was changed."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from hcl.extract.catalog.frame_names import ALL, frame_images
from hcl.extract.system.errors import VideoError

_BLOCK = 1 << 20  # bytes read at a time


@dataclass(frozen=True)
class Source:
    """The state of a video's file, or folder of images, when it was read; all empty where it could not be."""

    content: str = ""  # SHA-256 of the file's bytes, or of the images' in their order, in hexadecimal
    bytes: int = 0
    modified_ns: int = 0  # since 1970


def read_source(path: Path, frame_names: str = ALL) -> Source:
    """Read a video's bytes for its state; an empty one if they cannot be read, or what its frames are is unclear.

    Args:
        path: a file, or a folder of images
        frame_names: pattern of the names of those images that are frames
    """
    try:
        size_and_time = stat_source(path, frame_names)
        digest = hashlib.sha256()
        for file in _source_files(path, frame_names):
            with file.open("rb") as opened:
                while block := opened.read(_BLOCK):
                    digest.update(block)
    except (OSError, VideoError):
        return Source()
    return Source(digest.hexdigest(), *size_and_time) if size_and_time else Source()


def stat_source(path: Path, frame_names: str = ALL) -> tuple[int, int] | None:
    """Return the size of a video in bytes and the time of its last change in nanoseconds; None if it is not there.

    Both are 0 where it is unclear what its frames are.
    """
    try:
        stats = [file.stat() for file in _source_files(path, frame_names)]
    except OSError:
        return None
    except VideoError:
        return 0, 0
    return (sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)) if stats else None


def _source_files(path: Path, frame_names: str) -> list[Path]:
    return frame_images(path, frame_names) if path.is_dir() else [path] if path.is_file() else []
