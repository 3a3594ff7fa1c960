"""Maps as bytes: the error is at most half a step, zeros stay, and negative values are no different."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hcl.extract.cache.quantisation import quantise, relative_error, restore
from hcl.extract.system.errors import InputError


def restored(maps: np.ndarray) -> np.ndarray:
    out = np.empty_like(maps)
    restore(*quantise(maps), out)
    return out


@given(arrays(np.float16, (2, 3, 4), elements=st.floats(-60000, 60000, width=16)))
def test_no_value_is_further_than_half_a_step(maps: np.ndarray) -> None:
    exact, found = maps.astype(float), restored(maps).astype(float)
    step = (exact.max(axis=(0, 1)) - exact.min(axis=(0, 1))) / 255
    rounding = np.abs(exact) * 2**-10 + 2**-24  # of float16
    assert (np.abs(found - exact) <= step / 2 + 1e-4 * step + rounding).all()


def test_zeros_behind_a_relu_stay_zeros() -> None:
    rng = np.random.default_rng(0)
    maps = np.maximum(rng.normal(size=(8, 5, 16)), 0).astype(np.float16)
    maps[..., 3] = 0
    codes, scales = quantise(maps)
    assert codes.dtype == np.uint8 and codes.shape == maps.shape and scales.shape == (2, 16)
    assert (scales[0] == 0).all() and (restored(maps)[maps == 0] == 0).all()


def test_constant_channels_are_exact() -> None:
    maps = np.broadcast_to(np.array([-3.5, 0, 7.25], np.float16), (2, 4, 3))
    np.testing.assert_array_equal(restored(maps.copy()), maps)


def test_the_error_is_relative_to_the_length() -> None:
    maps = np.array([[[3.0, 4.0]]], np.float16)
    assert relative_error(maps, maps) == 0
    assert relative_error(maps, maps + np.float16(1)) == pytest.approx(np.sqrt(2) / 5)
    assert relative_error(0 * maps, 0 * maps) == 0


def test_infinite_maps_are_refused() -> None:
    with pytest.raises(InputError, match="use --cache-dtype float16"):
        quantise(np.full((1, 1, 1), np.inf, np.float16))
