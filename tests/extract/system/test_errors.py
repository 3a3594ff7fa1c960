"""Errors that a user can mend."""

from pathlib import Path

import pytest

from hcl.extract.system.errors import InputError, check_version, first_line


def test_another_version_is_refused_with_the_remedy_of_its_age() -> None:
    check_version(Path("a.zarr"), "hcl-x", 2, 2, remedy="make it anew")
    with pytest.raises(InputError, match="a.zarr: written by an older hcl: schema hcl-x version 1, .* make it anew"):
        check_version(Path("a.zarr"), "hcl-x", 1, 2, remedy="make it anew")
    for version in (3, None, "x"):
        with pytest.raises(InputError, match=f"version {version}, this program reads version 2; use the version of"):
            check_version(Path("a.zarr"), "hcl-x", version, 2, remedy="make it anew")


def test_the_first_line_of_an_error_or_its_kind_is_told() -> None:
    assert first_line(ValueError("one\ntwo")) == "one" and first_line(ValueError()) == "ValueError"
