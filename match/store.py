"""The embedding store that evaluation reads: one Zarr group, written whole or not at all."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from numpy.typing import NDArray

from hcl.extract.cache import compressors, open_group
from hcl.extract.errors import InputError
from hcl.match.embeddings import Embeddings

SCHEMA, VERSION = "hcl-embeddings", 1
FACTS = ("path", "label", "fold", "group", "content")


@dataclass(frozen=True)
class StoredVideos:
    """What is known of the V videos of a store; every field has V entries."""

    path: tuple[str, ...]
    label: tuple[str, ...]
    fold: tuple[str, ...]
    group: tuple[str, ...]
    content: tuple[str, ...]  # SHA-256 of the source

    def __len__(self) -> int:
        return len(self.path)

    def rows(self, fold: str | None) -> NDArray[np.int64]:
        """Row numbers of one fold, or of all."""
        return np.flatnonzero([fold in (None, found) for found in self.fold]).astype(np.int64)


@dataclass(frozen=True)
class EmbeddedBatch:
    """The embeddings of some videos and the mean of their maps, on their way into a store."""

    embeddings: Embeddings
    mean_map: NDArray[np.float32]  # (V, C)


@dataclass(frozen=True)
class EmbeddingStore:
    """An open store: small arrays in memory, patches read on demand."""

    path: Path
    attributes: dict[str, Any]
    videos: StoredVideos
    mean_map: NDArray[np.float32]  # (V, C)
    _group: zarr.Group

    @classmethod
    def open(cls, path: Path) -> "EmbeddingStore":
        """Open a store for reading.

        Raises:
            InputError: if it is missing, something else, or damaged
        """
        group = open_group(path, SCHEMA, VERSION)
        facts = {name: tuple(str(value) for value in np.asarray(_read(path, group, name))) for name in FACTS}
        mean_map = np.asarray(_read(path, group, "mean_map"))
        return cls(path, dict(group.attrs), StoredVideos(**facts), mean_map, group)

    def embeddings(self, rows: NDArray[np.int64]) -> Embeddings:
        """Read the embeddings of some videos; patches keep the precision they are stored in.

        Args:
            rows: (V,) row numbers

        Returns:
            Embeddings of V videos on the CPU; class_keys is None where the store has none
        """
        arrays = {name: torch.from_numpy(self._take(name, rows)) for name in ("global", "clips", "patches")}
        keys = torch.from_numpy(self._take("class_keys", rows)) if "class_keys" in self._group else None
        frames = tuple(tuple(int(frame) for frame in clip) for clip in self.attributes["clip_frames"])
        return Embeddings(arrays["global"], arrays["clips"], arrays["patches"], frames, keys)

    def _take(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read rows one after the other: a chunk is a video, and zarr's fancy indexing is far slower."""
        array = self._group[name]
        if array.chunks[0] > 1:  # type: ignore[union-attr]
            return np.asarray(_read(self.path, self._group, name))[rows]
        out = np.empty((len(rows), *array.shape[1:]), dtype=array.dtype)  # type: ignore[union-attr]
        for place, row in enumerate(rows):
            out[place] = _read(self.path, self._group, name, int(row))
        return out


def _read(path: Path, group: zarr.Group, name: str, row: int | None = None) -> Any:
    array = group.get(name)
    if not isinstance(array, zarr.Array):
        raise InputError(f"{path}: array {name!r} is missing; the store is damaged, write it anew with: hcl embed")
    try:
        return array[:] if row is None else array[row]
    except (ValueError, RuntimeError, OSError) as error:
        raise InputError(
            f"{path}: array {name!r} is damaged ({error}); write the store anew with: hcl embed"
        ) from error


def write_store(
    path: Path, attributes: Mapping[str, Any], videos: StoredVideos, batches: Iterable[EmbeddedBatch]
) -> None:
    """Write a store beside `path` and rename it into place when it is whole.

    Args:
        path: of the new store; an embedding store that stands there is replaced
        attributes: origin, settings and clip frames; must be JSON
        videos: the facts of all videos
        batches: the embeddings of all videos, in the same order

    Raises:
        InputError: if something other than an embedding store stands there, or it cannot be written
    """
    if path.exists():
        open_group(path, SCHEMA, VERSION)
    building = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(building, ignore_errors=True)
        group = zarr.open_group(building, mode="w", zarr_format=3)
        group.attrs.update({"schema": SCHEMA, "version": VERSION, **attributes})
        for name in FACTS:
            _create(group, name, (len(videos),), "string", ("video",), chunk=len(videos))[:] = np.array(
                getattr(videos, name), dtype=object
            )
        _write_batches(group, len(videos), batches)
        shutil.rmtree(path, ignore_errors=True)
        building.rename(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); check the disk and the permissions") from error


def _write_batches(group: zarr.Group, count: int, batches: Iterable[EmbeddedBatch]) -> None:
    start = 0
    arrays: dict[str, zarr.Array[Any]] = {}
    for batch in batches:
        values = _arrays(batch)
        if not arrays:
            for name, (value, axes) in values.items():
                chunk = 1 if name == "patches" else count
                arrays[name] = _create(group, name, (count, *value.shape[1:]), str(value.dtype), axes, chunk=chunk)
        stop = start + len(batch.mean_map)
        for name, (value, _) in values.items():
            arrays[name][start:stop] = value
        start = stop
    if start != count:
        raise ValueError(f"{start} embeddings for {count} videos")


def _arrays(batch: EmbeddedBatch) -> dict[str, tuple[NDArray[Any], Sequence[str]]]:
    """The arrays of a batch by their names in the store, each with its axes."""
    found = batch.embeddings
    patches = found.patches.half()  # a thousandth of rounding; a quarter of the cost of float32 to keep and to read
    if not torch.isfinite(patches).all():
        raise InputError("patch embeddings pass the range of float16 (65504); train with a lower --learning-rate")
    arrays: dict[str, tuple[NDArray[Any], Sequence[str]]] = {
        "global": (found.global_.numpy(), ("video", "embedding")),
        "clips": (found.clips.numpy(), ("video", "clip", "embedding")),
        "patches": (patches.numpy(), ("video", "frame", "patch", "embedding")),
        "mean_map": (batch.mean_map, ("video", "channel")),
    }
    if found.class_keys is not None:
        arrays["class_keys"] = (found.class_keys.numpy(), ("video", "embedding"))
    return arrays


def _create(
    group: zarr.Group, name: str, shape: tuple[int, ...], dtype: str, axes: Sequence[str], *, chunk: int
) -> zarr.Array[Any]:
    return group.create_array(
        name,
        shape=shape,
        chunks=(max(1, chunk), *(max(1, size) for size in shape[1:])),
        dtype=dtype,
        compressors=compressors(),
        dimension_names=axes,
    )
