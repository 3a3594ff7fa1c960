"""Clips that say nothing are told by their frames."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hcl.classify.selftest.findings import SAME_COURSE
from hcl.classify.selftest.looks import Look, look_at, look_at_files, readable_files
from hcl.extract.config import ExtractConfig
from hcl.extract.decoding.worker import DecodeTask


def scene(
    frames: int = 8, *, moves: bool = True, light: float = 1.0, contrast: float = 1.0, noise: float = 0.0
) -> np.ndarray:
    picture = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.float64)
    picture = (128 + contrast * (picture - 128)) * light
    shown = np.stack([np.roll(picture, 3 * number * moves, axis=1) for number in range(frames)])
    noisy = shown + np.random.default_rng(1).normal(0, noise, shown.shape)
    return noisy.clip(0, 255).round().astype(np.uint8)


@pytest.mark.parametrize(
    ("images", "frames", "reason"),
    [
        (scene(), 30, ""),
        (scene(moves=False), 30, "still"),
        (scene(light=0.05), 30, ""),  # it is brightened
        (scene(light=0.05, noise=0.5), 30, ""),
        (scene(light=0.05, moves=False, noise=0.15), 30, "still"),
        (scene(light=0.07, contrast=0.01, noise=1.0), 30, "blank"),  # a lens that is covered
        (scene(light=0.015), 30, "black"),
        (scene(contrast=0.01), 30, "blank"),
        (scene(), 5, "too short: 5 frames, 8 are taken of each clip"),
        (scene(1), 1, "too short: 1 frames"),
    ],
)
def test_what_says_nothing_is_named_and_nothing_else(images: np.ndarray, frames: int, reason: str) -> None:
    found = look_at(images, frames, is_brightened=True).problems(8)
    assert len(found) == bool(reason) and all(line.startswith(reason) for line in found)


def test_of_a_clip_that_is_not_brightened_as_much_is_asked_as_of_any() -> None:
    (found,) = look_at(scene(light=0.05), 30, is_brightened=False).problems(8)
    assert found.startswith("black: its bright parts reach 1")


def test_a_small_thing_that_moves_is_movement() -> None:
    images = np.full((8, 64, 64, 3), 90, np.uint8)
    images[:, :32] += 60  # a picture, not a blank
    for number in range(8):
        images[number, 40:44, 4 * number : 4 * number + 4] = 250
    assert look_at(images, 40, is_brightened=False).problems(8) == ()


def test_measures_are_grey_levels() -> None:
    images = np.zeros((2, 32, 32, 3), np.uint8)
    images[1] = 100
    assert look_at(images, 2, is_brightened=False) == Look(2, 100.0, 0.0, 100.0)


def test_files_are_looked_at_in_their_order(tmp_path: Path, write_video: Callable[..., Path]) -> None:
    files = [write_video(tmp_path / "a.mp4", frames=12), tmp_path / "broken.mp4", write_video(tmp_path / "b.mp4")]
    files[1].write_bytes(b"no video")
    looks = list(look_at_files(files, DecodeTask.of(ExtractConfig(size=32, views=1, motion="none")), workers=1))
    assert [look and look.frame_count for look in looks] == [12, None, 10]
    assert list(readable_files((str(files[0]), "", str(tmp_path / "gone.mp4"), str(files[2])))) == [0, 3]


def test_files_of_one_clip_have_one_course_and_takes_of_one_scene_have_not() -> None:
    def course(seed: int, noise: float = 0.0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        place = rng.integers(0, 48, (8, 2))
        images = np.full((8, 64, 64, 3), 90, np.float64)
        images[:, :32] += 60  # what all takes share
        for number, (row, column) in enumerate(place):
            images[number, row : row + 16, column : column + 16] = 220
        images += noise * np.random.default_rng(9).normal(size=images.shape)
        return look_at(images.clip(0, 255).astype(np.uint8), 8, is_brightened=True).course

    def cosine(one: np.ndarray, other: np.ndarray) -> float:
        return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))

    assert cosine(course(0), course(0, noise=8)) > SAME_COURSE > 0.8 > cosine(course(0), course(1))
