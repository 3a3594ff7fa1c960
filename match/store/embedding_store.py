"""The embedding store that evaluation reads: one Zarr group, written atomically."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from torch import Tensor

from hcl.extract.cache.video_table import VideoTable
from hcl.extract.catalog.benchmarks.coverage import Coverage
from hcl.extract.system.atomic import atomic_folder, in_bucket
from hcl.extract.system.errors import InputError, first_line, write_errors
from hcl.extract.system.lock import sole_writer
from hcl.extract.system.places.location import place_of
from hcl.extract.system.places.objects import SIDE_BY_SIDE, side_by_side
from hcl.extract.system.places.zarr_groups import (
    SEAL,
    compressors,
    make_group,
    open_array,
    open_group,
    read_rows,
    seal,
    sealed_arrays,
)
from hcl.extract.system.progress import logger
from hcl.match.config import HCL, LEVELS
from hcl.match.embeddings import HCL_AXES, Clips, Embeddings
from hcl.match.methods.matcher import MatcherWeights
from hcl.match.store.batch import Axes, EmbeddedBatch, Identity, array_axes
from hcl.match.store.locate import find_store
from hcl.match.store.relabelled import relabelled_line

SCHEMA, VERSION = "hcl-embeddings", 4  # of a store that is evaluated; a support set has another, and more columns
REMEDY = "write the store anew with: hcl embed"
FACTS = ("path", "label", "split", "group", "content")
LEFT_OUT = "left_out"  # attribute: videos that are not in the store, see `VideoTable.same_as`
IDENTIFYING = FACTS[:3]
TRAINED_LEVELS = "trained_levels"  # an attribute
TRAINED_CLASSES = "trained_classes"  # another one
MATCHER = "matcher"  # an attribute: what the matcher was made for; and before the names of the arrays of its weights
COVERAGE = "benchmark"  # another one: how much of a published benchmark the cache held, where it held one
CHUNK_BYTES = 2 * 2**20  # of arrays but patches: each batch of videos rewrites a chunk
CLIPS_SHARE = 8  # of clips an eighth: a search reads those of single videos


@dataclass(frozen=True)
class EmbeddingStore:
    """An open store: small arrays in memory, the others read on demand."""

    path: Path
    attributes: dict[str, Any]
    videos: VideoTable
    axes: Axes  # of all arrays that there are of each video, as the method declared them
    _group: zarr.Group

    @classmethod
    def open(cls, path: str | Path, schema: str = SCHEMA, version: int = VERSION) -> "EmbeddingStore":
        """Open a store for reading.

        Args:
            path: of the store
            schema: its kind
            version: of the schema

        Raises:
            InputError: if it is missing, something else, of another version, or damaged
        """
        path = place_of(path)
        group = open_group(path, schema, version, remedy=REMEDY)
        attributes = {name: value for name, value in group.attrs.items() if name != SEAL}
        facts = {name: tuple(str(value) for value in _read(path, group, name)) for name in FACTS}
        shape = _array(path, group, "mean_map").shape
        try:
            videos = VideoTable(**facts)
            recorded: Any = attributes["arrays"]
            axes = {str(name): tuple(map(str, of_array)) for name, of_array in recorded.items()}
            for name in ("method", "identity"):
                attributes[name]
            if len(shape) != 2 or shape[0] != len(videos):
                raise ValueError(f"mean_map {shape} for {len(videos)} videos")
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(f"{path}: not as an embedding store is written ({first_line(error)}); {REMEDY}") from error
        return cls(path, attributes, videos, axes, group)

    @cached_property
    def mean_map(self) -> NDArray[np.float32]:
        """(V, C) the mean of each video's map; read when it is first asked for, since it is as wide as the backbone.

        Raises:
            InputError: if it is damaged
        """
        return _read(self.path, self._group, "mean_map")

    @property
    def method(self) -> str:
        """The method that the store's arrays are for, as it was named for the training."""
        return str(self.attributes["method"])

    @property
    def trained_levels(self) -> tuple[str, ...]:
        """HCL's levels whose losses were trained, some of LEVELS; the others stay out of every sum that counts.

        Raises:
            InputError: if the store names others
        """
        named = self.attributes.get(TRAINED_LEVELS, list(LEVELS))
        if not isinstance(named, list) or not named or any(level not in LEVELS for level in named):
            raise InputError(
                f"{self.path}: its {TRAINED_LEVELS} are {named!r}, expected some of {', '.join(LEVELS)}; {REMEDY}"
            )
        return tuple(level for level in LEVELS if level in named)

    @property
    def trained_classes(self) -> tuple[str, ...]:
        """The classes of the store's videos that its run was trained on.

        Raises:
            InputError: if they are no list of names
        """
        named = self.attributes.get(TRAINED_CLASSES, [])
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            raise InputError(f"{self.path}: its {TRAINED_CLASSES} are {named!r}, expected a list of names; {REMEDY}")
        return tuple(named)

    @property
    def coverage(self) -> Coverage | None:
        """How much of a published benchmark the store's cache held; None if it held none.

        Raises:
            InputError: if the attribute is not as it is written
        """
        stored = self.attributes.get(COVERAGE)
        return None if stored is None else Coverage.from_dict(stored, str(self.path))

    @property
    def identity(self) -> str:
        """A SHA-256 that is the same for the same embeddings of the same videos."""
        return str(self.attributes["identity"])

    def left_out(self, split: str = "") -> tuple[str, ...]:
        """Videos of a split, or of any, that are left out: "novel b.mp4 = base a.mp4" says which are the same.

        An earlier split has them. They are not in the store, or are in it and are not drawn.
        """
        before = [str(line) for line in self.attributes.get(LEFT_OUT) or ()]
        here = self.videos.same_as(self.videos.in_earlier_split)
        return tuple(line for line in (*before, *here) if line.startswith(f"{split} " if split else ""))

    def new_identity(self) -> Identity:
        """What `identity` was made by, before any array of the videos is fed.

        Raises:
            InputError: if the weights of a matcher, which count as well, cannot be read
        """
        return _identity_of(self.videos, self.matcher_weights)

    @property
    def matcher_weights(self) -> MatcherWeights | None:
        """The weights that the method's scores run through; None where it needs none.

        Raises:
            InputError: if they cannot be read
        """
        made_for: Any = self.attributes.get(MATCHER)
        if made_for is None:
            return None
        try:
            frames, width = made_for["frames"], made_for["width"]
        except (KeyError, TypeError) as error:
            raise InputError(
                f"{self.path}: its {MATCHER} is {made_for!r}, expected frames and width; {REMEDY}"
            ) from error
        prefix = f"{MATCHER}."
        names = sorted(name for name in sealed_arrays(self._group) if name.startswith(prefix))
        values = {name.removeprefix(prefix): _read(self.path, self._group, name) for name in names}
        return MatcherWeights(frames, width, values)

    def texts(self, name: str) -> tuple[str, ...]:
        """Read a further column of texts, one a video.

        Raises:
            InputError: if there is none, or it is damaged
        """
        values = _read(self.path, self._group, name)
        if values.shape != (len(self.videos),):
            raise InputError(f"{self.path}: array {name!r} has {values.shape}, not a text a video; {REMEDY}")
        return tuple(map(str, values))

    @property
    def names(self) -> tuple[str, ...]:
        """All arrays that there are of each video."""
        return tuple(self.axes)

    def arrays(self, names: Sequence[str], rows: NDArray[np.int64]) -> dict[str, Tensor]:
        """Read some arrays of some videos, in the precision they are stored in.

        Args:
            names: of the arrays
            rows: (V,) row numbers

        Returns:
            (V, ...) each, on the CPU

        Raises:
            InputError: if the store has no such array, or it is damaged
        """
        missing = [name for name in names if name not in self.names]
        if missing:
            raise InputError(
                f"{self.path}: no array {missing[0]!r} in this store of method {self.method};"
                " train the method that scores from it with: hcl train CACHE --method"
            )
        return {name: torch.from_numpy(self._take(name, rows)) for name in names}

    def embeddings(self, rows: NDArray[np.int64]) -> Embeddings:
        """Read the embeddings of some videos for HCL; patches keep the precision they are stored in.

        Args:
            rows: (V,) row numbers

        Returns:
            Embeddings of V videos on the CPU; class_keys is None where the store has none

        Raises:
            InputError: if the store is of another method
        """
        if self.method != HCL:
            raise InputError(
                f"{self.path}: a store of method {self.method}, not of {HCL}; evaluate it with --method {self.method}"
            )
        names = [name for name in HCL_AXES if name != "class_keys" or name in self.names]
        arrays = {name: torch.from_numpy(self._take(name, rows)) for name in names}
        return Embeddings.of_arrays(arrays, self.clip_frames)

    @property
    def clip_frames(self) -> Clips:
        """The frames of each clip, in a store of HCL."""
        return tuple(tuple(int(frame) for frame in clip) for clip in self.attributes["clip_frames"])

    def _take(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read rows chunk by chunk: zarr's fancy indexing is far slower."""
        if name in vars(self):  # the mean maps, if all of them were read
            return self.mean_map[rows]
        array = _array(self.path, self._group, name)
        if array.shape[:1] != (len(self.videos),) or array.dtype.kind not in "biuf":
            raise InputError(
                f"{self.path}: array {name!r} is {array.dtype} {array.shape}, expected numbers of {len(self.videos)}"
                f" videos; {REMEDY}"
            )
        out = np.empty((len(rows), *array.shape[1:]), dtype=array.dtype)
        size = array.chunks[0]
        order = np.argsort(rows // size, kind="stable")  # places of the rows of a chunk follow one another
        chunks, starts = np.unique(rows[order] // size, return_index=True)

        def take(part: tuple[int, NDArray[np.int64]]) -> None:
            chunk, places = part
            some = _rows_of(self.path, array, name, slice(chunk * size, (chunk + 1) * size))
            out[places] = some[rows[places] - chunk * size]

        parts = list(zip(chunks.tolist(), np.split(order, starts[1:]), strict=True))
        at_once = SIDE_BY_SIDE if in_bucket(self.path) else 1  # of a bucket each one waits
        for start in range(0, len(parts), at_once):
            side_by_side(take, parts[start : start + at_once])
        return out


def _identity_of(videos: VideoTable, matcher: MatcherWeights | None) -> Identity:
    identity = Identity({name: getattr(videos, name) for name in IDENTIFYING})
    for name, values in sorted(matcher.values.items() if matcher else ()):
        identity.add(f"{MATCHER}.{name}", values)
    return identity


def _array(path: Path, group: zarr.Group, name: str) -> zarr.Array[Any]:
    array = open_array(path, group, name)
    if array is None:
        raise InputError(f"{path}: array {name!r} is missing; the store is damaged, {REMEDY}")
    return array


def _read(path: Path, group: zarr.Group, name: str) -> NDArray[Any]:
    return _rows_of(path, _array(path, group, name), name, slice(None))


def _rows_of(path: Path, array: zarr.Array[Any], name: str, rows: slice) -> NDArray[Any]:
    try:
        return read_rows(path, array, rows)
    except ValueError as error:
        raise InputError(f"{path}: array {name!r} is damaged ({error}); {REMEDY}") from error


def open_store(source: "str | Path | EmbeddingStore | None", method: str | None = None) -> EmbeddingStore:
    """Open the store that the user means; warn where its cache gives the videos other classes now.

    Args:
        source: a store, its path or that of a run; None: the latest run
        method: of the latest run

    Raises:
        InputError: if there is none, or it cannot be read
    """
    if isinstance(source, EmbeddingStore):
        return source
    store = EmbeddingStore.open(find_store(source, method))
    if line := relabelled_line(str(store.path), store.attributes.get("origin"), store.videos):
        logger.warning(line)
    return store


def write_store(
    path: str | Path,
    attributes: Mapping[str, Any],
    videos: VideoTable,
    batches: Iterable[EmbeddedBatch],
    *,
    method: str = HCL,
    matcher: MatcherWeights | None = None,
    finish: Callable[["EmbeddingStore"], Mapping[str, Any]] | None = None,
) -> None:
    """Write a store beside `path` and rename it into place when it is whole.

    Args:
        path: of the new store; an embedding store that stands there is replaced
        attributes: origin and settings; must be JSON
        videos: the facts of all videos
        batches: the arrays of all videos, in the same order
        method: that scores from the arrays
        matcher: the weights that its scores run through, where it has any
        finish: gives further attributes that follow from the arrays

    Raises:
        InputError: if something other than an embedding store stands there, it cannot be written, or the arrays are not
            those of the method
    """
    path = place_of(path)
    with write_errors(path, "check the disk and the permissions"), sole_writer(path):
        replace_store(path, attributes, videos, batches, method=method, matcher=matcher, finish=finish)


def replace_store(
    path: Path,
    attributes: Mapping[str, Any],
    videos: VideoTable,
    batches: Iterable[EmbeddedBatch],
    *,
    method: str = HCL,
    matcher: MatcherWeights | None = None,
    finish: Callable[["EmbeddingStore"], Mapping[str, Any]] | None = None,
    schema: str = SCHEMA,
    version: int = VERSION,
    texts: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> None:
    """Write a store whose lock is held, as `write_store` does.

    Args:
        path, attributes, videos, batches, method, matcher, finish: as of `write_store`
        schema: the kind of the store, which must be that of a store that stands there
        version: of the schema
        texts: further columns, one text a video, by name
    """
    axes = array_axes(method)
    if path.exists():
        open_group(path, schema, None)
    with atomic_folder(path) as building:
        group = make_group(building)
        group.attrs.update({"schema": schema, "version": version, "method": method, **attributes})
        for name, values in {**{name: getattr(videos, name) for name in FACTS}, **texts}.items():
            column = _create(group, name, (len(videos),), "string", ("video",), chunk=len(videos))
            column[:] = np.array(values, dtype=object)
        if matcher is not None:
            _write_matcher(group, matcher)
        identity = _identity_of(videos, matcher)
        _write_batches(group, len(videos), batches, identity, axes)
        arrays = sorted(group.array_keys())
        seal(group, building, arrays, {"identity": identity.hexdigest()})
        if finish is not None:
            seal(group, building, arrays, finish(EmbeddingStore.open(building)))


def _write_batches(
    group: zarr.Group, count: int, batches: Iterable[EmbeddedBatch], identity: Identity, axes: Axes
) -> None:
    start = 0
    arrays: dict[str, _Rows] = {}
    group.attrs["arrays"] = {}
    for batch in batches:
        values = batch.stored(axes)
        if not arrays:
            arrays = {
                name: _Rows(_create_like(group, name, value, count, axes[name])) for name, value in values.items()
            }
            group.attrs["arrays"] = {name: list(axes[name]) for name in values}
            if batch.clip_frames is not None:
                group.attrs["clip_frames"] = [list(clip) for clip in batch.clip_frames]
        for name, value in values.items():
            arrays[name].add(value)
            identity.add(name, value)
        start += len(batch)
    for array in arrays.values():
        array.finish()
    if start != count:
        raise ValueError(f"{start} embeddings for {count} videos")


class _Rows:
    """Rows on their way into an array, by whole chunks: each of them is written once.

    Args:
        array: that is filled from its start
    """

    def __init__(self, array: zarr.Array[Any]) -> None:
        self._array, self._start = array, 0
        self._waiting: list[NDArray[Any]] = []  # rows from the start of a chunk on

    def add(self, rows: NDArray[Any]) -> None:
        """Take the next rows, and write the chunks that are full."""
        self._waiting.append(rows)
        full = sum(map(len, self._waiting)) // self._array.chunks[0] * self._array.chunks[0]
        if full:
            together = np.concatenate(self._waiting)
            self._write(together[:full])
            self._waiting = [together[full:]]

    def finish(self) -> None:
        """Write what is left."""
        if any(map(len, self._waiting)):
            self._write(np.concatenate(self._waiting))

    def _write(self, rows: NDArray[Any]) -> None:
        self._array[self._start : self._start + len(rows)] = rows
        self._start += len(rows)


def _write_matcher(group: zarr.Group, matcher: MatcherWeights) -> None:
    group.attrs[MATCHER] = {"frames": matcher.frames, "width": matcher.width}
    for name, values in matcher.values.items():
        axes = [f"axis {axis}" for axis in range(values.ndim)]
        array = _create(group, f"{MATCHER}.{name}", values.shape, str(values.dtype), axes, chunk=len(values))
        array[:] = values


def _create_like(group: zarr.Group, name: str, value: NDArray[Any], count: int, axes: Sequence[str]) -> zarr.Array[Any]:
    """Make room for an array of all videos, given that of some."""
    target = CHUNK_BYTES // CLIPS_SHARE if name == "clips" else CHUNK_BYTES
    fitting = target // max(1, value[:1].nbytes)
    chunk = 1 if name == "patches" else min(count, fitting)
    return _create(group, name, (count, *value.shape[1:]), str(value.dtype), axes, chunk=chunk)


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
        config={"write_empty_chunks": True},
    )
