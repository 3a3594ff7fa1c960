"""Crops around what moves: as a loop finds it, within the frame, on what moves and not on noise."""

import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcl.extract.decoding.crops import WHOLE, Box, draw_box, moving_region, within

shares = st.floats(0, 1)


def scene(frames: int = 8, *, side: int = 64, noise: int = 0, seed: int = 0) -> np.ndarray:
    """Frames of a still picture with a little noise."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(60, 180, (side, side, 3))
    return np.clip(picture + rng.integers(-noise, noise + 1, (frames, side, side, 3)), 0, 255).astype(np.uint8)


def with_square(images: np.ndarray, x: float, y: float, *, moved: float = 0.05, size: float = 0.1) -> np.ndarray:
    """Draw a white square that moves to the right by a share of the width a frame."""
    drawn, side = images.copy(), images.shape[1]
    for number, image in enumerate(drawn):
        left, top, width = (round(share * side) for share in (x + number * moved, y, size))
        image[top : top + width, left : left + width] = 255
    return drawn


def region_by_loop(before: np.ndarray, after: np.ndarray, gain: float = 1.0) -> Box:
    """The region, pixel by pixel; frames of 64 x 64 grey pixels, which nothing shrinks, multiplied by a factor."""
    energy = [[0.0] * 64 for _ in range(64)]
    for old, new in zip(before, after, strict=True):
        for y, x in itertools.product(range(64), range(64)):
            energy[y][x] += gain * abs(float(new[y, x, 0]) - float(old[y, x, 0])) / len(before)
    noise = 2 * statistics.median(value for line in energy for value in line) + 1
    energy = [[max(0.0, value - noise) for value in line] for line in energy]
    spans = []
    for line in ([sum(column) for column in zip(*energy, strict=True)], [sum(row) for row in energy]):
        total, ends = sum(line), []
        if total == 0:
            return WHOLE
        for share in (0.04, 0.96):
            passed = 0.0
            for place, value in enumerate(line):
                if value and passed + value >= share * total:
                    ends.append((place + (share * total - passed) / value) / 64)
                    break
                passed += value
        spans.append(ends)
    sides = [1.4 * (stop - start) for start, stop in spans]
    width, height = max(sides[0], 0.4, 0.75 * sides[1]), max(sides[1], 0.4, 0.75 * sides[0])
    found = []
    for (start, stop), side in zip(spans, (width, height), strict=True):
        cut = min(side, 1.0)
        first = (start + stop) / 2 - cut / 2
        first = 0.0 if first < 0 else 1 - cut if first + cut > 1 else first
        found.append((first, first + cut))
    return found[0][0], found[1][0], found[0][1], found[1][1]


@pytest.mark.parametrize("seed", range(6))
def test_the_region_equals_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grey = np.repeat(scene(noise=seed, seed=seed)[..., :1], 3, axis=3)
    grey = with_square(grey, *rng.uniform(0, 0.5, 2), size=rng.uniform(0.05, 0.4))
    pairs = grey[:-1], grey[1:]
    assert moving_region(*pairs, is_brightened=False) == pytest.approx(region_by_loop(*pairs), abs=1e-5)
    assert moving_region(*pairs, is_brightened=True) == moving_region(*pairs, is_brightened=False)  # it is light
    dark = [images // by for images, by in zip(pairs, (12, 15), strict=True)]
    gain = 96 / np.percentile(dark[0][..., 0], 95)
    expected = pytest.approx(region_by_loop(*dark, gain=gain), abs=1e-5)
    assert gain > 4 and moving_region(*dark, is_brightened=True) == expected


@pytest.mark.parametrize("side", [64, 200, 700])
@pytest.mark.parametrize(("x", "y"), [(0.1, 0.1), (0.3, 0.7), (0.5, 0.4)])
def test_the_region_holds_what_moves_and_not_much_more(side: int, x: float, y: float) -> None:
    images = with_square(scene(side=side, noise=3), x, y)
    left, top, right, bottom = moving_region(images[:-1], images[1:], is_brightened=False)
    assert left <= x + 0.02 and right >= x + 7 * 0.05 + 0.08  # all its places but for 4 % of what it moved
    assert top <= y + 0.01 and bottom >= y + 0.09
    assert (right - left) * (bottom - top) < 0.45 and right - left < 0.75


def test_nothing_moves_means_the_whole_frame() -> None:
    still = scene()
    assert moving_region(still, still, is_brightened=False) == WHOLE
    assert moving_region(still[:1], still[:1], is_brightened=False) == WHOLE
    noisy = scene(noise=2)
    left, top, right, bottom = moving_region(noisy[:-1], noisy[1:], is_brightened=False)
    assert right - left > 0.8 and bottom - top > 0.8  # noise is everywhere alike


def test_a_moving_camera_shows_nearly_the_whole_frame() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    images = np.stack([np.roll(picture, 3 * number, axis=1) for number in range(8)])
    left, top, right, bottom = moving_region(images[:-1], images[1:], is_brightened=False)
    assert (right - left) * (bottom - top) > 0.8


@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(2, 40), st.integers(2, 40))
def test_a_region_lies_in_the_frame_and_is_not_too_small(seed: int, frames: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    before, after = rng.integers(0, 2, (2, frames, height, width, 1)) * 255 * (rng.random((height, width, 1)) < 0.2)
    pair = (np.repeat(images, 3, axis=3).astype(np.uint8) for images in (before, after))
    left, top, right, bottom = moving_region(*pair, is_brightened=False)
    wide, high = right - left, bottom - top
    assert 0 <= left < right <= 1 + 1e-12 and 0 <= top < bottom <= 1 + 1e-12
    assert min(wide, high) >= 0.4 - 1e-9
    assert wide >= 0.75 * high - 1e-9 and high >= 0.75 * wide - 1e-9


@given(st.tuples(shares, shares, shares, shares), st.integers(0, 2**32))
def test_a_crop_of_a_region_lies_in_it(numbers: tuple[float, ...], seed: int) -> None:
    x, y = sorted((numbers[0], numbers[1])), sorted((numbers[2], numbers[3]))
    region, crop = (x[0], y[0], x[1], y[1]), draw_box(np.random.default_rng(seed))
    assert within(region, WHOLE) == pytest.approx(region)
    assert within(WHOLE, crop) == crop
    placed = within(region, crop)
    for axis in (0, 1):
        side = region[axis + 2] - region[axis]
        assert region[axis] - 1e-12 <= placed[axis] <= placed[axis + 2] <= region[axis + 2] + 1e-12
        assert placed[axis + 2] - placed[axis] == pytest.approx(side * (crop[axis + 2] - crop[axis]), abs=1e-12)
