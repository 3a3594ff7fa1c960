"""The version is the installed one; torch and torchvision that do not belong together are named in one line."""

import sys
from importlib.metadata import distributions
from types import ModuleType

import pytest

from hcl.extract.system.errors import InputError
from hcl.extract.system.installation import check_torchvision, package_version


def test_the_version_is_the_installed_one() -> None:
    assert package_version() in ("unknown", *(found.version for found in distributions(name="hcl")))


def test_a_matching_pair_passes() -> None:
    check_torchvision()


def test_a_torchvision_without_its_operators_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    class Absent:
        def __getattr__(self, name: str) -> object:
            raise AttributeError(f"no operator {name}")

    monkeypatch.setattr(torch.ops, "torchvision", Absent(), raising=False)
    with pytest.raises(InputError, match="torch and torchvision do not match .*install both in one command"):
        check_torchvision()


def test_a_missing_torchvision_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = ModuleType("torchvision")
    monkeypatch.setitem(sys.modules, "torchvision", broken)
    monkeypatch.setitem(sys.modules, "torchvision.ops", None)  # an import of None fails
    with pytest.raises(InputError, match="do not match") as raised:
        check_torchvision()
    assert "\n" not in str(raised.value)
