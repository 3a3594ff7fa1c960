"""What a path or URL names: a local path, or a place in a bucket."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from hcl.extract.system.atomic import names_url, shown_url
from hcl.extract.system.errors import InputError
from hcl.extract.system.places.remote_path import RemotePath, parts_of

SCHEMES = {"s3": "S3", "gs": "Google Cloud Storage", "az": "Azure Blob Storage"}


class _Several(RemotePath):
    """What several places are called together; it is none."""

    def __init__(self, text: str) -> None:
        super().__init__("s3", "several")
        self._text = text

    def __str__(self) -> str:
        return self._text


def joined_places(places: Sequence[Path]) -> Path:
    """What several places are called together, for messages; nothing can be opened by it."""
    text = " + ".join(map(str, places))
    return _Several(text) if any(map(is_remote, places)) else Path(text)


def place_of(given: str | os.PathLike[str]) -> Path:
    """What a path or URL names: a local path, or a `RemotePath`, which is used like one.

    Raises:
        InputError: if it is a URL that is not served, or names no bucket
    """
    if not isinstance(given, str):
        return given if isinstance(given, Path | RemotePath) else Path(given)
    if not names_url(given):
        return Path(given)
    scheme, _, rest = given.partition(":")
    scheme = scheme.lower()
    if scheme not in SCHEMES:
        raise InputError(
            f"{shown_url(given)}: no {scheme}:// URLs are read; expected a path, or one of"
            f" {', '.join(f'{known}://BUCKET/NAME' for known in SCHEMES)}"
        )
    if not rest.startswith("//"):
        raise InputError(f"{given}: expected two slashes, as in {scheme}://BUCKET/NAME; a local path begins with ./")
    bucket, *parts = rest[2:].split("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}", bucket):
        raise InputError(
            f"{shown_url(given)}: expected the name of a bucket behind {scheme}://, as in {scheme}://BUCKET/NAME;"
            " credentials come from the environment or a profile"
        )
    return RemotePath(scheme, bucket, parts_of("/".join(parts)))


def is_remote(path: object) -> bool:
    """Whether a place is in a bucket."""
    return isinstance(path, RemotePath)


def local_only(given: str | os.PathLike[str], what: str, remedy: str = "name a local path") -> Path:
    """Take a path that must be on this machine.

    Args:
        given: as the user has it
        what: it is, for the message
        remedy: what to do instead

    Raises:
        InputError: if it is a URL
    """
    place = place_of(given)
    if is_remote(place):
        raise InputError(f"{place}: {what}, which is kept on this machine alone, not in a bucket; {remedy}")
    return place
