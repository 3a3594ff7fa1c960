"""A scene as a PNG picture, by Pillow."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from hcl.classify.explanation.scene import Line, Outline, Picture, Scene, Text
from hcl.extract.system.console import plain

PAPER, INK, PLATE = "#ffffff", "#1b1f24", "#ffffff"
FONTS = ("DejaVuSans.ttf", "Arial.ttf", "NotoSans-Regular.ttf")  # where the machine has one; else Pillow's own
BOLD = {
    "DejaVuSans.ttf": "DejaVuSans-Bold.ttf",
    "Arial.ttf": "Arial_Bold.ttf",
    "NotoSans-Regular.ttf": "NotoSans-Bold.ttf",
}


def as_png(scene: Scene, pictures: Mapping[str, bytes]) -> bytes:
    """Draw a picture on white.

    Args:
        scene: whose height is known
        pictures: JPEG by name
    """
    canvas = Image.new("RGB", (round(scene.width), round(scene.height)), PAPER)
    for shape in scene.shapes:
        _draw(canvas, shape, pictures)
    written = io.BytesIO()
    canvas.save(written, "PNG", optimize=True)
    return written.getvalue()


def _draw(canvas: Image.Image, shape: object, pictures: Mapping[str, bytes]) -> None:
    pen = ImageDraw.Draw(canvas)
    if isinstance(shape, Picture):
        image = Image.open(io.BytesIO(pictures[shape.name])).convert("RGB")
        size = max(1, round(shape.width)), max(1, round(shape.height))
        canvas.paste(image.resize(size, Image.Resampling.LANCZOS), (round(shape.x), round(shape.y)))
    elif isinstance(shape, Line):
        pen.line((shape.x1, shape.y1, shape.x2, shape.y2), fill=shape.colour, width=max(1, round(shape.width)))
    elif isinstance(shape, Outline):
        _outline(canvas, pen, shape)
    elif isinstance(shape, Text):
        _text(pen, shape)
    else:
        raise ValueError(f"{shape} cannot be drawn")


def _outline(canvas: Image.Image, pen: ImageDraw.ImageDraw, shape: Outline) -> None:
    corners = round(shape.x), round(shape.y), round(shape.x + shape.width), round(shape.y + shape.height)
    if shape.opacity:
        part = canvas.crop(corners)
        canvas.paste(Image.blend(part, Image.new("RGB", part.size, shape.colour), min(1.0, shape.opacity)), corners[:2])
    if shape.border:
        pen.rectangle(corners, outline=shape.colour, width=max(1, round(shape.border)))


def _text(pen: ImageDraw.ImageDraw, shape: Text) -> None:
    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
    if shape.is_boxed:
        side = shape.size * 1.3
        left, top = shape.x - side / 2, shape.y - side * 0.8
        pen.rectangle((left, top, left + side, top + side), fill=PLATE)
    font = _font(round(shape.size), shape.is_bold)
    pen.text((shape.x, shape.y), plain(shape.text), fill=shape.colour or INK, font=font, anchor=anchor)


@cache
def _font(size: int, is_bold: bool) -> Any:
    for name in FONTS:
        try:
            return ImageFont.truetype(BOLD[name] if is_bold else name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
