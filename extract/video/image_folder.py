"""A folder of frame images as a video."""

import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from hcl.extract.catalog import IMAGE_SUFFIXES
from hcl.extract.system.errors import VideoError, lacks_resources
from hcl.extract.video.frames import FrameChoice, VideoFrames


def frame_images(folder: Path) -> list[Path]:
    """Return the folder's JPEG and PNG files in the order of the numbers in their names (frame2 before frame10)."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != "."]
    return sorted((path for path in found if path.is_file()), key=_natural)


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.split(r"([0-9]+)", path.stem)
    # Odd parts are digits; the name itself breaks ties such as frame1 and frame01.
    return [(int(part), "") if odd % 2 else (-1, part) for odd, part in enumerate(parts)], path.name


def read_image_folder(folder: Path, choose: FrameChoice) -> VideoFrames:
    """Read the chosen images of a folder.

    Raises:
        VideoError: there is no image, one is broken, or their sizes differ
    """
    paths = frame_images(folder)
    if not paths:
        raise VideoError("the folder holds no JPEG or PNG images")
    indices = choose(len(paths))
    images = {index: _read_image(paths[index]) for index in sorted(set(indices))}
    shapes = {image.shape for image in images.values()}
    if len(shapes) > 1:
        sizes = " and ".join(sorted(f"{width}x{height}" for height, width, _ in shapes))
        raise VideoError(f"the images of the folder differ in size: {sizes}")
    return VideoFrames(np.stack([images[index] for index in indices]), indices, len(paths), "images")


def _read_image(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except PermissionError as error:
        raise VideoError(f"no permission to read {path.name}") from error
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if lacks_resources(error):
            raise
        raise VideoError(f"broken image {path.name}: {error}") from error
