"""Frames as pictures: of the right file alone, in their shape, and small."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hcl.classify.pages.pictures import (
    BOX,
    GONE,
    MOST_FRAMES,
    Strip,
    data_uri,
    find_folder,
    fitting_size,
    read_strips,
    shown_frames,
)
from hcl.match.store.embedding_store import EmbeddingStore, open_store


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))))


@pytest.mark.parametrize(("height", "width"), [(480, 640), (1920, 1080), (1, 5000), (48, 64)])
def test_a_picture_fits_and_keeps_its_shape(height: int, width: int) -> None:
    wide, high = fitting_size(height, width)
    assert wide <= BOX[0] and high <= BOX[1] and min(wide, high) >= 1
    assert abs(wide * height - high * width) <= max(height, width)  # but for rounding


@pytest.mark.parametrize("largest", [12_000, 3_000, 1_500])
def test_a_picture_of_noise_becomes_coarser_until_it_is_small(largest: int) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (192, 192, 3), dtype=np.uint8)
    uri = data_uri(noise, (90, 120), largest)
    assert len(base64.b64decode(uri.partition(",")[2])) <= largest
    assert decoded(uri).height / decoded(uri).width == pytest.approx(4 / 3, rel=0.05)


def test_a_picture_shows_what_it_is_of() -> None:
    image = np.zeros((192, 192, 3), np.uint8)
    image[:, 96:] = (255, 0, 0)
    shown = np.asarray(decoded(data_uri(image, (90, 90))).convert("RGB")).astype(int)
    assert shown[:, -20:, 0].min() > 200 and shown[:, :20].max() < 60


def test_many_frames_are_thinned_evenly() -> None:
    assert shown_frames(3) == (0, 1, 2)
    chosen = shown_frames(32)
    assert len(chosen) == MOST_FRAMES and set(np.diff(chosen)) == {4}


@pytest.fixture(scope="module")
def store(hostile_run: Path) -> EmbeddingStore:
    return open_store(hostile_run)


def test_videos_are_found_beside_the_cache_and_read(store: EmbeddingStore, hostile_run: Path) -> None:
    assert find_folder(store, [0, 1]) == hostile_run.parent / "videos"
    strips = read_strips(store, [0, 1], frames=4, folder=None)
    assert [strip.problem for strip in strips.values()] == ["", ""]
    assert strips[0].frames == (0, 1, 2, 3) and strips[0].size == (90, 68)  # of 64 x 48
    assert len(strips[0].pictures) == 4 and strips[0].pictures != strips[1].pictures


def test_another_file_in_the_place_of_a_video_is_not_shown(
    store: EmbeddingStore, hostile_run: Path, tmp_path: Path
) -> None:
    """Nor is a file without end, or one that is no video."""
    paths = [tmp_path / store.videos.path[row] for row in (0, 1)]
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    paths[0].write_bytes((hostile_run.parent / "videos" / store.videos.path[3]).read_bytes())
    paths[1].parent.mkdir(parents=True, exist_ok=True)
    paths[1].write_text("no video")
    strips = read_strips(store, [0, 1, 2], frames=4, folder=tmp_path)
    assert not any(strip.pictures for strip in strips.values())
    assert "its SHA-256 is not the recorded one" in strips[0].problem
    assert strips[1].problem.startswith("the video cannot be read: ")
    assert strips[2] == Strip(problem=GONE)
