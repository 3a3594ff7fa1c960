"""A video file, or a folder of frame images, to evenly spaced RGB frames.

The frames are, bit for bit, those of a full sequential decode: what FFmpeg shows when it plays the file's best video
stream from the first frame to the last, with the frames that an edit list hides left out, turned and mirrored by the
display matrix, as 8-bit RGB by libswscale's default conversion. The reader only decides how fast one gets there.
"""

import os
from functools import partial
from pathlib import Path

import av

from hcl.extract.catalog.frame_names import ALL
from hcl.extract.system.errors import VideoError
from hcl.extract.video.container import refuse_other_files
from hcl.extract.video.decord_reader import decord_version, read_with_decord
from hcl.extract.video.frames import FrameChoice, VideoFrames, middle_frames
from hcl.extract.video.image_folder import read_image_folder
from hcl.extract.video.packet_index import read_packet_index
from hcl.extract.video.pyav_reader import read_with_pyav


def read_frames(path: str | Path, frames: int, *, decoder: str = "auto") -> VideoFrames:
    """Read the middle frames of `frames` equal segments of a video, upright.

    Args:
        path: a video file, or a folder of frame images
        frames: how many
        decoder: see `read_chosen_frames`

    Raises:
        VideoError: the video cannot be read, with a reason for people
    """
    return read_chosen_frames(path, partial(middle_frames, frames=frames), decoder=decoder)


def read_chosen_frames(
    path: str | Path, choose: FrameChoice, *, decoder: str = "auto", frame_names: str = ALL
) -> VideoFrames:
    """Read frames of a video in one pass, upright.

    Args:
        path: a video file, or a folder of frame images
        choose: the indices that are wanted, told how many frames the video shows
        decoder: "auto" or "pyav": PyAV; "decord": decord whatever the file is, which notices little damage
        frame_names: of a folder, pattern of the names of the images that are frames, such as "img_*"

    Raises:
        VideoError: the video cannot be read, with a reason for people
    """
    if decoder not in ("auto", "decord", "pyav"):
        raise ValueError(f"{decoder = } is none of auto, decord, pyav")
    path = Path(path)
    _check_readable(path)
    if path.is_dir():
        return read_image_folder(path, choose, frame_names)
    if decoder == "decord":
        refuse_other_files(path)
        return read_with_decord(path, choose)
    return read_with_pyav(path, choose, read_packet_index(path))


def _check_readable(path: Path) -> None:
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise VideoError("the file does not exist") from error
    except OSError as error:
        raise VideoError(f"unreadable: {error.strerror}") from error
    if not os.access(path, os.R_OK):
        raise VideoError("no permission to read it")
    if not path.is_dir() and not path.is_file():
        raise VideoError("neither a file nor a folder")
    if path.is_file() and size == 0:
        raise VideoError("the file is empty (0 bytes)")


def decoder_note(decoder: str = "auto") -> str:
    """Say in one line which reader is in use."""
    if decoder != "decord":
        return f"videos are read with PyAV {av.__version__}"
    if not (decord := decord_version()):
        return "decord is not installed or has no build for this machine: no video can be read with it"
    return f"videos are read with {decord}, which notices little damage and may miss the frames of a full decode"
