"""Colours as the file's tags say: the matrix, the range and the subsampling, against the standards' own equations."""

from pathlib import Path

import av
import numpy as np
import pytest

from hcl.extract.video.decord_reader import decord_module
from hcl.extract.video.reading import read_frames

# Kr and Kb of the standard, and its number in the bitstream (ITU-T H.273).
STANDARDS = {"bt601": (0.299, 0.114, 6), "bt709": (0.2126, 0.0722, 1), "bt2020": (0.2627, 0.0593, 9)}
LIMITED, FULL = 1, 2
SIDE = 32  # of a patch of one colour: its middle is far from the next one
PATCHES = np.array(
    [[200, 40, 40], [40, 200, 40], [40, 40, 200], [230, 220, 60], [128, 128, 128], [20, 200, 210], [250, 250, 250]]
)


def components(rgb: np.ndarray, standard: str, colour_range: int) -> np.ndarray:
    """Y, Cb and Cr (3, patches) of colours (patches, 3), by the definition."""
    kr, kb, _ = STANDARDS[standard]
    red, green, blue = rgb.T / 255
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = [(blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))]
    if colour_range == FULL:
        return np.stack([255 * luma, *(128 + 255 * part for part in chroma)])
    return np.stack([16 + 219 * luma, *(128 + 224 * part for part in chroma)])


def encode_patches(path: Path, codec: str, standard: str, colour_range: int, pixels: str) -> Path:
    """Write the patches, side by side, without loss and with the tags of their standard."""
    values = components(PATCHES, standard, colour_range).round().astype(np.uint8)
    number = STANDARDS[standard][2]
    options = {
        "libx264": {"qp": "0"},
        "libx265": {"x265-params": "lossless=1:log-level=none:pools=1"},
        "libvpx-vp9": {"lossless": "1"},
    }[codec]
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = SIDE * len(PATCHES), SIDE, pixels
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = number
        context.color_range = colour_range
        frame = av.VideoFrame(stream.width, stream.height, pixels)
        frame.colorspace, frame.color_range = number, colour_range
        for plane, row in zip(frame.planes, values, strict=True):
            lines = np.zeros((plane.height, plane.line_size), np.uint8)
            lines[:, : plane.width] = np.repeat(row, plane.width // len(PATCHES))
            plane.update(lines.tobytes())
        for frame.pts in range(3):  # x265 gives a single frame no time
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("decoder", ["auto", "pyav", "decord"])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize("colour_range", [LIMITED, FULL], ids=["limited", "full"])
@pytest.mark.parametrize("standard", STANDARDS)
@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9"])
def test_colours_follow_the_tags(
    tmp_path: Path, codec: str, standard: str, colour_range: int, pixels: str, decoder: str
) -> None:
    if decoder == "decord" and decord_module() is None:
        pytest.skip("decord has no build for this machine")
    path = encode_patches(tmp_path / "patches.mp4", codec, standard, colour_range, pixels)
    video = read_frames(path, 1, decoder=decoder)
    middles = video.images[0, SIDE // 2, SIDE // 2 :: SIDE]
    # Rounding to 8 bits twice and libswscale's table arithmetic; another matrix or range is off by 10 to 40.
    np.testing.assert_allclose(middles, PATCHES, atol=3)
