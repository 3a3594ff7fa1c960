"""Images of a folder come out as a viewer shows them, or are refused with the reason."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hcl.extract.system.errors import VideoError
from hcl.extract.video import image_folder
from hcl.extract.video.image_folder import read_image_folder

RAMP = np.linspace(0, 255, 48, dtype=np.uint8).reshape(6, 8)
COLOURS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
GREY = np.repeat(RAMP[..., None], 3, axis=2)
HALF = np.concatenate((COLOURS, np.full((6, 8, 1), 128, np.uint8)), axis=2)
OPAQUE = np.concatenate((COLOURS, np.full((6, 8, 1), 255, np.uint8)), axis=2)


def shown(folder: Path) -> np.ndarray:
    """The first frame."""
    return np.asarray(read_image_folder(folder, lambda count: (0,)).images[0])


def palette() -> tuple[Image.Image, np.ndarray]:
    image = Image.fromarray(COLOURS).quantize(16)
    table = np.array(image.getpalette(), np.uint8).reshape(-1, 3)
    return image, table[np.asarray(image)]


def wide(values: np.ndarray) -> Image.Image:
    """16-bit grey, whose high bytes are the values."""
    return Image.fromarray(values.astype(np.uint16) * 256 + 77)


SHOWN: dict[str, tuple[str, Callable[[], tuple[Image.Image, np.ndarray]]]] = {
    "colours": ("1.png", lambda: (Image.fromarray(COLOURS), COLOURS)),
    "grey": ("1.png", lambda: (Image.fromarray(RAMP), GREY)),
    "16-bit grey": ("1.png", lambda: (wide(RAMP), GREY)),
    "16-bit grey TIFF": ("1.tif", lambda: (wide(RAMP), GREY)),
    "palette": ("1.png", palette),
    "black and white": ("1.png", lambda: (Image.fromarray(RAMP > 99), np.uint8(255) * (GREY > 99))),
    "opaque": ("1.png", lambda: (Image.fromarray(OPAQUE), COLOURS)),
    "grey, opaque": ("1.png", lambda: (Image.fromarray(RAMP).convert("LA"), GREY)),
    "BMP": ("1.bmp", lambda: (Image.fromarray(COLOURS), COLOURS)),
    "a PNG called JPEG": ("1.jpg", lambda: (Image.fromarray(COLOURS), COLOURS)),
}


@pytest.mark.parametrize("kind", SHOWN)
def test_images_come_out_as_a_viewer_shows_them(tmp_path: Path, kind: str) -> None:
    name, make = SHOWN[kind]
    image, expected = make()
    image.save(tmp_path / name, "png" if kind.endswith("JPEG") else None)
    np.testing.assert_array_equal(shown(tmp_path), expected)


def test_webp_without_loss_is_read(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "1.webp", lossless=True)
    np.testing.assert_array_equal(shown(tmp_path), COLOURS)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["png", "tif"])
def test_images_are_turned_as_they_say(tmp_path: Path, orientation: int, form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(COLOURS).save(tmp_path / f"1.{form}", exif=exif)
    turns = [
        *(lambda a: a, np.fliplr, lambda a: np.rot90(a, 2), np.flipud),
        *(lambda a: a.transpose(1, 0, 2), lambda a: np.rot90(a, -1)),
        *(lambda a: np.rot90(a, 2).transpose(1, 0, 2), np.rot90),
    ]
    np.testing.assert_array_equal(shown(tmp_path), turns[orientation - 1](COLOURS))


def transparent_palette() -> Image.Image:
    image = palette()[0]
    image.info["transparency"] = int(np.asarray(image)[0, 0])
    return image


REFUSED: dict[str, tuple[str, str, Callable[[], Image.Image]]] = {
    "half transparent": ("1.png", "transparent pixels", lambda: Image.fromarray(HALF)),
    "transparent grey": ("1.png", "transparent pixels", lambda: Image.fromarray(HALF).convert("LA")),
    "transparent palette": ("1.png", "transparent pixels", transparent_palette),
    "CMYK": (
        "1.jpg",
        r"mode CMYK\) that viewers show differently; convert it to RGB",
        lambda: Image.new("CMYK", (8, 6)),
    ),
    "32-bit grey": ("1.tif", r"mode F\)", lambda: Image.fromarray(RAMP.astype(np.float32))),
    "whole 32-bit grey": ("1.tif", r"mode I\)", lambda: Image.fromarray(RAMP.astype(np.int32))),
    "Lab": ("1.tif", r"mode LAB\)", lambda: Image.new("LAB", (8, 6))),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_viewers_show_differently_is_refused(tmp_path: Path, kind: str) -> None:
    name, message, make = REFUSED[kind]
    make().save(tmp_path / name)
    with pytest.raises(VideoError, match=f"{name}.*{message}"):
        shown(tmp_path)


def test_grey_with_white_at_0_is_refused(tmp_path: Path) -> None:
    wide(RAMP).save(tmp_path / "1.tif", tiffinfo={262: 0})
    with pytest.raises(VideoError, match=r"1\.tif is grey of 12 bits, or white at 0"):
        shown(tmp_path)


@pytest.mark.parametrize("form", ["png", "tiff", "webp", "gif"])
def test_an_image_that_holds_several_is_refused(tmp_path: Path, form: str) -> None:
    first, second = Image.fromarray(COLOURS), Image.fromarray(COLOURS[::-1])
    first.save(tmp_path / "1.png", form, save_all=True, append_images=[second])
    with pytest.raises(VideoError, match=r"1\.png holds 2 images, where a frame is one"):
        shown(tmp_path)


@pytest.mark.parametrize("form", ["eps", "ppm", "ico", "icns", "tga", "pcx", "jpeg2000"])
def test_other_formats_are_refused_and_start_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "clip").mkdir()
    Image.fromarray(COLOURS).resize((16, 16)).save(tmp_path / "clip" / "1.png", form)
    with pytest.raises(VideoError, match=r"broken image 1\.png: it reads as none of JPEG, PNG, WEBP, BMP, TIFF, GIF"):
        shown(tmp_path / "clip")
    assert not (tmp_path / "started").exists()


def test_an_image_of_absurd_size_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "1.png")
    monkeypatch.setattr(image_folder, "MOST_PIXELS", 47)
    monkeypatch.setattr(image_folder, "_as_rgb", lambda image: pytest.fail("decoded"))
    with pytest.raises(VideoError, match=r"1\.png has 8x6 pixels, more than 47; make it smaller"):
        shown(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # more than twice as many are an error of Pillow's own
    with pytest.raises(VideoError, match=r"broken image 1\.png: .*exceeds limit"):
        shown(tmp_path)


@pytest.mark.parametrize("form", ["png", "jpeg", "bmp", "tiff", "webp", "gif"])
def test_damaged_images_give_a_reason(tmp_path: Path, form: str) -> None:
    """Of 40 flips and cuts each ends in a picture or a reason, never in another error."""
    rng = np.random.default_rng(0)
    Image.fromarray(COLOURS).save(tmp_path / "whole", form)
    whole = (tmp_path / "whole").read_bytes()
    (tmp_path / "clip").mkdir()
    for number in range(40):
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        (tmp_path / "clip" / "1.png").write_bytes(data if number % 2 else data[: rng.integers(1, len(data))])
        try:
            assert shown(tmp_path / "clip").dtype == np.uint8
        except VideoError as error:
            assert "1.png" in str(error) and "\n" not in str(error)
