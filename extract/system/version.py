"""The version of the installed package."""

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """The installed version, "unknown" when run from a folder that is not installed."""
    try:
        return version("hcl")
    except PackageNotFoundError:
        return "unknown"
