"""The settings of an extraction check themselves."""

from typing import Any

import pytest

from hcl.extract.config import ExtractConfig
from hcl.extract.system.errors import InputError


def test_flips_without_further_views_are_refused() -> None:
    with pytest.raises(InputError, match="give --views 2 or more"):
        ExtractConfig(flip=True, views=1)
    assert ExtractConfig(flip=True, views=2).flip


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"frames": 0}, "--frames must be at least 1, got 0"),
        ({"size": 31}, "--size must be at least 32, got 31"),
        ({"workers": -1}, "--workers must be at least 0, got -1"),
        ({"views": 0}, "--views must be at least 1, got 0"),
        ({"split_seed": -1}, "--split-seed must be at least 0, got -1"),
        ({"backbone_layer": "layer2"}, "--backbone-layer must be one of layer4, layer3, .*, got 'layer2'"),
        ({"cache_dtype": "int4"}, "--cache-dtype must be one of float16, uint8, got 'int4'"),
        ({"motion": "flow"}, "--motion must be one of rgbdiff, none, got 'flow'"),
        ({"decoder": "opencv"}, "--decoder must be one of auto, decord, pyav, got 'opencv'"),
    ],
)
def test_settings_out_of_range_are_refused_by_their_option(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ExtractConfig(**setting)
