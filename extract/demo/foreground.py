"""What stands in front of the ground in a video of the demo set: the thing, the arm, the card and other things."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from hcl.extract.demo.motions import Pose
from hcl.extract.demo.shapes import ARM_FIST, SPRITE, THINGS, Paint, Point, draw_arm, draw_card, draw_thing, paint

SIZES = ((320, 240), (288, 216), (256, 256), (240, 320), (352, 240))  # width, height
RATES = (10, 12, 15, 20, 24)  # frames per second
SECONDS = (1.5, 3.8)
SIDES = ("right", "below", "left", "above")  # that an arm comes from, in quarter turns
_PUSHED_FROM = {"push left": "right", "push right": "left"}
_STEPS = 16  # pictures of a thing that opens


@dataclass(frozen=True)
class Layout:
    """The size, length and speed of a video, and where its motion takes place."""

    width: int
    height: int
    rate: int
    frames: int
    start: float  # of the motion, as a part of the video
    end: float
    phase: float
    stroke: float  # pixels that a motion of length 1 covers
    thing: float  # pixels, the size of a thing at scale 1
    centre: Point  # of the motion, pixels
    side: str  # that the arm comes from

    def time(self, frame: int) -> float:
        """Give the motion's time, from 0 to 1, at a frame: still before the start and after the end."""
        now = (frame + 0.5) / self.frames
        return min(max((now - self.start) / (self.end - self.start), 0.0), 1.0)


def draw_layout(motion: str, rng: np.random.Generator) -> Layout:
    """Choose a layout; but for the arm that pushes, it is drawn alike for every motion."""
    width, height = SIZES[rng.integers(len(SIZES))]
    rate = RATES[rng.integers(len(RATES))]
    short = min(width, height)
    thing, stroke = short * rng.uniform(0.28, 0.4), short * rng.uniform(0.36, 0.5)
    room = [(extent - stroke - 0.8 * thing) / 2 for extent in (width, height)]
    side = SIDES[rng.integers(len(SIDES))]
    return Layout(
        width=width,
        height=height,
        rate=rate,
        frames=round(rate * rng.uniform(*SECONDS)),
        start=rng.uniform(0.0, 0.12),
        end=rng.uniform(0.88, 1.0),
        phase=rng.random(),
        stroke=stroke,
        thing=thing,
        centre=(width / 2 + room[0] * rng.uniform(-1, 1), height / 2 + room[1] * rng.uniform(-1, 1)),
        side=_PUSHED_FROM.get(motion, side),
    )


class _Sprite:
    """A picture that is put onto canvases with its anchor at a point, turned about it."""

    def __init__(self, picture: Image.Image, anchor: Point = (SPRITE / 2, SPRITE / 2)) -> None:
        self._picture, self._anchor = picture, anchor
        self._resized = cache(picture.resize)  # most things keep their size through a video

    def put(self, canvas: Image.Image, at: Point, *, size: float, angle: float) -> None:
        """Put the picture, SPRITE pixels of it shrunk to `size`, turned clockwise; `at` may lie between pixels."""
        wide, high = self._picture.size
        small = self._resized((max(round(wide * size / SPRITE), 1), max(round(high * size / SPRITE), 1)))
        x, y = self._anchor[0] * small.width / wide, self._anchor[1] * small.height / high
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        corners = [(across - x, down - y) for across in (-1, small.width + 1) for down in (-1, small.height + 1)]
        columns = [at[0] + cosine * across - sine * down for across, down in corners]
        rows = [at[1] + sine * across + cosine * down for across, down in corners]
        left, top = max(math.floor(min(columns)), 0), max(math.floor(min(rows)), 0)
        right, bottom = min(math.ceil(max(columns)), canvas.width), min(math.ceil(max(rows)), canvas.height)
        if left >= right or top >= bottom:
            return
        u, v = left - at[0], top - at[1]
        back = (cosine, sine, cosine * u + sine * v + x, -sine, cosine, -sine * u + cosine * v + y)
        layer = small.transform((right - left, bottom - top), Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)
        canvas.alpha_composite(layer, (left, top))


@dataclass(frozen=True)
class _Prop:
    """A thing that lies about and slides slowly."""

    sprite: _Sprite
    at: Point
    slide: Point  # pixels a video
    size: float
    angle: float


class Foreground:
    """Everything in front of the ground of one video."""

    def __init__(self, thing: str, layout: Layout, rng: np.random.Generator) -> None:
        self._layout = layout
        colours = _any_paint(rng)
        self._thing = cache(lambda step: _Sprite(draw_thing(thing, colours, step / _STEPS)))
        self._lean = rng.uniform(-12, 12)
        skin = paint(rng.uniform(0.02, 0.12), rng.uniform(0.25, 0.6), rng.uniform(0.4, 1.0))
        self._arm = _Sprite(draw_arm(skin, _any_paint(rng)), ARM_FIST)
        self._arm_angle = 90 * SIDES.index(layout.side) + rng.uniform(-12, 12)
        self._card = _Sprite(draw_card(_any_paint(rng)))
        others = [name for name in THINGS if name != thing]
        self._props = [_draw_prop(others[rng.integers(len(others))], layout, rng) for _ in range(rng.integers(1, 4))]

    def show(self, canvas: Image.Image, pose: Pose, time: float, shift: Point) -> None:
        """Put everything onto the canvas, from back to front.

        Args:
            time: from 0 to 1, the part of the video that is over
            shift: pixels that the camera is off
        """
        for prop in self._props:
            at = (prop.at[0] + shift[0] + time * prop.slide[0], prop.at[1] + shift[1] + time * prop.slide[1])
            prop.sprite.put(canvas, at, size=prop.size, angle=prop.angle)
        stroke, size = self._layout.stroke, self._layout.thing * pose.scale
        thing = (
            self._layout.centre[0] + shift[0] + pose.x * stroke,
            self._layout.centre[1] + shift[1] + pose.y * stroke,
        )
        if pose.covered is None:
            self._put_arm(canvas, (thing[0], thing[1] + pose.hand_y * stroke), size)
        self._thing(round(_STEPS * pose.opened)).put(canvas, thing, size=size, angle=self._lean + pose.angle)
        if pose.covered is not None:
            card = self._towards_arm(thing, 1.5 * (1 - pose.covered) * size)
            self._card.put(canvas, card, size=1.1 * size, angle=self._lean)
            self._put_arm(canvas, card, size)

    def _put_arm(self, canvas: Image.Image, held: Point, size: float) -> None:
        """Show the arm with its fist at the edge of what it holds."""
        fist = self._towards_arm(held, 0.45 * size)
        self._arm.put(canvas, fist, size=0.5 * size, angle=self._arm_angle)

    def _towards_arm(self, point: Point, pixels: float) -> Point:
        turned = math.radians(self._arm_angle)
        return point[0] + pixels * math.cos(turned), point[1] + pixels * math.sin(turned)


def _any_paint(rng: np.random.Generator) -> Paint:
    return paint(rng.random(), rng.uniform(0.4, 0.9), rng.uniform(0.6, 1.0))


def _draw_prop(thing: str, layout: Layout, rng: np.random.Generator) -> _Prop:
    reach = 0.15 * layout.width
    return _Prop(
        sprite=_Sprite(draw_thing(thing, _any_paint(rng), rng.random())),
        at=(layout.width * rng.uniform(0.05, 0.95), layout.height * rng.uniform(0.05, 0.95)),
        slide=(reach * rng.uniform(-1, 1), reach * rng.uniform(-1, 1)),
        size=layout.thing * rng.uniform(0.6, 1.0),
        angle=rng.uniform(-180, 180),
    )
