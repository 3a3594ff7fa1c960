"""The grounds of the demo set follow from their place and generator."""

import numpy as np
import pytest

from hcl.extract.demo.backgrounds import PLACES, draw_ground


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_grounds_of_a_place_differ_in_detail(place: object) -> None:
    one, same, other = (np.asarray(draw_ground(place, 90, 70, np.random.default_rng(seed))) for seed in (0, 0, 1))
    assert one.shape == (70, 90, 3)
    assert (one == same).all()
    assert (one != other).any()
    assert one.std() > 3
