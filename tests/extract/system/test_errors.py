"""Errors that a user can mend."""

import errno
from pathlib import Path

import pytest

from hcl.extract.system.errors import InputError, check_version, first_line, lacks_resources


def test_another_version_is_refused_with_the_remedy_of_its_age() -> None:
    check_version(Path("a.zarr"), "hcl-x", 2, 2, remedy="make it anew")
    with pytest.raises(InputError, match="a.zarr: written by an older hcl: schema hcl-x version 1, .* make it anew"):
        check_version(Path("a.zarr"), "hcl-x", 1, 2, remedy="make it anew")
    for version in (3, None, "x"):
        with pytest.raises(InputError, match=f"version {version}, this program reads version 2; use the version of"):
            check_version(Path("a.zarr"), "hcl-x", version, 2, remedy="make it anew")


def test_the_first_line_of_an_error_or_its_kind_is_told() -> None:
    assert first_line(ValueError("one\ntwo")) == "one" and first_line(ValueError()) == "ValueError"


def test_what_the_machine_lacks_is_told_from_what_a_file_lacks() -> None:
    for error in (MemoryError(), BlockingIOError(errno.EAGAIN, "no thread"), OSError(errno.EMFILE, "too many files")):
        assert lacks_resources(error)
    for other in (OSError(errno.ENOENT, "gone"), OSError("no number"), ValueError()):
        assert not lacks_resources(other)
