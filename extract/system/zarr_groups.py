"""Zarr v3 groups of ours: how every store is opened and compressed."""

import json
from pathlib import Path
from typing import Any

import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from hcl.extract.system.errors import InputError, check_version


def open_group(
    path: Path,
    schema: str,
    version: int | None,
    *,
    mode: str = "r",
    remedy: str = "make the store anew",
) -> zarr.Group:
    """Open a Zarr v3 group of ours; nothing but the v3 format is ever opened.

    Args:
        path: of the group
        schema: what it must be
        version: of the schema; None: any
        mode: zarr's
        remedy: how an older store is made anew, for the message

    Raises:
        InputError: if there is none, it is not ours, or it is of another schema version
    """
    if not path.is_dir():
        raise InputError(f"{path}: no such store; expected a folder in Zarr v3 format")
    if not (path / "zarr.json").is_file():
        raise InputError(f"{path}: not a Zarr v3 store (no zarr.json in it)")
    try:
        group = zarr.open_group(path, mode=mode, zarr_format=3)  # type: ignore[arg-type]
    except (ValueError, KeyError, TypeError, json.JSONDecodeError, zarr.errors.BaseZarrError) as error:
        raise InputError(
            f"{path}: its zarr.json cannot be read ({error}); restore the store or make it anew"
        ) from error
    kind = group.attrs.get("schema")
    if kind != schema:
        raise InputError(f"{path}: holds {kind or 'something else'!r} where {schema!r} was expected")
    if version is not None:
        check_version(path, schema, group.attrs.get("version"), version, remedy=remedy)
    return group


def compressors() -> list[Any]:
    """zstd level 1 without shuffle (most of a map is zeros), then a checksum of the compressed bytes."""
    return [ZstdCodec(level=1), Crc32cCodec()]
