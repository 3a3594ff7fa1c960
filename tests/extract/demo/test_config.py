"""The settings of the demo set check themselves."""

import pytest

from hcl.extract.demo.config import DemoConfig
from hcl.extract.system.errors import InputError


@pytest.mark.parametrize(
    "setting", [{"classes": 0}, {"classes": 99}, {"videos_per_class": 0}, {"seed": -1}, {"workers": -1}]
)
def test_config_checks_itself(setting: dict[str, int]) -> None:
    option = "--" + next(iter(setting)).replace("_", "-")
    with pytest.raises(InputError, match=f"{option} must be from"):
        DemoConfig(**setting)
