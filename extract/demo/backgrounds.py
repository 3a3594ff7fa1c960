"""The places of the demo set: ground, light and camera, none of which tells the class."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from hcl.extract.demo.shapes import Colour


@dataclass(frozen=True)
class Place:
    """One place: what its ground looks like and how one films there."""

    name: str
    pattern: Callable[[int, int, np.random.Generator], np.ndarray]  # (width, height, rng) -> (H, W) from 0 to 1
    dark: Colour
    bright: Colour
    shake: float  # pixels that the camera trembles
    drift: float  # pixels that the ground moves in a second
    noise: float  # of the camera's sensor, in grey levels
    flicker: float  # relative change of the light


def _cloud(width: int, height: int, cells: int, rng: np.random.Generator) -> np.ndarray:
    """Draw smooth noise from 0 to 1 whose spots are about height / cells pixels wide."""
    coarse = rng.random((cells + 1, round(cells * width / height) + 1), dtype=np.float32)
    smooth: np.ndarray = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return smooth.clip(0, 1)


def _axes(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(width, dtype=np.float32)[None, :], np.arange(height, dtype=np.float32)[:, None]


def _planks(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    _, down = _axes(width, height)
    plank = rng.integers(34, 60)
    tone = rng.random(height // plank + 2, dtype=np.float32)[(down // plank).astype(int)]
    grain = np.sin(down * rng.uniform(0.5, 0.9) + 9 * _cloud(width, height, 3, rng))
    return np.where(down % plank < 3, 0.0, 0.35 + 0.35 * tone + 0.15 * grain)


def _tiles(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    across, down = _axes(width, height)
    tile = rng.integers(30, 52)
    tone = rng.random((height // tile + 2, width // tile + 2), dtype=np.float32)
    chosen = tone[(down // tile).astype(int), (across // tile).astype(int)]
    return np.where((across % tile < 3) | (down % tile < 3), 0.1, 0.55 + 0.4 * chosen)


def _dunes(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    across, down = _axes(width, height)
    bent = 12 * _cloud(width, height, 3, rng)
    waves: np.ndarray = np.sin(down * rng.uniform(0.12, 0.22) + across * rng.uniform(-0.05, 0.05) + bent)
    return 0.5 + 0.25 * waves + 0.25 * (_cloud(width, height, 60, rng) - 0.5)


def _shelves(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    across, down = _axes(width, height)
    edges = np.cumsum(rng.integers(8, 26, width // 8 + 2))
    back = np.searchsorted(edges, across.astype(int), side="right")
    tone = rng.random((height // 70 + 2, len(edges) + 1), dtype=np.float32)
    spine = tone[(down // 70).astype(int), back]
    return np.where(down % 70 < 6, 0.05, 0.2 + 0.75 * spine)


def _leaves(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    cells = int(rng.integers(12, 20))
    soft: np.ndarray = np.abs(2 * _cloud(width, height, cells, rng) - 1)
    spots: np.ndarray = np.where(_cloud(width, height, 2 * cells, rng) > 0.5, 0.4, 0.0)
    return spots + 0.6 * soft


def _bricks(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    across, down = _axes(width, height)
    tall = int(rng.integers(18, 28))
    row = (down // tall).astype(int)
    moved = across + (row % 2) * tall
    tone = rng.random((height // tall + 2, width // tall + 3), dtype=np.float32)
    chosen = tone[row, (moved // (2 * tall)).astype(int)]
    return np.where((moved % (2 * tall) < 3) | (down % tall < 3), 0.9, 0.15 + 0.4 * chosen)


PLACES = (
    Place("workshop", _planks, (70, 45, 25), (205, 160, 110), shake=1.2, drift=6.0, noise=5.0, flicker=0.03),
    Place("kitchen", _tiles, (110, 125, 140), (235, 240, 240), shake=2.5, drift=3.0, noise=4.0, flicker=0.02),
    Place("beach", _dunes, (170, 140, 95), (250, 230, 185), shake=3.5, drift=14.0, noise=5.0, flicker=0.05),
    Place("library", _shelves, (60, 30, 40), (170, 140, 120), shake=0.8, drift=9.0, noise=7.0, flicker=0.02),
    Place("garden", _leaves, (25, 60, 25), (150, 200, 100), shake=3.0, drift=18.0, noise=5.0, flicker=0.08),
    Place("cellar", _bricks, (60, 40, 45), (150, 120, 115), shake=1.8, drift=5.0, noise=8.0, flicker=0.12),
)


def draw_ground(place: Place, width: int, height: int, rng: np.random.Generator) -> Image.Image:
    """Draw a piece of the place's ground, muted and out of focus; two pieces share their style, not their details."""
    colours = np.array([place.dark, place.bright])
    muted = colours.mean(axis=0) + rng.uniform(0.25, 0.5) * (colours - colours.mean(axis=0))
    dark, bright = muted + rng.uniform(-22, 22, (2, 3)) + rng.uniform(-14, 14)
    pattern = place.pattern(width, height, rng) * rng.uniform(0.8, 1.0) + 0.12 * _cloud(width, height, 5, rng)
    sharp = Image.fromarray((dark + pattern[..., None] * (bright - dark)).clip(0, 255).astype(np.uint8))
    return sharp.filter(ImageFilter.GaussianBlur(rng.uniform(1.0, 2.5)))
