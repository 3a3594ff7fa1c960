"""A video file, or a folder of frame images, to evenly spaced RGB frames."""

from pathlib import Path

from hcl.extract.errors import VideoError
from hcl.extract.frames import VideoFrames, middle_frames
from hcl.extract.image_folder import read_image_folder
from hcl.extract.sequential import read_sequentially

__all__ = ["VideoFrames", "middle_frames", "read_frames"]


def read_frames(path: Path, frames: int, *, decoder: str = "auto") -> VideoFrames:
    """Read the middles of `frames` equal segments of a video, upright."""
    if path.is_dir():
        return read_image_folder(path, frames)
    if not path.exists():
        raise VideoError("the file does not exist")
    if path.stat().st_size == 0:
        raise VideoError("the file is empty (0 bytes)")
    return read_sequentially(path, frames)
