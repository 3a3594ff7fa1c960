"""What is installed: the version of this package, and torch and torchvision that belong together."""

import sys
from importlib.metadata import PackageNotFoundError, version

from hcl.extract.system.errors import InputError, first_line

REINSTALL = "install both in one command: pip install --upgrade --force-reinstall torch torchvision"


def package_version(name: str = "hcl") -> str:
    """The installed version of a package; "unknown" when run from a folder that is not installed."""
    return _version(name) or "unknown"


def check_torchvision() -> None:
    """Import torch and torchvision together.

    Raises:
        InputError: if one is missing or torchvision was built for another torch
    """
    try:
        import torch
        import torchvision.ops  # noqa: F401

        # The compiled part is loaded leniently and its absence is only felt at the first call.
        torch.ops.torchvision.nms  # noqa: B018
    except (ImportError, AttributeError, RuntimeError, OSError) as error:
        found = ", ".join(f"{name} {_version(name) or 'not installed'}" for name in ("torch", "torchvision"))
        raise InputError(f"torch and torchvision do not match ({found}: {first_line(error)}); {REINSTALL}") from error


def _version(name: str) -> str:
    """The version of an installed package; "" if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    try:
        check_torchvision()
    except InputError as error:
        sys.exit(str(error))
