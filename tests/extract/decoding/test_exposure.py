"""Dark frames are brightened as far as needed, and nothing else is changed."""

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hcl.extract.config import ExtractConfig
from hcl.extract.decoding.exposure import brightened, gain_of
from hcl.extract.decoding.source import Source
from hcl.extract.decoding.views import images_of
from hcl.extract.decoding.worker import Decoded, DecodeTask, decode_video


def picture(light: float = 1.0, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 256, (20, 30, 3))
    return np.asarray(values * light).astype(np.uint8)


def gain_by_loop(image: np.ndarray) -> float:
    brightness = sorted(max(int(value) for value in pixel) for pixel in image.reshape(-1, 3))
    place = 0.95 * (len(brightness) - 1)
    low = int(place)
    high = brightness[low] + (place - low) * (brightness[min(low + 1, len(brightness) - 1)] - brightness[low])
    return min(16.0, max(1.0, 96 / max(high, 1)))


@given(st.floats(0, 1), st.integers(0, 99))
def test_the_factor_and_the_frame_equal_a_loop(light: float, seed: int) -> None:
    image = picture(light, seed)
    gain = gain_of(image)
    assert gain == pytest.approx(gain_by_loop(image))
    expected = [min(255, round(gain * int(value))) for value in image.ravel()]
    np.testing.assert_array_equal(brightened(image, gain).ravel(), expected)


@given(st.floats(0.05, 1), st.integers(0, 99))
def test_a_frame_is_bright_enough_afterwards_and_never_darker(light: float, seed: int) -> None:
    image = picture(light, seed)
    shown = brightened(image, gain_of(image))
    assert (shown >= image).all()
    assert gain_of(shown) == pytest.approx(1, abs=0.02)


def test_bright_frames_stay_and_black_ones_are_brightened_by_16_at_most() -> None:
    image = picture()
    assert gain_of(image) == 1 and brightened(image, 1.0) is image
    few = np.zeros((20, 20, 3), np.uint8)
    few[0, :10] = 255  # a lamp: fewer than a twentieth of the pixels
    assert gain_of(few) == 16 and gain_of(np.zeros_like(few)) == 16
    assert (brightened(np.full_like(few, 2), 16.0) == 32).all()
    few[1] = 255
    assert gain_of(few) == 1


def test_a_coloured_light_is_light() -> None:
    red = np.zeros((20, 20, 3), np.uint8)
    red[..., 0] = 200
    assert gain_of(red) == 1


def test_the_frames_around_are_brightened_as_much_as_the_frame() -> None:
    frame, before, after = (picture(0.1, seed) for seed in range(3))
    after = np.minimum(after, 10)  # which would be brightened more alone
    shown, difference = images_of(frame, before, after, is_brightened=True)
    gain = gain_of(frame)
    assert gain > 3 and gain != gain_of(after)
    np.testing.assert_array_equal(shown, brightened(frame, gain))
    expected = 128 + 2 * (brightened(after, gain).astype(int) - brightened(before, gain))
    np.testing.assert_array_equal(difference, expected.clip(0, 255))
    np.testing.assert_array_equal(images_of(frame, is_brightened=False), frame[None])


def write(path: Path, light: float) -> Path:
    """An encoded video of a smooth picture that moves to the right, in some light."""
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8))
    smooth = light * np.asarray(small.resize((64, 48), Image.Resampling.BICUBIC))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 48, "yuv420p", 2_000_000
        for number in range(16):
            frame = np.roll(smooth, 3 * number, axis=1).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_a_dark_video_is_shown_nearly_as_the_same_video_in_light(tmp_path: Path) -> None:
    light, dark = write(tmp_path / "light.mp4", 0.6), write(tmp_path / "dark.mp4", 0.1)

    def shown(path: Path, exposure: str) -> np.ndarray:
        task = DecodeTask.of(ExtractConfig(frames=4, size=32, exposure=exposure))  # of two views, with what moves
        result = decode_video(0, path, task, Source()).result
        assert isinstance(result, Decoded)
        return result.images.astype(np.float64)

    def distance(exposure: str) -> np.ndarray:
        return np.asarray(np.abs(shown(dark, exposure) - shown(light, "none")).mean(axis=(1, 3, 4, 5)))  # views, images

    np.testing.assert_array_equal(shown(light, "auto"), shown(light, "none"))
    assert (distance("auto") < 0.6 * distance("none")).all()
