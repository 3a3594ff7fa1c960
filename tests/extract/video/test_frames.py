"""Which frames stand for a video."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from hcl.extract.video.frames import middle_frames


@given(st.integers(1, 10**12), st.integers(1, 300))
def test_middle_frames_are_the_middles(count: int, frames: int) -> None:
    middles = [(Fraction(i) + Fraction(1, 2)) * count / frames for i in range(frames)]
    assert middle_frames(count, frames) == tuple(int(middle) for middle in middles)
