"""The type of a command-line option that takes a path or the URL of a place in a bucket."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from hcl.extract.system.places.location import place_of


class PlaceType(click.Path):
    """A path, or s3://, gs:// or az:// and a place in a bucket."""

    name = "path or url"

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a path or URL; nothing is looked at."""
        return place_of(value if isinstance(value, str | os.PathLike) else str(value))


PLACE = PlaceType()
