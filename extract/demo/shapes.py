"""The small things of the demo set, drawn as smooth pictures with a see-through ground."""

import colorsys
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

SPRITE = 128  # pixels of a picture's side; things are shown smaller than this
_FINER = 3  # drawn so many times larger, then reduced, which makes smooth edges
_ARM = 12  # lengths of a fist in an arm
ARM_FIST = (SPRITE / 2, SPRITE / 2)  # where the fist is in an arm's picture

Point = tuple[float, float]
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Paint:
    """The colours of one thing."""

    fill: Colour
    shade: Colour
    light: Colour
    line: Colour


def paint(hue: float, saturation: float = 0.7, value: float = 0.85) -> Paint:
    """Mix a thing's colours from one hue; every thing can have every hue."""

    def mix(saturation: float, value: float) -> Colour:
        red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
        return round(255 * red), round(255 * green), round(255 * blue)

    return Paint(
        mix(saturation, value), mix(saturation, 0.65 * value), mix(0.35 * saturation, 1.0), mix(saturation, 0.18)
    )


class _Pen:
    """Draws in coordinates from -1 to 1, y down, on a canvas finer than the picture."""

    def __init__(self, width: int = SPRITE, height: int = SPRITE) -> None:
        self.image = Image.new("RGBA", (width * _FINER, height * _FINER))
        self.draw = ImageDraw.Draw(self.image)
        self.line = round(0.03 * SPRITE * _FINER)

    def pixels(self, points: Sequence[Point]) -> list[Point]:
        width, height = self.image.size
        return [((1 + x) * width / 2, (1 + y) * height / 2) for x, y in points]

    def polygon(self, points: Sequence[Point], fill: Colour, line: Colour | None = None) -> None:
        corners = self.pixels(points)
        self.draw.polygon(corners, fill=fill)
        if line is not None:
            self.draw.line([*corners, corners[0], corners[1]], fill=line, width=self.line, joint="curve")

    def ellipse(self, centre: Point, radius: Point, fill: Colour | None, line: Colour | None = None) -> None:
        (x, y), (across, down) = centre, radius
        corners = self.pixels([(x - across, y - down), (x + across, y + down)])
        self.draw.ellipse([*corners[0], *corners[1]], fill=fill, outline=line, width=self.line if line else 0)

    def ring(self, centre: Point, radius: float, width: float, colour: Colour) -> None:
        corners = self.pixels([(centre[0] - radius, centre[1] - radius), (centre[0] + radius, centre[1] + radius)])
        self.draw.ellipse([*corners[0], *corners[1]], outline=colour, width=round(width * self.image.width / 2))

    def picture(self) -> Image.Image:
        return self.image.reduce(_FINER)


def _box_corners(left: float, top: float, right: float, bottom: float) -> list[Point]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _cup(pen: _Pen, paint: Paint, opened: float) -> None:
    pen.ring((0.5, 0.05), 0.4, 0.2, paint.line)
    pen.ring((0.5, 0.05), 0.36, 0.12, paint.fill)
    pen.polygon([(-0.65, -0.6), (0.5, -0.6), (0.38, 0.7), (-0.53, 0.7)], paint.fill, paint.line)
    pen.polygon([(-0.5, -0.45), (-0.3, -0.45), (-0.28, 0.6), (-0.42, 0.6)], paint.light)
    pen.ellipse((-0.075, -0.6), (0.58, 0.17), paint.shade, paint.line)


def _key(pen: _Pen, paint: Paint, opened: float) -> None:
    for grow, colour in ((0.05, paint.line), (0.0, paint.fill)):
        pen.ring((-0.5, 0.0), 0.4 + grow, 0.2 + 2 * grow, colour)
        pen.polygon(_box_corners(-0.2 - grow, -0.1 - grow, 0.92 + grow, 0.1 + grow), colour)
        pen.polygon(_box_corners(0.42 - grow, 0.1, 0.56 + grow, 0.4 + grow), colour)
        pen.polygon(_box_corners(0.74 - grow, 0.1, 0.9 + grow, 0.5 + grow), colour)


def _ball(pen: _Pen, paint: Paint, opened: float) -> None:
    pen.ellipse((0, 0), (0.72, 0.72), paint.fill, paint.line)
    pen.ellipse((0, 0), (0.28, 0.72), None, paint.line)
    pen.polygon(_box_corners(-0.7, -0.04, 0.7, 0.04), paint.line)
    pen.ellipse((-0.36, -0.36), (0.13, 0.13), paint.light)


def _bottle(pen: _Pen, paint: Paint, opened: float) -> None:
    body = [(-0.12, -0.7), (0.12, -0.7), (0.14, -0.35), (0.34, -0.05), (0.34, 0.9), (-0.34, 0.9), (-0.34, -0.05)]
    pen.polygon([*body, (-0.14, -0.35)], paint.fill, paint.line)
    pen.polygon(_box_corners(-0.16, -0.93, 0.16, -0.7), paint.shade, paint.line)
    pen.polygon(_box_corners(-0.31, 0.2, 0.31, 0.6), paint.light)


