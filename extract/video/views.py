"""Views of a video: the canonical one, and others drawn once for training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from hcl.extract.config import ExtractConfig
from hcl.extract.video.frames import VideoFrames, middle_frames

LEAST_AREA = 0.5  # of a crop, as a share of the frame's
ASPECTS = 3 / 4, 4 / 3  # of a crop's width to its height, each as a share of the frame's


@dataclass(frozen=True, kw_only=True)
class ViewChoice:
    """How many views of a video there are, and how they are drawn."""

    views: int = 1
    seed: int = 0
    flip: bool = False  # whether half of the further views are mirrored

    @classmethod
    def of(cls, config: ExtractConfig) -> ViewChoice:
        """Take what an extraction's settings say of views."""
        return cls(views=config.views, seed=config.view_seed, flip=config.flip)


@dataclass(frozen=True)
class View:
    """Which frames, which part of them, and whether mirrored: the same for all frames of a view."""

    indices: tuple[int, ...]  # T
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)  # left, top, right, bottom as shares of the frame
    is_mirrored: bool = False


def draw_views(choice: ViewChoice, *, frames: int, frame_count: int, content: str) -> list[View]:
    """Draw the views of a video: whole middle frames first, then random frames, crops and flips.

    Args:
        choice: how many, and the seed
        frames: T
        frame_count: frames that the video shows
        content: SHA-256 of the source in hexadecimal; equal videos have equal views, whatever was drawn before
    """
    views = [View(middle_frames(frame_count, frames))]
    for number in range(1, choice.views):
        rng = np.random.default_rng([choice.seed, number, int(content or "0", 16)])
        indices, box, coin = _draw_indices(rng, frames, frame_count), _draw_box(rng), rng.random()
        views.append(View(indices, box, choice.flip and coin < 0.5))
    return views


def _draw_indices(rng: np.random.Generator, frames: int, frame_count: int) -> tuple[int, ...]:
    """Draw one frame within each of `frames` equal segments; those of a short video overlap."""
    bounds = np.arange(frames + 1) * frame_count // frames
    starts, stops = bounds[:-1], np.maximum(bounds[1:], bounds[:-1] + 1)
    return tuple(rng.integers(starts, stops).tolist())


def _draw_box(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Draw a crop; drawn again until it fits into the frame."""
    while True:
        area = rng.uniform(LEAST_AREA, 1)
        aspect = np.exp(rng.uniform(*np.log(ASPECTS)))
        width, height = np.sqrt(area * aspect), np.sqrt(area / aspect)
        if width <= 1 and height <= 1:
            left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
            return float(left), float(top), float(left + width), float(top + height)


def view_images(video: VideoFrames, view: View, size: int) -> np.ndarray:
    """Resize a view's part of its frames by antialiased bilinear filtering.

    Args:
        video: with all frames of the view
        view: of it
        size: pixels

    Returns:
        (T, size, size, 3) uint8
    """
    height, width = video.images.shape[1:3]
    box = tuple(min(share, 1.0) * side for share, side in zip(view.box, (width, height) * 2, strict=True))
    places = {number: place for place, number in enumerate(video.indices)}
    small: dict[int, np.ndarray] = {}
    for number in sorted(set(view.indices)):  # short videos repeat frames
        image = Image.fromarray(video.images[places[number]])
        small[number] = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=box))
    images = np.stack([small[number] for number in view.indices])
    return images[:, :, ::-1] if view.is_mirrored else images
