"""Zarr v3 groups of ours: how every store is opened, sealed, read and compressed."""

import json
import math
import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.storage import MemoryStore, StorePath

from hcl.extract.system.atomic import (
    InBucket,
    document_hash,
    in_bucket,
    json_hash,
    plain_json,
    refuse_links,
    stays_within,
)
from hcl.extract.system.errors import InputError, check_version, first_line, lacks_resources, misplaced

METADATA = "zarr.json"
SEAL = "metadata_sha256"  # attribute: SHA-256 of the metadata of each array, and of all other attributes
ATTRIBUTES = "attributes"  # the name of the latter in it
READ_AT_ONCE = 256  # chunks, in a bucket; then the next: a stranger may claim any number of them
OVERHEAD = 4096  # bytes by which a chunk that cannot be compressed may grow
MOST_METADATA = (
    2**28
)  # bytes of metadata, in a bucket; the attributes of a large store hold a line for each left-out video
MOST_COMPRESSED = 2**15  # a block of zstd holds at most 128 KiB and takes at least 4 bytes


def open_group(
    path: Path,
    schema: str,
    version: int | None,
    *,
    mode: str = "r",
    remedy: str = "make the store anew",
    growing: bool = False,
) -> zarr.Group:
    """Open a Zarr v3 group of ours whose metadata are as they were written; nothing but the v3 format is ever opened.

    Args:
        path: of the group
        schema: what it must be
        version: of the schema; None: any, and its metadata are not checked
        mode: zarr's
        remedy: how an older or damaged store is made anew, for the message
        growing: whether its arrays may be longer than when they were sealed

    Raises:
        InputError: if there is none, it is not ours, it is of another schema version, its metadata are damaged, or an
            entry of it leads elsewhere
    """
    if not (path / METADATA).is_file():
        raise misplaced(path, schema)
    refuse_links(path, depth=2)
    try:
        attributes = _document(path)["attributes"]
        kind, stored_version = attributes.get("schema"), attributes.get("version")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: its {METADATA} cannot be read ({first_line(error)}); restore the store or make it anew"
        ) from error
    if kind != schema:
        raise misplaced(path, schema)
    if version is not None:
        check_version(path, schema, stored_version, version, remedy=remedy)
        _check_seal(path, attributes, remedy, growing)
    try:
        return zarr.open_group(**zarr_place(path), mode=mode, zarr_format=3, use_consolidated=False)  # type: ignore[arg-type]
    except Exception as error:
        raise _damaged(f"{path}: its {METADATA} cannot be read", error, "restore the store or make it anew") from error


def zarr_place(path: Path) -> dict[str, Any]:
    """What zarr opens a group by: its folder, or its bucket and the place in it."""
    return path.zarr_place() if in_bucket(path) else {"store": path}


def make_group(path: Path) -> zarr.Group:
    """Begin a group in an empty folder, or where a bucket holds nothing."""
    return zarr.open_group(**zarr_place(path), mode="w", zarr_format=3)


def seal(
    group: zarr.Group,
    path: Path,
    arrays: Iterable[str],
    changes: Mapping[str, Any],
    *,
    growing: bool = False,
    without: Container[str] = (),
) -> None:
    """Write attributes at once, with the hashes that prove them and the metadata of the arrays unharmed.

    Args:
        group: that is written to
        path: of the group
        arrays: the names of all arrays that belong to it
        changes: attributes that are new or differ
        growing: whether arrays may become longer without being sealed again
        without: attributes that are removed
    """
    names = list(arrays)
    hashes = {name: _hash_of_array(found, growing) for name, found in zip(names, _documents(path, names), strict=True)}
    attributes = {name: value for name, value in {**group.attrs, **changes}.items() if name not in without}
    hashes[ATTRIBUTES] = document_hash(plain_json(attributes), without=SEAL)
    group.attrs.put({**attributes, SEAL: hashes})


def sealed_arrays(group: zarr.Group) -> frozenset[str]:
    """The names of the arrays that belong to a group; what else lies in its folder is none of it."""
    hashes: Any = group.attrs.get(SEAL, {})
    return frozenset(hashes) - {ATTRIBUTES}


def open_array(path: Path, group: zarr.Group, name: str) -> zarr.Array[Any] | None:
    """An array that belongs to a group, None if there is none; written to, it leaves no chunk out.

    Raises:
        InputError: if how it is stored cannot be understood
    """
    if name not in sealed_arrays(group):
        return None
    try:
        array = zarr.Array.from_dict(group.store_path / name, _document(path / name))
    except FileNotFoundError:
        return None
    except Exception as error:  # of any kind, such as for a codec that nobody knows
        raise _damaged(f"{path / name}: its {METADATA} cannot be read", error, "make the store anew") from error
    return array if array.read_only else array.with_config({"write_empty_chunks": True})


def read_rows(path: Path, array: zarr.Array[Any], rows: slice = slice(None)) -> NDArray[Any]:
    """Read some rows of an array, all of whose chunks must be there: for zarr a missing one is one of zeros.

    Args:
        path: of the group
        array: in it
        rows: along the first axis

    Raises:
        ValueError: if a chunk is missing or damaged, leads out of the store, or is smaller than it claims
    """
    try:
        if in_bucket(path):
            return np.asarray(_fetched(path, array, rows)[rows])
        _check_chunks(path, array, rows)
        return np.asarray(array[rows])
    except Exception as error:  # of any kind: the codecs that damage or a stranger names raise what they like
        if lacks_resources(error) or isinstance(error, ValueError):
            raise
        raise ValueError(first_line(error)) from error


