"""The cache in Zarr v3 format: create, extend, write, read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from hcl.extract.cache.base import (
    BENCHMARK,
    DONE,
    ERROR_COLUMN,
    FAILED,
    LISTS,
    MADE_BY,
    NUMBER_COLUMNS,
    REMAKE,
    SCHEMA,
    TEXT_COLUMNS,
    VERSION,
    FrameMapCache,
)
from hcl.extract.cache.chunk_reader import decode_chunk, read_chunk
from hcl.extract.cache.edits import EDITS, REMOVED, Edits, edits_of
from hcl.extract.cache.layout import EMBEDDING, ChunkKey, FinishedVideo, MapLayout, MapRecord
from hcl.extract.cache.quantisation import encode_views
from hcl.extract.cache.sharding.places import Sharding, ShardUnit, shard_units
from hcl.extract.cache.sharding.shard_file import read_entry
from hcl.extract.cache.sharding.shard_writer import UnitWriter, rewrite_shard
from hcl.extract.cache.zarr_arrays import ROWS_PER_CHUNK, create_arrays, stored_order, videos_per_shard
from hcl.extract.catalog.benchmarks.listing import Listing
from hcl.extract.catalog.videos import Video
from hcl.extract.system.atomic import UNFINISHED, atomic_folder, in_bucket, remove_folder, stays_within
from hcl.extract.system.errors import InputError, write_errors
from hcl.extract.system.places.location import place_of
from hcl.extract.system.places.objects import side_by_side
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

PARTIAL = ".partial"  # ends the name of a file that zarr has not finished


class ZarrCache(FrameMapCache):
    """A cache in a folder or bucket in Zarr v3 format; the only form that is written to while extracting."""

    def __init__(self, path: Path, group: zarr.Group) -> None:
        super().__init__(path)
        self._group = group
        maps, further = self._array("maps"), "views" in sealed_arrays(group)
        opened = {"maps": maps, **({"views": self._array("views")} if further else {})}
        views = opened["views"].shape if further else None
        embedding = self._array(EMBEDDING).shape if EMBEDDING in sealed_arrays(group) else None
        self._layout = self._layout_of(maps.shape, views, maps.dtype, embedding)
        self._map_arrays = {name: opened[name] if name in opened else self._array(name) for name in self._layout.arrays}
        self._orders = {name: stored_order(array) for name, array in self._map_arrays.items()}
        self._sharding = self._find_sharding()

    @classmethod
    def open(cls, path: str | Path, *, mode: str = "r") -> "ZarrCache":
        """Open a cache for reading ("r") or writing ("r+").

        Raises:
            InputError: if it is missing, not a cache, of another version, or damaged
        """
        path = place_of(path)
        return cls(path, open_group(path, SCHEMA, VERSION, mode=mode, remedy=REMAKE, growing=True))

    @classmethod
    def create(
        cls,
        path: Path,
        settings: Mapping[str, Any],
        *,
        shape: tuple[int, int, int],
        views: int = 1,
        dtype: str = "float16",
        embedding: int = 0,
        shard_videos: int = 0,
    ) -> "ZarrCache":
        """Make an empty cache atomically: it is built beside `path` and renamed into place.

        Args:
            path: of the new store
            settings: what the maps depend on; written as the attribute "settings"
            shape: (T, P, C) of a view's maps
            views: of each video
            dtype: one of CACHE_DTYPES
            embedding: width of the embeddings of whole frames; 0: there are none
            shard_videos: videos whose maps share a file; 0: each chunk is a file

        Raises:
            InputError: if something is there already or the place cannot be written
        """
        if path.exists():
            raise InputError(f"{path}: already exists and is no cache; name another place or remove it")
        with write_errors(path, "check the folder and its permissions"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_folder(path) as fresh:
                _write_empty(fresh, settings, MapLayout(shape, views, dtype, embedding), shard_videos)
        return cls.open(path, mode="r+")

    @classmethod
    def restore(cls, path: Path, source: FrameMapCache, shard_videos: int = 0) -> "ZarrCache":
        """Make a cache, in an empty folder, of all in another one but its maps.

        `write_chunk` is to write them, or where there are shards `hcl.extract.cache.sharding`.

        Args:
            path: of the folder
            source: the other cache
            shard_videos: videos whose maps share a file; 0: each chunk is a file
        """
        _write_empty(path, source.settings, source.layout, shard_videos)
        made = cls.open(path, mode="r+")
        if source.text_embeddings is not None and source.text_model is not None:
            made.set_text_model(source.text_embeddings[:0], source.text_model)
        for name in source.column_names:
            made._append(name, 0, source.column(name))
        made._resize_maps(len(source.videos))
        made._set(source.counted_attributes)
        made._forget_tables()
        return made

    def write_chunk(self, key: ChunkKey, values: NDArray[Any]) -> None:
        """Write a chunk of the maps as it is to be stored, as a file of its own."""
        if self._sharding:
            raise ValueError(f"{self.path}: chunks of shards are written by their shards")
        name, place = self._stored_key(key)
        folder = self.path / "/".join([name, "c", *map(str, place)])
        if not stays_within(self.path, folder):
            raise InputError(f"{folder}: a link out of the cache; remove it, then run again")
        self._map_arrays[name][place] = values

    def _find_sharding(self) -> Sharding | None:
        """How the maps lie in shards; None: each chunk is a file.

        Raises:
            InputError: if the arrays of maps have shards of different numbers of videos
        """
        counts = {videos_per_shard(array) for array in self._map_arrays.values()}
        if len(counts) > 1:
            raise InputError(f"{self.path}: its arrays of maps have different shards; extract the cache anew")
        count = counts.pop()
        return Sharding(self.path, count, self._layout, self._orders) if count else None

    @property
    def sharding(self) -> Sharding | None:
        """How the maps lie in shards; None: each chunk is a file."""
        return self._sharding

    @property
    def shard_videos(self) -> int:
        """How many videos share a file of maps; 0: none do."""
        return self._sharding.videos if self._sharding else 0

    def units(self, pending: Iterable[tuple[int, Path]]) -> list[ShardUnit]:
        """Part videos that are to be read by the shards in which their maps will lie.

        Args:
            pending: row and source of each

        Raises:
            ValueError: if the cache has no shards
        """
        if self._sharding is None:
            raise ValueError(f"{self.path}: no shards")
        stored = self._rows_that_count("videos")
        done = stored[self.sources.status == DONE]
        return shard_units(pending, stored, done.tolist(), self._sharding.videos)

    def _resize_maps(self, videos: int) -> None:
        for array in self._map_arrays.values():
            array.resize((videos, *array.shape[1:]))

    @property
    def layout(self) -> MapLayout:
        """How maps are stored."""
        return self._layout

    @property
    def attributes(self) -> dict[str, Any]:
        """All attributes, in plain types."""
        return {name: value for name, value in self._group.attrs.items() if name != SEAL}

    def _set(self, changes: Mapping[str, Any], without: tuple[str, ...] = ()) -> None:
        """Write attributes, and what proves them whole; remove some."""
        arrays = sealed_arrays(self._group) | ({"class_embedding"} if changes.get("text_model") else set())
        seal(self._group, self.path, sorted(arrays), changes, growing=True, without=without)

    def _read_array(self, name: str, count: int) -> NDArray[Any] | None:
        if name not in sealed_arrays(self._group):
            return None
        array = self._array(name)
        return read_rows(self.path, array, slice(0, min(count, array.shape[0])))

    def _read_chunk(self, key: ChunkKey, out: NDArray[Any]) -> None:
        name, place = key
        number, within = self._sharding.place(key) if self._sharding else (0, 0)
        whole = [*map(str, place), *"0" * out.ndim]
        file = self._sharding.file(name, number) if self._sharding else self.path / "/".join([name, "c", *whole])
        if not stays_within(self.path, file):
            raise ValueError(f"{file} leads out of the cache")
        if self._sharding:
            decode_chunk(read_entry(file, within, self._sharding.count(name)), out, self._orders[name])
        else:
            read_chunk(file, out, self._orders[name])

    def _array(self, name: str) -> zarr.Array[Any]:
        """An array of which every chunk is written, also one of nothing but zeros: a missing one is damage."""
        array = open_array(self.path, self._group, name)
        if array is None:
            raise InputError(f"{self.path}: array {name!r} is missing; the cache is damaged, extract it anew")
        return array

    def add_classes(
        self, splits: Mapping[str, str], texts: Mapping[str, str], embeddings: NDArray[np.float32] | None
    ) -> None:
        """Append classes, each with its split, its text and, unless the cache does without, its (E,) embedding."""
        start = int(self._attribute("classes"))
        self._append("class_name", start, list(splits))
        self._append("class_split", start, list(splits.values()))
        self._append("class_text", start, [texts[name] for name in splits])
        if embeddings is not None:
            self._append("class_embedding", start, embeddings)
        self._set({"classes": start + len(splits)})
        self._forget_tables()

    def set_benchmark(self, listing: Listing) -> None:
        """Write which published benchmark the cache is to hold."""
        facts = {BENCHMARK: listing.benchmark.name, "listed": listing.counts, LISTS: listing.identity}
        self._set({BENCHMARK: facts})

    def set_made_by(self, kinds: Sequence[Mapping[str, str]]) -> None:
        """Write which kinds of machines computed the maps."""
        self._set({MADE_BY: [dict(kind) for kind in kinds]})

    def set_text_model(self, embeddings: NDArray[np.float32], model: Mapping[str, str]) -> None:
        """Write the (K, E) embeddings of all class texts and the model that they came from."""
        if len(embeddings) != len(self.class_names):
            raise ValueError(f"{embeddings.shape = } for {len(self.class_names)} classes")
        of_all = np.zeros((self._attribute("classes"), embeddings.shape[1]), np.float32)
        of_all[self._rows_that_count("classes")] = embeddings
        self._group.create_array(
            "class_embedding",
            data=of_all,
            chunks=(ROWS_PER_CHUNK, embeddings.shape[1]),
            compressors=compressors(),
            dimension_names=("class", "text"),
            overwrite=True,
            config={"write_empty_chunks": True},
        )
        self._set({"text_model": dict(model)})

    def add_videos(self, videos: Sequence[Video]) -> None:
        """Append pending rows for videos whose classes are there already; they count once all is written."""
        start = int(self._attribute("videos"))
        self._resize_maps(start + len(videos))
        for name in TEXT_COLUMNS:
            self._append(name, start, [getattr(video, name, "") for video in videos])
        for name in (*NUMBER_COLUMNS, *((ERROR_COLUMN,) if self.layout.is_quantised else ())):
            self._append(name, start, np.zeros(len(videos), self._array(name).dtype))
        self._set({"videos": start + len(videos)})
        self._forget_tables()

    def _append(self, name: str, start: int, values: Sequence[str] | NDArray[Any]) -> None:
        array = self._array(name)
        self._rows(name, slice(start // ROWS_PER_CHUNK * ROWS_PER_CHUNK, start))
        array.resize((start + len(values), *array.shape[1:]))
        if len(values):
            array[start:] = np.asarray(values, dtype=object if isinstance(values[0], str) else array.dtype)

    def remove_partial_writes(self, rows: Iterable[int]) -> None:
        """Remove what writes that were killed left behind: of the columns, and of the maps of some videos.

        A bucket shows no part of an object.
        """
        if in_bucket(self.path):
            return
        for name in ("", *self.column_names, *self._map_arrays):
            for depth in ("*", "c/*", "c/*/*") if name not in self._map_arrays else ("*",):
                _remove_partial((self.path / name).glob(depth + PARTIAL))
        per_file = self._sharding.videos if self._sharding else 1
        for place in sorted({self._stored_row(row) // per_file for row in rows}):
            for name in self._map_arrays:
                for ending in (PARTIAL, UNFINISHED):
                    _remove_partial((self.path / name / "c" / str(place)).rglob("*" + ending))

    def edit(self, edits: Edits, settings: Mapping[str, Any] | None = None) -> None:
        """Change what is said of videos and classes, in place, at once or not at all; maps stay as they are.

        A video or class that is removed keeps its place in the arrays, but counts no more: the rows of those after it
        become smaller. Its maps are deleted.

        Args:
            edits: of videos by their rows, and of classes
            settings: all settings, where some differ now
        """
        self.finish_edits()
        classes = dict(zip(self.class_names, self._rows_that_count("classes").tolist(), strict=True))
        stored = edits.stored(self._rows_that_count("videos"), classes)
        self._set({EDITS: stored, **({"settings": dict(settings)} if settings else {})})
        self.finish_edits()

    def finish_edits(self) -> None:
        """Write what edits say into the arrays; those of a process that was killed, too."""
        edits = self.attributes.get(EDITS)
        if edits is None:
            return
        self.class_names, self.videos, self.sources  # refuses damage  # noqa: B018
        values = {name: edits_of(self.attributes, name) for name in edits}
        for name, of_rows in values.items():
            self._update(name, np.array(list(of_rows), np.int64), list(of_rows.values()))
        self._delete_maps([row for row, status in values.get("status", {}).items() if status == REMOVED])
        self._set({}, without=(EDITS,))
        self._forget_tables()

    def _delete_maps(self, rows: Sequence[int]) -> None:
        """Delete the maps of videos, given their places in the arrays."""
        if self._sharding:
            self._delete_in_shards(self._sharding, set(rows))
            return
        for row, name in product(rows, self._map_arrays):
            folder = self.path / name / "c" / str(row)
            if not stays_within(self.path, folder):
                raise InputError(f"{folder}: a link out of the cache; remove it, then run again")
            remove_folder(folder)

    def _delete_in_shards(self, sharding: Sharding, rows: set[int]) -> None:
        """Write the shards of some videos anew without them; those that have maps stay."""
        done = np.flatnonzero(self._stored_column("status") == DONE)
        for number in sorted({row // sharding.videos for row in rows}):
            kept = done[done // sharding.videos == number].tolist()
            rewrite_shard(sharding, number, {name: {} for name in self._map_arrays}, set(kept) - rows)

    def write(self, records: Sequence[MapRecord]) -> None:
        """Write finished videos: the maps first, then what is known of them, the status last.

        A kill between any two of these leaves videos that count as pending and are simply written again.
        """
        if self._sharding:
            sources = [(record.row, Path()) for record in records]
            writer = UnitWriter(self._sharding)
            writer.expect(*self.units(sources))
            self.mark([video for shard in writer.write(records) for video in shard.videos])
            return
        errors = self._several(partial(self._write_maps, record) for record in records)
        self.mark([FinishedVideo.of(record, error) for record, error in zip(records, errors, strict=True)])

    def mark(self, videos: Sequence[FinishedVideo]) -> None:
        """Write what is known of videos whose maps are there, or which failed; the status last."""
        rows = self._rows_that_count("videos")[[video.row for video in videos]]
        columns: dict[str, list[Any]] = {
            **{name: [getattr(video, name) for video in videos] for name in ("decoder", "reason", "frame_count")},
            "content": [video.source.content for video in videos],
            "source_bytes": [video.source.bytes for video in videos],
            "source_modified": [video.source.modified_ns for video in videos],
            **({ERROR_COLUMN: [video.error for video in videos]} if self.layout.is_quantised else {}),
        }
        self._several(partial(self._update, name, rows, values) for name, values in columns.items())
        self._update("status", rows, [DONE if video.has_maps else FAILED for video in videos])
        self._videos = self._sources = None  # which rows count is as it was

    def _several(self, writes: Iterable[Callable[[], Any]]) -> list[Any]:
        """Do several writes: side by side in a bucket, where each one waits, else one after the other."""
        return side_by_side(lambda write: write(), writes) if in_bucket(self.path) else [write() for write in writes]

    def _write_maps(self, record: MapRecord) -> float:
        """Write the maps of all views, if there are any, and return the relative error of what was stored."""
        if record.maps is None:
            return 0.0
        chunks, error = encode_views(record, self.layout)
        for key, values in chunks.items():
            self.write_chunk(key, values)
        return error

    def _rows(self, name: str, rows: slice) -> NDArray[Any]:
        """Read what a chunk holds before it is written anew."""
        try:
            return read_rows(self.path, self._array(name), rows)
        except ValueError as error:
            raise InputError(f"{self.path}: array {name!r} is damaged ({error}); extract the cache anew") from error

    def _update(self, name: str, rows: NDArray[np.int64], values: Sequence[str | float]) -> None:
        """Rewrite the chunks that hold some places of an array, whole: a chunk is replaced atomically."""
        array = self._array(name)
        for chunk in np.unique(rows // ROWS_PER_CHUNK):
            start, stop = chunk * ROWS_PER_CHUNK, min((chunk + 1) * ROWS_PER_CHUNK, array.shape[0])
            block = self._rows(name, slice(start, stop)).copy()
            for place in np.flatnonzero(rows // ROWS_PER_CHUNK == chunk):
                block[rows[place] - start] = values[int(place)]
            array[start:stop] = block


def _write_empty(folder: Path, settings: Mapping[str, Any], layout: MapLayout, shard_videos: int) -> None:
    """Write a cache without videos into an empty folder."""
    group = make_group(folder)
    create_arrays(group, layout, shard_videos)
    made = {"schema": SCHEMA, "version": VERSION, "settings": dict(settings)}
    counts = {"text_model": None, "videos": 0, "classes": 0}
    seal(group, folder, group.array_keys(), {**made, **counts}, growing=True)


def _remove_partial(files: Iterable[Path]) -> None:
    for file in list(files):
        file.unlink(missing_ok=True)
