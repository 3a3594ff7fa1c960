"""The exposure of frames: dark ones are brightened, since the backbone has learned from pictures taken in light."""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import NDArray

BRIGHT = 95  # percentile of a frame's brightness, the largest of a pixel's three values, by which it is called dark
ENOUGH = 96.0  # of 255, that this percentile has in the end, at least
MOST = 16.0  # times as bright: what is all but black is noise


def gain_of(image: NDArray[np.uint8]) -> float:
    """By which factor a frame is too dark, or several together are.

    Args:
        image: (..., 3) uint8

    Returns:
        1 where a twentieth of its pixels has a brightness of 96 or more, else above 1, 16 at most
    """
    brightness = reduce(np.maximum, np.moveaxis(image, -1, 0))  # 25 times as fast as the largest along the last axis
    high = float(np.percentile(brightness, BRIGHT))
    return float(np.clip(ENOUGH / max(high, 1.0), 1.0, MOST))


def brightened(image: NDArray[np.uint8], gain: float) -> NDArray[np.uint8]:
    """Multiply the values of a frame, which is what more light would have done to them.

    Args:
        image: uint8
        gain: 1 or more

    Returns:
        as it is, cut to 255; the frame itself where the factor is 1
    """
    if gain == 1:
        return image
    table: NDArray[np.uint8] = np.clip(np.rint(gain * np.arange(256)), 0, 255).astype(np.uint8)
    shown: NDArray[np.uint8] = table[image]
    return shown
