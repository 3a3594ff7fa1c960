"""What stands in front tells nothing of the class, but for the hand that pushes."""

import numpy as np
import pytest

from hcl.extract.demo.foreground import SIZES, draw_layout
from hcl.extract.demo.motions import MOTIONS


def test_layout_is_drawn_alike_for_every_motion_but_the_pushing_hand() -> None:
    for seed in range(20):
        layouts = {motion: draw_layout(motion, np.random.default_rng(seed)) for motion in MOTIONS}
        assert layouts.pop("push left").side == "right"
        assert layouts.pop("push right").side == "left"
        assert len(set(layouts.values())) == 1
        layout = layouts["open"]
        assert (layout.width, layout.height) in SIZES
        assert [layout.time(0), layout.time(layout.frames - 1)] == pytest.approx([0, 1], abs=0.1)
