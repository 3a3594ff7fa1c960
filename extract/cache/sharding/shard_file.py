"""The file of a shard, as Zarr's codec `sharding_indexed` lays it out: chunks, then an index that says where each lies.

The index has 16 bytes a chunk, its offset and its length, and ends with a CRC-32C; it stands at the end of the file. A
chunk is read by two short reads, whatever the size of the file.
"""

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Protocol

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.chunk_reader import CHECKSUM_BYTES
from hcl.extract.system.atomic import UNFINISHED, InBucket, in_bucket

ENTRY_BYTES = 16
MISSING = 2**64 - 1  # offset and length of a chunk that is not there
Index = NDArray[np.uint64]  # (n, 2) offset and length of each chunk


def read_entry(file: Path, place: int, count: int) -> bytes:
    """Read one chunk of a shard, as it is stored.

    Args:
        file: of the shard
        place: of the chunk in it, from 0
        count: chunks that a shard has room for

    Raises:
        ValueError: if the index is damaged, or the chunk is not there
        OSError: if the file cannot be read
    """
    with _opened(file) as opened:
        return _chunk(opened, _index(opened, count), place)


def read_entries(file: Path, places: frozenset[int], count: int) -> dict[int, bytes]:
    """Read some chunks of a shard, as they are stored, by their places; raises as `read_entry`."""
    with _opened(file) as opened:
        index = _index(opened, count)
        return {place: _chunk(opened, index, place) for place in sorted(places)}


def write_shard(file: Path, chunks: Mapping[int, bytes], count: int) -> None:
    """Write a shard whole or not at all, its chunks in the order of their places; the same chunks give the same bytes.

    Args:
        file: of the shard; without chunks it is removed
        chunks: as they are stored, by their places
        count: chunks that a shard has room for
    """
    if not chunks:
        file.unlink(missing_ok=True)
        return
    index, end = np.full((count, 2), MISSING, "<u8"), 0
    for place in sorted(chunks):
        index[place] = end, len(chunks[place])
        end += len(chunks[place])
    entries = index.tobytes()
    checksum = google_crc32c.value(entries).to_bytes(CHECKSUM_BYTES, "little")
    _replace(file, [*(chunks[place] for place in sorted(chunks)), entries, checksum])


def _replace(file: Path, parts: Sequence[bytes]) -> None:
    """Write a file, or an object, whole or not at all."""
    if in_bucket(file):
        file.write_bytes(b"".join(parts))
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    for left in file.parent.glob(f"{file.name}.*{UNFINISHED}"):  # by a writer that was killed
        left.unlink(missing_ok=True)
    fresh = file.with_name(f"{file.name}.{uuid.uuid4().hex}{UNFINISHED}")  # of this writer, on whatever machine
    try:
        with fresh.open("xb") as opened:
            for part in parts:
                opened.write(part)
        os.replace(fresh, file)
    except BaseException:
        with suppress(OSError):  # of a disk that is gone
            fresh.unlink(missing_ok=True)
        raise


class _Opened(Protocol):
    """A shard that is read piece by piece."""

    size: int  # bytes

    def read(self, start: int, length: int) -> bytes:
        """Some bytes of it, all of them there; raises ValueError if it ends early."""


@contextmanager
def _opened(file: Path) -> Iterator[_Opened]:
    if in_bucket(file):
        yield _Object(file)
        return
    with FileIO(file) as opened:
        yield _File(opened)


class _File:
    """A shard of this machine."""

    def __init__(self, opened: FileIO) -> None:
        self._opened, self.size = opened, os.fstat(opened.fileno()).st_size

    def read(self, start: int, length: int) -> bytes:
        self._opened.seek(start)
        parts: list[bytes] = []
        while length and (part := self._opened.read(length)):
            parts.append(part)
            length -= len(part)
        if length:
            raise ValueError("the shard ends early")
        return parts[0] if len(parts) == 1 else b"".join(parts)


class _Object:
    """A shard of a bucket: a request for its size, one for its index, and one for each chunk."""

    def __init__(self, file: InBucket) -> None:
        self._file, self.size = file, file.stat().st_size

    def read(self, start: int, length: int) -> bytes:
        found = self._file.read_range(start, length)
        if len(found) != length:
            raise ValueError("the shard ends early")
        return found


def _index(opened: _Opened, count: int) -> Index:
    length = ENTRY_BYTES * count + CHECKSUM_BYTES
    if opened.size < length:
        raise ValueError(f"the shard has {opened.size} bytes, its index alone {length}")
    stored = opened.read(opened.size - length, length)
    entries = stored[:-CHECKSUM_BYTES]
    if google_crc32c.value(entries) != int.from_bytes(stored[-CHECKSUM_BYTES:], "little"):
        raise ValueError("the checksum of the shard's index does not match")
    return np.frombuffer(entries, "<u8").reshape(count, 2)


def _chunk(opened: _Opened, index: Index, place: int) -> bytes:
    offset, length = (int(value) for value in index[place])
    if offset == MISSING:
        raise ValueError("its chunk is missing in the shard")
    if offset + length > opened.size:
        raise ValueError(f"its chunk ends at byte {offset + length} of a shard of {opened.size}")
    return opened.read(offset, length)
