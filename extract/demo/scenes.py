"""One video of the demo set, drawn frame by frame: a class, at a place, through a shaking camera."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from hcl.extract.demo.backgrounds import Place, draw_ground
from hcl.extract.demo.classes import DemoClass
from hcl.extract.demo.foreground import Foreground, Layout, draw_layout
from hcl.extract.demo.motions import MOTIONS

_MARGIN = 64  # pixels of ground and noise beyond each edge of the frame, for the camera to move in


@dataclass(frozen=True)
class DrawnVideo:
    """A video before it is encoded; its frames are drawn when they are asked for, and once."""

    rate: int  # frames per second
    width: int
    height: int
    frames: Iterator[np.ndarray]  # (H, W, 3) uint8 RGB


def draw_video(shown: DemoClass, place: Place, rng: np.random.Generator) -> DrawnVideo:
    """Draw a video of a class at a place; all else comes from the generator."""
    layout = draw_layout(shown.motion, rng)
    return DrawnVideo(layout.rate, layout.width, layout.height, _draw_frames(shown, place, layout, rng))


def _draw_frames(shown: DemoClass, place: Place, layout: Layout, rng: np.random.Generator) -> Iterator[np.ndarray]:
    cast, camera = Foreground(shown.thing, layout, rng), _Camera(place, layout, rng)
    for frame in range(layout.frames):
        seconds = frame / layout.rate
        canvas, shift = camera.aim(seconds)
        cast.show(canvas, MOTIONS[shown.motion](layout.time(frame), layout.phase), frame / layout.frames, shift)
        yield camera.expose(canvas, seconds, rng)


class _Camera:
    """The camera of one video: how it trembles, and how its picture is lit and noisy."""

    def __init__(self, place: Place, layout: Layout, rng: np.random.Generator) -> None:
        self._place, self._size = place, (layout.width, layout.height)
        around = (layout.width + 2 * _MARGIN, layout.height + 2 * _MARGIN)
        self._ground = draw_ground(place, *around, rng)
        self._noise = rng.normal(0, place.noise, (around[1], around[0], 3)).round().astype(np.int16)
        direction = rng.uniform(0, 2 * np.pi)
        self._drift = place.drift * np.array([np.cos(direction), np.sin(direction)])
        self._waves = rng.uniform(0, 2 * np.pi, (2, 3))  # the phases of the shake: axes by frequencies
        self._paces = 2 * np.pi * np.array([0.7, 1.9, 4.3]) * rng.uniform(0.8, 1.2, 3)
        self._zoom = rng.uniform(-0.03, 0.03)
        self._light = rng.uniform(0.75, 1.12) * rng.uniform(0.88, 1.12, 3)  # of red, green and blue
        self._swing = rng.uniform(-0.06, 0.06, 3)  # the hue's change in time
        self._flicker = rng.uniform(0, 2 * np.pi, 2)

    def aim(self, seconds: float) -> tuple[Image.Image, tuple[float, float]]:
        """Give the ground as the camera sees it, and the pixels that everything is off by its shake."""
        shake = self._place.shake * np.sin(self._paces * seconds + self._waves).sum(axis=1)
        width, height = self._size
        zoom = 1 + self._zoom * np.sin(seconds)
        left, top = _MARGIN - shake - self._drift * (seconds - 1.5) + (1 - zoom) / 2 * np.array(self._size)
        back = (zoom, 0, left, 0, zoom, top)
        ground = self._ground.transform((width, height), Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)
        return ground.convert("RGBA"), (float(shake[0]), float(shake[1]))

    def expose(self, canvas: Image.Image, seconds: float, rng: np.random.Generator) -> np.ndarray:
        """Light the picture and add the sensor's noise: (H, W, 3) uint8."""
        wave = np.sin(2 * np.pi * np.array([0.5, 2.3]) * seconds + self._flicker)
        gains = self._light * (1 + self._swing * wave[0] + self._place.flicker * wave[1])
        table = (np.arange(256) * gains[:, None]).clip(0, 255).astype(np.uint8)  # (3, 256)
        lit = np.asarray(canvas.convert("RGB").point(table.ravel().tolist()))
        x, y = rng.integers(2 * _MARGIN, size=2)
        noise = self._noise[y : y + lit.shape[0], x : x + lit.shape[1]]
        return (lit + noise).clip(0, 255).astype(np.uint8)