def _check_chunks(path: Path, array: zarr.Array[Any], rows: slice) -> None:
    """Refuse chunks that are not there or cannot hold what the array claims, before memory is taken for them."""
    claimed = _claimed(array)
    folder = path / array.basename
    for place in _places_of(array, rows):
        file = folder / "/".join(("c", *map(str, place)))
        if not stays_within(path, file):
            raise ValueError(f"{file} leads out of the store")
        try:
            length = os.stat(file).st_size
        except OSError as error:
            raise ValueError(f"chunk {file.relative_to(folder)} is missing") from error
        _refuse_too_much(str(file.relative_to(folder)), claimed, length)


def _fetched(path: InBucket, array: zarr.Array[Any], rows: slice) -> zarr.Array[Any]:
    """The same array over chunks that were read side by side and checked as `_check_chunks` does."""
    claimed, places = _claimed(array), _places_of(array, rows)
    read: dict[str, Buffer] = {}
    while some := ["/".join(("c", *map(str, place))) for place in islice(places, READ_AT_ONCE)]:
        try:
            chunks = path.read_many([f"{array.basename}/{name}" for name in some], claimed + claimed // 8 + OVERHEAD)
        except FileNotFoundError as error:
            raise ValueError(f"a chunk is missing ({error})") from error
        for name, chunk in zip(some, chunks, strict=True):
            _refuse_too_much(name, claimed, len(chunk))
            read[name] = default_buffer_prototype().buffer.from_bytes(chunk)
    return zarr.Array.from_dict(StorePath(MemoryStore(read), ""), array.metadata.to_dict())


def _places_of(array: zarr.Array[Any], rows: slice) -> Iterator[tuple[int, ...]]:
    """The places of the chunks that hold some rows."""
    start, stop, _ = rows.indices(array.shape[0])
    size = array.chunks[0]
    further = (range(-(-length // chunk)) for length, chunk in zip(array.shape[1:], array.chunks[1:], strict=True))
    return _places(range(start // size, -(-stop // size)) if start < stop else range(0), *further)


def _claimed(array: zarr.Array[Any]) -> int:
    """The bytes of a chunk of an array in memory, as far as its metadata say."""
    return math.prod(array.chunks) * (4 if array.dtype.kind in "OT" else array.dtype.itemsize)


def _refuse_too_much(name: str, claimed: int, length: int) -> None:
    """Refuse a chunk that cannot hold what its array claims."""
    if claimed > MOST_COMPRESSED * length:
        raise ValueError(f"chunk {name} of {length} bytes cannot hold {claimed}")


def _places(*axes: range) -> Iterator[tuple[int, ...]]:
    """All places, one after the other: a stranger may claim 10^12 of them."""
    if not axes:
        yield ()
        return
    for first in axes[0]:
        for rest in _places(*axes[1:]):
            yield (first, *rest)


def _check_seal(path: Path, attributes: Mapping[str, Any], remedy: str, growing: bool) -> None:
    hashes = attributes.get(SEAL)
    if not isinstance(hashes, dict) or hashes.get(ATTRIBUTES) != document_hash(attributes, without=SEAL):
        raise InputError(f"{path}: the attributes in its {METADATA} are damaged or were changed; {remedy}")
    names = [name for name in hashes if name != ATTRIBUTES]
    for name, document in zip(names, _documents(path, names), strict=True):
        try:
            unharmed = _hash_of_array(document, growing) == hashes[name]
        except FileNotFoundError as error:
            raise InputError(f"{path}: array {name!r} is missing; the store is damaged, {remedy}") from error
        except (OSError, ValueError, KeyError, TypeError):
            unharmed = False
        if not unharmed:
            raise InputError(f"{path}: array {name!r} is damaged (its {METADATA} is not as written); {remedy}")


def _document(folder: Path) -> dict[str, Any]:
    if in_bucket(folder):
        document: dict[str, Any] = json.loads(*folder.read_many([METADATA], MOST_METADATA))
        return document
    with open(os.path.join(folder, METADATA), "rb") as file:
        document = json.load(file)
    return document


def _documents(path: Path, names: Sequence[str]) -> list[dict[str, Any] | OSError | ValueError]:
    """The metadata of several arrays, in a bucket read side by side; or why those of one cannot be read."""
    if in_bucket(path):
        try:
            texts = path.read_many([f"{name}/{METADATA}" for name in names], MOST_METADATA)
            return [json.loads(text) for text in texts]
        except (FileNotFoundError, ValueError):
            pass  # which one it is, is found below
    found: list[dict[str, Any] | OSError | ValueError] = []
    for name in names:
        try:
            found.append(_document(path / name))
        except (OSError, ValueError) as error:
            found.append(error)
    return found


def _hash_of_array(document: dict[str, Any] | OSError | ValueError, growing: bool) -> str:
    if isinstance(document, OSError | ValueError):
        raise document
    if growing:
        document = {**document, "shape": document["shape"][1:]}
    return json_hash(document)


def _damaged(what: str, error: Exception, remedy: str) -> Exception:
    """The one line for an error in reading; the error itself where the machine is at fault."""
    return error if lacks_resources(error) else InputError(f"{what} ({first_line(error)}); {remedy}")


def compressors() -> list[Any]:
    """zstd level 1 without shuffle (most of a map is zeros), then a checksum of the compressed bytes."""
    return [ZstdCodec(level=1), Crc32cCodec()]
