"""A folder of frame images as a video."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, TiffImageFile

from hcl.extract.catalog.frame_names import ALL, frame_images
from hcl.extract.catalog.videos import readable
from hcl.extract.system.errors import VideoError, first_line, lacks_resources
from hcl.extract.video.frames import FrameChoice, VideoFrames

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")  # no others: Pillow starts Ghostscript on EPS
MOST_PIXELS = 2**26  # of an image, eight times those of a 4K frame
_SERIES = ("PNG", "WEBP", "TIFF", "GIF")  # formats that may hold several images
_SHOWN_AS_THEY_ARE = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr")  # modes


def read_image_folder(folder: Path, choose: FrameChoice, frame_names: str = ALL) -> VideoFrames:
    """Read the chosen images of a folder.

    Args:
        folder: with images
        choose: the indices that are wanted, told how many there are
        frame_names: pattern of the names of those that are frames, such as "img_*"

    Raises:
        VideoError: there is no image, their order is unclear, one is broken, or their sizes differ
    """
    paths = frame_images(folder, frame_names)
    if not paths:
        raise VideoError("the folder holds no images (JPEG, PNG, WebP, BMP or TIFF)")
    indices = choose(len(paths))
    images = {index: _read_image(paths[index]) for index in sorted(set(indices))}
    shapes = {image.shape for image in images.values()}
    if len(shapes) > 1:
        sizes = " and ".join(sorted(f"{width}x{height}" for height, width, _ in shapes))
        raise VideoError(f"the images of the folder differ in size: {sizes}")
    return VideoFrames(np.stack([images[index] for index in indices]), indices, len(paths), "images")


def _read_image(path: Path) -> NDArray[np.uint8]:
    """Read one image as a viewer shows it.

    Raises:
        VideoError: it is broken, too large, or viewers do not agree on what it shows
    """
    name = readable(path.name)
    try:
        with Image.open(path, formats=FORMATS) as image:
            if reason := _why_refused(image):
                raise VideoError(f"{name} {reason}")
            upright = ImageOps.exif_transpose(image)
            if _is_transparent(upright):
                raise VideoError(f"{name} has transparent pixels, which viewers show differently; give it a background")
            return _as_rgb(upright)
    except VideoError:
        raise
    except PermissionError as error:
        raise VideoError(f"no permission to read {name}") from error
    except UnidentifiedImageError as error:
        raise VideoError(f"broken image {name}: it reads as none of {', '.join(FORMATS)}") from error
    except Exception as error:  # Pillow raises errors of many kinds on damaged files
        if lacks_resources(error):
            raise
        raise VideoError(f"broken image {name}: {first_line(error)}") from error


def _why_refused(image: Image.Image) -> str:
    """Why an opened image is not read, before its pixels are decoded; "" if it is."""
    if image.width * image.height > MOST_PIXELS:
        return f"has {image.width}x{image.height} pixels, more than {MOST_PIXELS}; make it smaller"
    if image.format in _SERIES and (count := getattr(image, "n_frames", 1)) > 1:
        return f"holds {count} images, where a frame is one; split it, or name it as a video in a manifest"
    if isinstance(image, TiffImageFile) and _is_16_bit_grey(image) and _stored_otherwise(image):
        return "is grey of 12 bits, or white at 0, which is not read; convert it to 8-bit grey"
    if image.mode not in _SHOWN_AS_THEY_ARE and not _is_16_bit_grey(image):
        return f"has colours (mode {image.mode}) that viewers show differently; convert it to RGB"
    return ""


def _stored_otherwise(image: TiffImageFile) -> bool:
    """Whether grey is stored otherwise than as 16 bits with black at 0, which Pillow does not tell."""
    return image.tag_v2.get(BITSPERSAMPLE) != (16,) or image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) != 1


def _is_16_bit_grey(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")


def _is_transparent(image: Image.Image) -> bool:
    """Whether what some pixels show depends on what is behind them."""
    if not image.has_transparency_data:
        return False
    return _is_16_bit_grey(image) or int(np.asarray(image.convert("RGBA"))[..., 3].min()) < 255


def _as_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Turn pixels into (H, W, 3) 8-bit RGB."""
    if _is_16_bit_grey(image):
        high_bytes = (np.asarray(image) >> 8).astype(np.uint8)  # as of 16-bit colours
        return np.repeat(high_bytes[..., None], 3, axis=2)
    return np.asarray(image.convert("RGB"))
