"""The things of the demo set fit into their pictures."""

import numpy as np
import pytest

from hcl.extract.demo.shapes import THINGS, draw_thing, paint


@pytest.mark.parametrize("thing", THINGS)
def test_things_fit_into_their_pictures_when_turned(thing: str) -> None:
    picture = np.asarray(draw_thing(thing, paint(0.3), 0.5))
    across, down = np.meshgrid(np.linspace(-1, 1, picture.shape[1]), np.linspace(-1, 1, picture.shape[0]))
    assert picture[..., 3].max() == 255
    assert picture[..., 3][np.hypot(across, down) > 1.2].max() == 0
