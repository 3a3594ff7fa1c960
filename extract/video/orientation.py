"""Frames as a viewer sees them: the display matrix of a video turns and mirrors its pictures."""

import struct
from typing import Any

import av
import numpy as np


def apply_display_matrix(frame: av.VideoFrame) -> np.ndarray:
    """Return a frame as (H, W, 3) uint8 RGB, turned and mirrored as its display matrix says.

    Right angles only: a matrix that slants the picture leaves it as it is.
    """
    image: np.ndarray = frame.to_ndarray(format="rgb24", threads=1)  # by default as many as the machine has cores
    across_x, down_x, across_y, down_y = _matrix(frame)  # where a step to the right, and one down, lead
    if across_x == down_y == 0 and across_y and down_x:
        image, right, down = image.transpose(1, 0, 2), across_y, down_x
    elif down_x == across_y == 0 and across_x and down_y:
        right, down = across_x, down_y
    else:
        return image
    return image[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1]


def _matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 1, 0, 0, 1
    # Nine 16.16 numbers, in rows of three: x' = a x + c y, y' = b x + d y, the third column is projective.
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data))
    return a, b, c, d
