"""Whether the installed torch and torchvision belong together."""

import sys
from importlib.metadata import PackageNotFoundError, version

from hcl.extract.system.errors import InputError, first_line

REMEDY = "install both in one command: pip install --upgrade --force-reinstall torch torchvision"


def check_torchvision() -> None:
    """Load both.

    Raises:
        InputError: if one is missing or torchvision was built for another torch
    """
    try:
        import torch
        import torchvision.ops  # noqa: F401

        # The compiled part is loaded leniently and its absence is only felt at the first call.
        torch.ops.torchvision.nms  # noqa: B018
    except (ImportError, AttributeError, RuntimeError, OSError) as error:
        found = ", ".join(f"{name} {_version(name)}" for name in ("torch", "torchvision"))
        raise InputError(f"torch and torchvision do not match ({found}: {first_line(error)}); {REMEDY}") from error


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    try:
        check_torchvision()
    except InputError as error:
        sys.exit(str(error))
