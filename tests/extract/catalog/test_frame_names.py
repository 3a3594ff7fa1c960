"""The frames of a folder of images come in the order of their numbers, or the folder is refused with the remedy."""

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcl.extract.catalog.frame_names import _in_order, frame_images
from hcl.extract.system.errors import VideoError


def ordered(names: str) -> str:
    paths = [Path(name) for name in names.split()]
    shuffled = [paths[place] for place in np.random.default_rng(0).permutation(len(paths))]
    return " ".join(path.name for path in _in_order(shuffled))


@pytest.mark.parametrize(
    "names",
    [
        "1.jpg 2.jpg 9.jpg 10.jpg 11.jpg 100.jpg",
        "frame2.jpg frame10.jpg",
        "0001.png 0002.PNG 0003.png",
        "0.5.jpg 1.25.jpg 1.5.jpg 10.0.jpg",
        "t_0.0.jpg t_0.04.jpg t_0.12.jpg t_0.4.jpg t_1.0.jpg",
        "shot2.0001.jpg shot2.0002.jpg shot2.0010.jpg",
        "v_g01_c02_0009.jpg v_g01_c02_0010.jpg",
        "7_0.28.jpg 8_0.32.jpg 10_0.40.jpg",
        "0.jpg 0.5.jpg 1.jpg 1.5.jpg",
        "00000000000000000000001.jpg 00000000000000000000010.jpg",
    ],
)
def test_frames_come_in_the_order_of_their_numbers(names: str) -> None:
    assert ordered(names) == names


@given(st.sets(st.integers(0, 10**6), min_size=2, max_size=30), st.sampled_from(["{}", "img_{:05d}", "f{}_x"]))
def test_whole_numbers_are_ordered_by_value(numbers: set[int], form: str) -> None:
    names = [f"{form.format(number)}.jpg" for number in sorted(numbers)]
    assert ordered(" ".join(names)).split() == names


@given(st.sets(st.integers(0, 400), min_size=2, max_size=30))
def test_times_are_ordered_by_value_or_refused(steps: set[int]) -> None:
    times = [str(Decimal(step) / 40) for step in sorted(steps)]
    try:
        found = ordered(" ".join(f"{time}.jpg" for time in times)).split()
    except VideoError as refused:
        assert re.search("unclear", str(refused))  # all within one second
        assert len({time.split(".")[0] for time in times if "." in time}) == 1
    else:
        assert found == [f"{time}.jpg" for time in times]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("img_1.jpg img_2.jpg flow_x_1.jpg", r"several kinds of names, img_\* \(2\), flow_x_\* \(1\).*--frame-names"),
        ("00001.jpg 00002.jpg thumb.jpg", r"several kinds of names, \* \(2\), thumb \(1\)"),
        ("first.jpg second.jpg", "several kinds of names"),
        ("a.jpg b.jpg c.jpg d.jpg e.jpg f.jpg", "and 2 more: choose one"),
        ("1.jpg 01.jpg", "01.jpg and 1.jpg are the same frame"),
        ("1.jpg 1.png 2.jpg", "1.jpg and 1.png are the same frame; keep one of them"),
        ("cam1_1.jpg cam1_2.jpg cam2_1.jpg", r"several numbers count its images \(cam1_2.jpg, then cam2_1.jpg\?\)"),
        ("1.9.jpg 1.10.jpg", "order of its images is unclear: does 1.9 come before 1.10"),
        ("1.9.jpg 1.10.jpg 2.1.jpg 2.2.jpg", "unclear"),
        ("shot2.1.jpg shot2.9.jpg shot2.11.jpg", "unclear"),
    ],
)
def test_names_of_several_orders_or_none_are_refused(names: str, message: str) -> None:
    with pytest.raises(VideoError, match=message):
        ordered(names)


def test_a_pattern_chooses_the_frames(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path, *(f"{kind}_{number}.jpg" for kind in ("img", "flow_x", "flow_y") for number in (9, 10)))
    assert [path.name for path in frame_images(tmp_path, "img_*")] == ["img_9.jpg", "img_10.jpg"]
    with pytest.raises(VideoError, match=r"no image of the folder is named rgb_\*; they are named flow_x_\* \(2\)"):
        frame_images(tmp_path, "rgb_*")


def test_one_image_needs_no_number(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path, "only.webp", ".hidden.jpg", "notes.txt")
    assert [path.name for path in frame_images(tmp_path)] == ["only.webp"]
