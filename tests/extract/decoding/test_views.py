"""Views: frames from every segment, crops that fit, the same whenever they are drawn, read in one pass."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hcl.extract.config import CROPS
from hcl.extract.decoding.crops import moving_region, within
from hcl.extract.decoding.source import read_source
from hcl.extract.decoding.views import View, ViewChoice, difference_image, draw_views, frames_around, view_images
from hcl.extract.decoding.worker import Decoded, DecodeTask, decode_video
from hcl.extract.video.frames import VideoFrames, middle_frames
from hcl.extract.video.reading import read_frames

CONTENT = hashlib.sha256(b"a video").hexdigest()


@given(st.integers(1, 12), st.integers(1, 400), st.integers(0, 2**32), st.integers(2, 5))
def test_views_are_what_is_documented(frames: int, count: int, seed: int, views: int) -> None:
    choice = ViewChoice(views=views, seed=seed, crops="random")
    canonical, *others = draw_views(choice, frames=frames, frame_count=count, content=CONTENT)
    assert canonical == View(middle_frames(count, frames)) and len(others) == views - 1
    for view in others:
        for number, index in enumerate(view.indices):
            start = number * count // frames
            assert start <= index < max(start + 1, (number + 1) * count // frames) <= count
        left, top, right, bottom = view.box
        width, height = right - left, bottom - top
        assert 0 <= left < right <= 1 + 1e-12 and 0 <= top < bottom <= 1 + 1e-12
        assert 0.5 - 1e-9 <= width * height <= 1 and 0.75 - 1e-9 <= width / height <= 4 / 3 + 1e-9
        assert not view.is_mirrored and not view.follows
    moving = draw_views(replace(choice, crops="moving"), frames=frames, frame_count=count, content=CONTENT)
    assert moving[0] == canonical
    for view, other in zip(moving[1:], others, strict=True):
        assert view == replace(other, follows=frames_around(canonical.indices, count))


@pytest.mark.parametrize("crops", CROPS)
def test_a_view_depends_on_seed_number_and_content_alone(crops: str) -> None:
    def drawn(seed: int = 0, views: int = 4, content: str = CONTENT) -> list[View]:
        return draw_views(ViewChoice(views=views, seed=seed, crops=crops), frames=8, frame_count=100, content=content)

    assert drawn() == drawn() and drawn(views=2) == drawn()[:2]
    assert len(set(drawn())) == 4
    assert drawn(seed=1)[1] != drawn()[1] and drawn(content="ab12")[1] != drawn()[1]


def test_flips_change_nothing_else_and_are_about_half() -> None:
    plain = draw_views(ViewChoice(views=200), frames=2, frame_count=9, content=CONTENT)
    flipped = draw_views(ViewChoice(views=200, flip=True), frames=2, frame_count=9, content=CONTENT)
    assert [(view.indices, view.box) for view in plain] == [(view.indices, view.box) for view in flipped]
    assert not flipped[0].is_mirrored and 70 < sum(view.is_mirrored for view in flipped) < 130


def test_a_view_shows_its_part_of_the_frames() -> None:
    """A ramp that grows by one a pixel tells where a crop was taken."""
    image = np.zeros((100, 200, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(200), np.arange(100)[:, None]
    video = VideoFrames(np.stack([image, 255 - image]), (3, 7), 10, "pyav")
    view = View((7, 3, 3), (0.25, 0.5, 0.75, 1.0))
    images = view_images(video, view, 32)[:, 0]
    assert images.shape == (3, 32, 32, 3)
    centres = (np.arange(32) + 0.5) / 32
    np.testing.assert_allclose(images[1, 5, :, 0], 50 + 100 * centres - 0.5, atol=1)
    np.testing.assert_allclose(images[1, :, 5, 1], 50 + 50 * centres - 0.5, atol=1)
    np.testing.assert_array_equal(images[1], images[2])
    np.testing.assert_allclose(images[0, ..., :2], 255.0 - images[1, ..., :2], atol=1)
    mirrored = View(view.indices, view.box, is_mirrored=True)
    np.testing.assert_array_equal(view_images(video, mirrored, 32)[:, 0], images[:, :, ::-1])


@pytest.mark.parametrize("crops", CROPS)
@pytest.mark.parametrize("motion", ["none", "rgbdiff"])
@pytest.mark.parametrize("frames", [1, 3, 60])
def test_all_views_are_read_at_once_and_the_first_is_as_alone(
    tmp_path: Path, write_video: Any, frames: int, motion: str, crops: str
) -> None:
    path = write_video(tmp_path / "video.mp4", frames=frames)
    source = read_source(path)
    several = ViewChoice(views=3, seed=5, flip=True, motion=motion, crops=crops, is_brightened=True)
    task = {"frames": 8, "size": 64, "decoder": "auto", "mib_per_video": 1000}
    result = decode_video(0, path, DecodeTask(**task, views=several), source).result
    alone = decode_video(0, path, DecodeTask(**task, views=ViewChoice(motion=motion)), source).result
    assert isinstance(result, Decoded) and isinstance(alone, Decoded)
    np.testing.assert_array_equal(result.images[:1], alone.images)
    every = read_frames(path, frames).images  # as many segments as frames: all of them
    for view, images in zip(
        draw_views(several, frames=8, frame_count=frames, content=source.content), result.images, strict=True
    ):
        sides, box = np.array([every.shape[2], every.shape[1]] * 2), view.box
        if view.follows:
            before, after = (every[[pair[end] for pair in view.follows]] for end in (0, 1))
            box = within(moving_region(before, after, is_brightened=True), box)
        small = [
            np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BILINEAR, box=tuple(box * sides)))
            for image in every
        ]
        small = [image[:, ::-1] if view.is_mirrored else image for image in small]
        for place, (index, shown) in enumerate(zip(view.indices, images, strict=True)):
            np.testing.assert_array_equal(shown[0], small[index])
            assert len(shown) == (2 if motion == "rgbdiff" else 1)
            if motion == "rgbdiff":
                before, after = view.around[place]
                np.testing.assert_array_equal(shown[1], difference_by_loop(small[before], small[after]))


def difference_by_loop(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    values = [128 + 2 * (int(new) - int(old)) for old, new in zip(before.ravel(), after.ravel(), strict=True)]
    return np.array([min(255, max(0, value)) for value in values]).reshape(before.shape)


@given(st.integers(1, 12), st.integers(1, 400), st.integers(0, 2**32))
def test_the_frames_around_are_a_quarter_of_a_segment_away(frames: int, count: int, seed: int) -> None:
    choice = ViewChoice(views=3, seed=seed, motion="rgbdiff")
    views = draw_views(choice, frames=frames, frame_count=count, content=CONTENT)
    plain = draw_views(ViewChoice(views=3, seed=seed), frames=frames, frame_count=count, content=CONTENT)
    assert [(view.indices, view.box) for view in views] == [(view.indices, view.box) for view in plain]
    assert not any(view.around for view in plain)
    for view in views:
        for index, (before, after) in zip(view.indices, view.around, strict=True):
            assert 0 <= before <= index <= after < count
            assert before < after or count == 1
            step = max(1, round(count / frames / 4))
            assert (index - before, after - index) == (min(step, index), min(step, count - 1 - index))
            assert view.numbers >= {before, index, after}


def test_difference_images_show_what_moves_and_in_which_direction() -> None:
    still, lit = np.full((4, 4, 3), 100, np.uint8), np.full((4, 4, 3), 100, np.uint8)
    lit[1, 2] = 130
    difference = difference_image(still, lit)
    assert difference.dtype == np.uint8 and difference[1, 2].tolist() == [188] * 3
    assert difference_image(lit, still)[1, 2].tolist() == [68] * 3
    assert (np.delete(difference.reshape(-1, 3), 6, axis=0) == 128).all()
    black, white = np.zeros_like(still), np.full_like(still, 255)
    assert (difference_image(black, white) == 255).all() and (difference_image(white, black) == 0).all()