def _star(pen: _Pen, paint: Paint, opened: float) -> None:
    turns = [math.pi * (corner / 5 - 0.5) for corner in range(10)]
    reach = [(0.9, 0.4)[corner % 2] for corner in range(10)]
    pen.polygon([(r * math.cos(a), r * math.sin(a)) for r, a in zip(reach, turns, strict=True)], paint.fill, paint.line)
    pen.ellipse((0, 0), (0.15, 0.15), paint.light)


def _hammer(pen: _Pen, paint: Paint, opened: float) -> None:
    pen.polygon(_box_corners(-0.1, -0.5, 0.1, 0.92), paint.light, paint.line)
    pen.polygon([(-0.6, -0.8), (0.35, -0.8), (0.68, -0.5), (0.3, -0.38), (-0.6, -0.38)], paint.shade, paint.line)
    pen.polygon(_box_corners(-0.72, -0.88, -0.5, -0.3), paint.fill, paint.line)


def _box(pen: _Pen, paint: Paint, opened: float) -> None:
    """A chest seen from the front; the lid turns up about its left edge."""
    turned = math.radians(-100.0 * opened)
    lid = [(0.0, 0.0), (1.24, 0.0), (1.24, -0.18), (0.0, -0.18)]
    pen.polygon(_box_corners(-0.58, -0.02, 0.58, 0.2), paint.line)
    pen.polygon(_box_corners(-0.62, 0.06, 0.62, 0.8), paint.fill, paint.line)
    pen.polygon(_box_corners(-0.12, 0.3, 0.12, 0.5), paint.light, paint.line)
    turn = [
        (-0.62 + x * math.cos(turned) - y * math.sin(turned), 0.04 + x * math.sin(turned) + y * math.cos(turned))
        for x, y in lid
    ]
    pen.polygon(turn, paint.shade, paint.line)


def _book(pen: _Pen, paint: Paint, opened: float) -> None:
    """A book seen from above; the cover turns over its back to the left, where it shows its light inside."""
    pen.polygon(_box_corners(0.0, -0.6, 0.82, 0.6), paint.shade, paint.line)
    pen.polygon(_box_corners(0.04, -0.54, 0.76, 0.54), paint.light)
    for row in range(5):
        pen.polygon(_box_corners(0.12, -0.4 + 0.2 * row, 0.66, -0.36 + 0.2 * row), paint.line)
    edge = 0.82 * math.cos(math.pi * opened)
    rise = 0.22 * math.sin(math.pi * opened)  # the cover's free edge comes towards the viewer
    cover = [(0.0, -0.6), (edge, -0.6 - rise), (edge, 0.6 + rise), (0.0, 0.6)]
    pen.polygon(cover, paint.fill if edge > 0 else paint.light, paint.line)


_THINGS: dict[str, Callable[[_Pen, Paint, float], None]] = {
    "cup": _cup,
    "key": _key,
    "ball": _ball,
    "bottle": _bottle,
    "star": _star,
    "hammer": _hammer,
    "box": _box,
    "book": _book,
}
THINGS = tuple(_THINGS)


def draw_thing(name: str, paint: Paint, opened: float = 0.0) -> Image.Image:
    """Draw one thing, SPRITE pixels wide and high; it stays inside the picture when turned."""
    pen = _Pen()
    _THINGS[name](pen, paint, opened)
    return pen.picture()


def draw_arm(skin: Paint, sleeve: Paint) -> Image.Image:
    """Draw an arm that points to the right, with its fist at ARM_FIST on the left; it is longer than any frame."""
    pen = _Pen(_ARM * SPRITE, SPRITE)

    def place(x: float, y: float) -> Point:  # in fists from the fist's middle
        return (x + 0.5) * 2 / _ARM - 1, y

    pen.polygon([place(0, -0.55), place(_ARM, -0.55), place(_ARM, 0.55), place(0, 0.55)], skin.fill, skin.line)
    pen.polygon([place(1, -0.75), place(_ARM, -0.95), place(_ARM, 0.95), place(1, 0.75)], sleeve.fill, sleeve.line)
    pen.ellipse(place(0, 0), (0.9 / _ARM, 0.9), skin.fill, skin.line)
    for finger in (-0.45, 0.0, 0.45):
        pen.polygon([place(-0.42, finger - 0.05), place(0, finger - 0.05), place(0, finger + 0.05)], skin.line)
    return pen.picture()


def draw_card(paint: Paint) -> Image.Image:
    """Draw the card that covers things."""
    pen = _Pen()
    pen.polygon(_box_corners(-0.95, -0.95, 0.95, 0.95), paint.fill, paint.line)
    for row in (-0.5, 0.0, 0.5):
        pen.polygon(_box_corners(-0.8, row - 0.06, 0.8, row + 0.06), paint.shade)
    return pen.picture()
