"""Read frames with decord, for comparison.

decord notices little damage. It takes the rank of a key frame's packet for the rank of its frame, counts packets for
frames, and knows rotation, but not mirroring: its frames may be others than those of a full decode.
"""

import importlib
import importlib.metadata
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np

from hcl.extract.system.errors import VideoError
from hcl.extract.video.frames import FrameChoice, VideoFrames


@cache
def decord_module() -> ModuleType | None:
    """Return the module named decord, told to be quiet, or None where there is none."""
    try:
        decord = importlib.import_module("decord")
        decord.logging.set_level(decord.logging.QUIET)
    except (ImportError, OSError, AttributeError):
        return None
    return decord


def decord_version() -> str:
    """Return which distribution gives the module named decord (decord2 does, too), with its version; "" if none."""
    if decord_module() is None:
        return ""
    # Installed over each other, the files are those of the later one; its version tells which one that was.
    names = importlib.metadata.packages_distributions().get("decord", [])
    found = [f"{name} {importlib.metadata.version(name)}" for name in sorted(set(names))]
    loaded = getattr(decord_module(), "__version__", "of unknown version")
    return next((name for name in found if name.endswith(f" {loaded}")), f"decord {loaded}")


def read_with_decord(path: Path, choose: FrameChoice) -> VideoFrames:
    """Read the chosen frames of a video, counting them as decord does.

    Raises:
        VideoError: decord cannot read the file
    """
    decord = decord_module()
    if decord is None:
        raise VideoError("decord is not installed")
    try:
        reader = decord.VideoReader(str(path.absolute()), num_threads=1)
        indices = choose(len(reader))
        distinct = tuple(sorted(set(indices)))
        images = reader.get_batch(distinct).asnumpy()
    except (decord.DECORDError, RuntimeError, ValueError) as error:
        raise VideoError("decord cannot read the file") from error
    if indices != distinct:
        images = images[np.searchsorted(distinct, indices)]
    return VideoFrames(images, indices, len(reader), "decord")
