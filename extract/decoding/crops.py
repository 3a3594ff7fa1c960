"""Crops of a video's frames: drawn at random, or around what moves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hcl.extract.decoding.exposure import gain_of

Box = tuple[float, float, float, float]  # left, top, right, bottom as shares of a frame's width and height

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
LEAST_AREA = 0.5  # of a crop, as a share of what it is cut from
ASPECTS = 3 / 4, 4 / 3  # of a crop's width to its height, each as such a share

SIDE = 64  # pixels, on which it is told what moves
ENOUGH = 240  # pixels of a frame's shorter side; of larger frames every second, third, ... pixel is looked at
NOISE = 2.0  # times the median difference, and one grey level more, do not count as movement
INNER = 0.04, 0.96  # shares of the movement, from the left and from the top, between which the region lies
MARGIN = 1.4  # times the sides of that region
LEAST_SIDE = 0.4  # of a region, as a share of the frame's


def draw_box(rng: np.random.Generator) -> Box:
    """Draw a crop of the frame, or of a region of it; drawn again until it fits."""
    while True:
        area = rng.uniform(LEAST_AREA, 1)
        aspect = np.exp(rng.uniform(*np.log(ASPECTS)))
        width, height = np.sqrt(area * aspect), np.sqrt(area / aspect)
        if width <= 1 and height <= 1:
            left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
            return float(left), float(top), float(left + width), float(top + height)


def within(region: Box, box: Box) -> Box:
    """Turn a box in shares of a region into one in shares of the frame."""
    left, top, right, bottom = region
    width, height = right - left, bottom - top
    return left + box[0] * width, top + box[1] * height, left + box[2] * width, top + box[3] * height


def moving_region(
    before: Sequence[NDArray[np.uint8]], after: Sequence[NDArray[np.uint8]], *, is_brightened: bool
) -> Box:
    """Find the part of a video's frames where something moves.

    What differs between two frames counts as far as it is beyond the noise: twice the median over all pixels, which
    is high where the camera moves, and one grey level more. All but 4 % of it at each side lies in a box; the region
    is that box with a margin of a fifth of its sides all around, no side below 0.4 of the frame's or three quarters of
    the other one, moved and cut so that it lies in the frame.

    Args:
        before, after: (H, W, 3) uint8 each, pairs of frames, whole
        is_brightened: whether dark frames are, all by one factor: the grey level more is one of the brightened frames

    Returns:
        the same for all frames; the whole frame where nothing moves
    """
    old, new = (np.stack([_fewer(image) for image in images]) for images in (before, after))
    energy = np.abs(_small_grey(new) - _small_grey(old)).mean(axis=0)
    level = 1 / gain_of(old) if is_brightened else 1.0
    energy = np.clip(energy - NOISE * np.median(energy) - level, 0, None)
    if not energy.any():
        return WHOLE
    (left, right), (top, bottom) = _span(energy.sum(axis=0)), _span(energy.sum(axis=1))
    width, height = MARGIN * (right - left), MARGIN * (bottom - top)
    width, height = max(width, LEAST_SIDE, ASPECTS[0] * height), max(height, LEAST_SIDE, ASPECTS[0] * width)
    (left, right), (top, bottom) = _placed((left + right) / 2, width), _placed((top + bottom) / 2, height)
    return left, top, right, bottom


def _placed(middle: float, side: float) -> tuple[float, float]:
    """Move and cut a side so that it lies in the frame."""
    side = min(side, 1.0)
    start = min(max(middle - side / 2, 0.0), 1.0 - side)
    return start, start + side


def _fewer(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every pixel of a frame, or of a large one every second, third, ... one."""
    step = max(1, min(image.shape[:2]) // ENOUGH)
    return image[::step, ::step]


def _small_grey(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, SIDE, SIDE) of (n, H, W, 3)."""
    grey = [Image.fromarray(image).convert("L") for image in images]
    return np.stack([np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32) for image in grey])


def _span(line: NDArray[np.float32]) -> tuple[float, float]:
    """Where along a side the inner share of the movement lies."""
    shares = np.concatenate(([0.0], np.cumsum(line, dtype=np.float64))) / line.sum(dtype=np.float64)
    first, last = np.interp(INNER, shares, np.linspace(0, 1, len(shares)))
    return float(first), float(last)
