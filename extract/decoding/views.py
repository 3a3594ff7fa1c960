"""Views of a video: the canonical one, and others drawn once for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hcl.extract.config import CROPS, ExtractConfig
from hcl.extract.decoding.crops import WHOLE, Box, draw_box, moving_region, within
from hcl.extract.decoding.exposure import brightened, gain_of
from hcl.extract.video.frames import VideoFrames, middle_frames

GREY, CONTRAST = 128, 2  # of difference images


@dataclass(frozen=True, kw_only=True)
class ViewChoice:
    """How many views of a video there are, and how they are drawn."""

    views: int = 1
    seed: int = 0
    flip: bool = False  # whether half of the further views are mirrored
    motion: str = "none"  # what is shown beside each frame, see ExtractConfig
    crops: str = CROPS[0]  # which part of the frames the further views show, see there, too
    is_brightened: bool = False  # whether dark frames are, see exposure there

    @classmethod
    def of(cls, config: ExtractConfig) -> ViewChoice:
        """Take what an extraction's settings say of views."""
        return cls(
            views=config.views,
            seed=config.view_seed,
            flip=config.flip,
            motion=config.motion,
            crops=config.crops,
            is_brightened=config.brightens,
        )


@dataclass(frozen=True)
class View:
    """Which frames, which part of them, and whether mirrored: the same for all frames of a view."""

    indices: tuple[int, ...]  # T
    box: Box = WHOLE  # of the frame; of the region where something moves, if it follows that
    is_mirrored: bool = False
    follows: tuple[tuple[int, int], ...] = ()  # pairs of frames that tell where something moves; none: not asked
    around: tuple[tuple[int, int], ...] = ()  # T, the frames before and after each one; none: motion is not shown
    is_brightened: bool = False  # whether dark frames are

    @property
    def numbers(self) -> set[int]:
        """All frames that its images are made of, or its box."""
        return {*self.indices, *(number for pair in (*self.around, *self.follows) for number in pair)}


def draw_views(choice: ViewChoice, *, frames: int, frame_count: int, content: str) -> list[View]:
    """Draw the views of a video: whole middle frames first, then random frames, crops and flips.

    Args:
        choice: how many, and the seed
        frames: T
        frame_count: frames that the video shows
        content: SHA-256 of the source in hexadecimal; equal videos have equal views, whatever was drawn before
    """
    middles = middle_frames(frame_count, frames)
    follows = frames_around(middles, frame_count) if choice.crops == "moving" else ()
    views = [View(middles, is_brightened=choice.is_brightened)]
    for number in range(1, choice.views):
        rng = np.random.default_rng([choice.seed, number, int(content or "0", 16)])
        indices = _draw_indices(rng, frames, frame_count)
        box, coin = draw_box(rng), rng.random()
        is_mirrored = choice.flip and coin < 0.5
        views.append(View(indices, box, is_mirrored, follows, is_brightened=choice.is_brightened))
    if choice.motion != "none":
        views = [replace(view, around=frames_around(view.indices, frame_count)) for view in views]
    return views


def frames_around(indices: Sequence[int], frame_count: int) -> tuple[tuple[int, int], ...]:
    """The frames a quarter of a segment before and after each frame, one frame at least, within the video."""
    step = max(1, round(frame_count / (4 * len(indices))))
    return tuple((max(0, number - step), min(frame_count - 1, number + step)) for number in indices)


def _draw_indices(rng: np.random.Generator, frames: int, frame_count: int) -> tuple[int, ...]:
    """Draw one frame within each of `frames` equal segments; those of a short video overlap."""
    bounds = np.arange(frames + 1) * frame_count // frames
    starts, stops = bounds[:-1], np.maximum(bounds[1:], bounds[:-1] + 1)
    return tuple(rng.integers(starts, stops).tolist())


def show_views(video: VideoFrames, views: Sequence[View], size: int) -> NDArray[np.uint8]:
    """Show all views of a video.

    Args:
        video: with all frames of the views
        views: of it
        size: pixels

    Returns:
        (views, T, I, size, size, 3) uint8, see `view_images`
    """
    follows = {view.follows: view for view in views if view.follows}
    regions = {pairs: _region(video, view) for pairs, view in follows.items()}
    boxes = [within(regions.get(view.follows, WHOLE), view.box) for view in views]
    return np.stack([view_images(video, replace(view, box=box), size) for view, box in zip(views, boxes, strict=True)])


def _region(video: VideoFrames, view: View) -> Box:
    """Where something moves between the pairs of frames that a view follows."""
    places = {number: place for place, number in enumerate(video.indices)}
    before, after = ([video.images[places[pair[end]]] for pair in view.follows] for end in (0, 1))
    return moving_region(before, after, is_brightened=view.is_brightened)


def view_images(video: VideoFrames, view: View, size: int) -> NDArray[np.uint8]:
    """Resize a view's part of its frames by antialiased bilinear filtering, and show what moves beside them.

    Args:
        video: with all frames of the view
        view: of it, its box as shares of the frame
        size: pixels

    Returns:
        (T, I, size, size, 3) uint8: each frame, and its difference image where the view shows motion
    """
    height, width = video.images.shape[1:3]
    box = tuple(min(share, 1.0) * side for share, side in zip(view.box, (width, height) * 2, strict=True))
    places = {number: place for place, number in enumerate(video.indices)}
    small: dict[int, np.ndarray] = {}
    for number in sorted({*view.indices, *(number for pair in view.around for number in pair)}):  # short ones repeat
        image = Image.fromarray(video.images[places[number]])
        small[number] = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=box))
    around = view.around or ((),) * len(view.indices)
    images = np.stack(
        [
            images_of(small[number], *(small[other] for other in others), is_brightened=view.is_brightened)
            for number, others in zip(view.indices, around, strict=True)
        ]
    )
    return images[:, :, :, ::-1] if view.is_mirrored else images


def images_of(frame: NDArray[np.uint8], *around: NDArray[np.uint8], is_brightened: bool) -> NDArray[np.uint8]:
    """What is mapped of a frame.

    Args:
        frame: (size, size, 3) uint8, as it is
        around: the frames before and after it, where motion is shown; else none
        is_brightened: whether a dark frame is, and those around it as much

    Returns:
        (I, size, size, 3) uint8: the frame, and its difference image where motion is shown
    """
    gain = gain_of(frame) if is_brightened else 1.0
    images = [brightened(frame, gain)]
    if around:
        before, after = (brightened(other, gain) for other in around)
        images.append(difference_image(before, after))
    return np.stack(images)


def difference_image(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Show how a frame becomes another: grey (128) where nothing moves, twice the difference of the values elsewhere.

    Args:
        before, after: (..., 3) uint8

    Returns:
        as they are, cut to 0 to 255
    """
    difference = after.astype(np.int16) - before
    shown: NDArray[np.uint8] = np.clip(GREY + CONTRAST * difference, 0, 255).astype(np.uint8)
    return shown
