"""What a cache says, however it is stored: cache_schema.md as a class."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.edits import EDITS, NO_SPLIT, REMOVED, edited, edits_of
from hcl.extract.cache.layout import EMBEDDING, ChunkKey, MapLayout, maps_key
from hcl.extract.cache.quantisation import restore
from hcl.extract.cache.video_table import VideoTable
from hcl.extract.catalog.benchmarks.coverage import Coverage
from hcl.extract.catalog.splits import count_splits
from hcl.extract.catalog.videos import UNLABELLED
from hcl.extract.config import DEFAULTS
from hcl.extract.system.atomic import in_bucket, json_hash
from hcl.extract.system.errors import InputError
from hcl.extract.system.places.failures import BucketError

SCHEMA, VERSION = "hcl-cache", 3
REMAKE = "extract it anew with: hcl extract VIDEOS CACHE"  # where the version is an older one
PENDING, DONE, FAILED = 0, 1, 2
ATTRIBUTE_TYPES: dict[str, Any] = {"videos": int, "classes": int, "settings": dict, "text_model": dict | None}
MOST_VALUES = 2**30  # of a chunk: no codec takes more than 2 GiB
TEXT_COLUMNS = ("path", "label", "group", "decoder", "content", "reason")  # one string a video
NUMBER_COLUMNS = {"frame_count": "int32", "source_bytes": "int64", "source_modified": "int64", "status": "uint8"}
ERROR_COLUMN = "quantisation_error"  # one number a video, where maps are stored as uint8
CLASS_COLUMNS = ("class_name", "class_split", "class_text")  # one string a class
BENCHMARK = "benchmark"  # an attribute: of a published benchmark its name, its counts and the hash of its lists
MADE_BY = "made_by"  # an attribute of a cache in shards: the kinds of machines that computed its maps
LISTS = "lists_sha256"  # the key of that hash
COMPARED = ("backbone", "weights_sha256", "backbone_layer", "frames", "size", "motion", "exposure", "grid", "channels")


def _is_column(name: str, values: NDArray[Any]) -> bool:
    """Whether an array has the number of axes and the type that cache_schema.md says."""
    if name in TEXT_COLUMNS or name in CLASS_COLUMNS:
        return values.ndim == 1 and (values.dtype.kind in "TU" or all(isinstance(value, str) for value in values))
    if name == "class_embedding":
        return values.ndim == 2 and values.dtype == np.float32
    return values.ndim == 1 and values.dtype == NUMBER_COLUMNS.get(name, "float32")


def map_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a cache that another one must share for its maps to mean the same."""
    return {name: settings.get(name, DEFAULTS.get(name)) for name in COMPARED}


@dataclass(frozen=True)
class SourceTable:
    """How far the extraction of each of the V videos has come, and the file that it was read from."""

    status: NDArray[np.uint8]  # (V,) PENDING, DONE or FAILED
    reason: tuple[str, ...]  # why it failed, else ""
    source_bytes: NDArray[np.int64]  # (V,)
    source_modified: NDArray[np.int64]  # (V,) nanoseconds since 1970


class FrameMapCache(ABC):
    """Frame maps of videos, with the classes and the settings they were made by.

    Each kind of store reads attributes, arrays and chunks in its own way; the rest stands here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._videos: VideoTable | None = None
        self._sources: SourceTable | None = None
        self._splits: Mapping[str, str] = {}  # of classes, in place of those that are stored
        self._counted: dict[str, NDArray[np.int64]] = {}  # rows in the arrays of "videos" and "classes" that count

    @property
    @abstractmethod
    def layout(self) -> MapLayout:
        """How maps are stored."""

    @property
    @abstractmethod
    def attributes(self) -> dict[str, Any]:
        """All attributes, in plain types."""

    def _layout_of(
        self,
        maps: Sequence[int] | None,
        views: Sequence[int] | None,
        dtype: object,
        embedding: Sequence[int] | None = None,
    ) -> MapLayout:
        """Understand the shapes of the arrays of maps, as far as they can be those of a cache.

        Raises:
            InputError: if they cannot
        """
        further = views[1] if views is not None and len(views) == 5 else 0
        try:
            frames, patches, channels = maps[1:] if maps is not None else ()
            width = embedding[-1] if embedding is not None and len(embedding) == 3 else 0
            layout = MapLayout((frames, patches, channels), further + 1, str(dtype), width)
            sizes = {name: math.prod(array.shape) for name, array in layout.arrays.items()}
            if min(sizes.values()) < 1 or max(sizes.values()) > MOST_VALUES:
                raise ValueError(f"{max(sizes.values())} values in a chunk")
        except ValueError as error:
            raise InputError(
                f"{self.path}: maps of shape {maps} and type {dtype} are no frame maps; extract the cache anew"
            ) from error
        return layout

    @abstractmethod
    def _read_array(self, name: str, count: int) -> NDArray[Any] | None:
        """The first values of an array; None if there is no such array."""

    @abstractmethod
    def _read_chunk(self, key: ChunkKey, out: NDArray[Any]) -> None:
        """Read a chunk of the maps as stored; any of ValueError, RuntimeError, OSError, KeyError if it is damaged."""

    @property
    def shard_videos(self) -> int:
        """How many videos share a file of maps; 0: none do."""
        return 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, P, C) of a view's maps."""
        return self.layout.shape

    @property
    def n_views(self) -> int:
        """How many views there are of each video."""
        return self.layout.views

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the patches of a map.

        Raises:
            InputError: if the settings do not say, or of other patches
        """
        grid = self._attribute("settings").get("grid")
        try:
            rows, columns = map(int, grid)
        except (TypeError, ValueError):
            rows = columns = 0
        if rows * columns != self.shape[1] or rows < 1:
            raise InputError(
                f"{self.path}: the setting 'grid' is {grid}, expected [rows, columns] of its {self.shape[1]} patches;"
                " extract the cache anew"
            )
        return rows, columns

    def _attribute(self, name: str) -> Any:
        if name not in self.attributes:
            raise InputError(f"{self.path}: attribute {name!r} is missing; the cache is damaged, make it anew")
        value = self.attributes[name]
        if not isinstance(value, ATTRIBUTE_TYPES[name]) or (isinstance(value, int) and value < 0):
            raise InputError(
                f"{self.path}: attribute {name!r} is {value!r}, not as a cache has it; it is damaged, make it anew"
            )
        return value

    def column(self, name: str) -> NDArray[Any]:
        """One value a video or class; further ones were being appended when a run was killed.

        Videos and classes that were removed are left out: rows count those that remain.

        Raises:
            InputError: if the array is missing, too short or damaged
        """
        values = self._stored_column(name)
        rows = self._rows_that_count("classes" if name.startswith("class_") else "videos")
        return values if len(rows) == len(values) else values[rows]

    def _rows_that_count(self, of: str) -> NDArray[np.int64]:
        """Where in the arrays those "videos", or "classes", are that were not removed; read once after each write."""
        if of not in self._counted:
            name, gone = ("class_split", NO_SPLIT) if of == "classes" else ("status", REMOVED)
            self._counted[of] = np.flatnonzero(self._stored_column(name) != gone).astype(np.int64)
        return self._counted[of]

    def _stored_row(self, row: int) -> int:
        """Where in the arrays a video is."""
        return int(self._rows_that_count("videos")[row])

    @property
    def counted_attributes(self) -> dict[str, Any]:
        """All attributes of a cache that holds only what counts."""
        counts = {"videos": len(self._rows_that_count("videos")), "classes": len(self._rows_that_count("classes"))}
        return {name: value for name, value in (self.attributes | counts).items() if name != EDITS}

    def _stored_column(self, name: str) -> NDArray[Any]:
        """One value for each video or class that was ever there, as edits that are not finished have it."""
        count: int = self._attribute("classes" if name.startswith("class_") else "videos")
        try:
            values = self._read_array(name, count)
        except (ValueError, RuntimeError, OSError, TypeError) as error:
            raise InputError(f"{self.path}: array {name!r} is damaged ({error}); extract the cache anew") from error
        if values is None or values.ndim == 0 or len(values) < count:
            what = "missing" if values is None else f"shorter than {count}"
            raise InputError(f"{self.path}: array {name!r} is {what}; the cache is damaged, extract it anew")
        if not _is_column(name, values):
            raise InputError(
                f"{self.path}: array {name!r} is {values.dtype} {values.shape}, not as a cache has it; extract it anew"
            )
        try:
            return edited(values, edits_of(self.attributes, name))
        except ValueError as error:
            raise InputError(f"{self.path}: {error}; the cache is damaged, extract it anew") from error

    @property
    def column_names(self) -> tuple[str, ...]:
        """The arrays beside the maps."""
        return (
            *TEXT_COLUMNS,
            *NUMBER_COLUMNS,
            *((ERROR_COLUMN,) if self.layout.is_quantised else ()),
            *CLASS_COLUMNS,
            *(("class_embedding",) if self.text_model else ()),
        )

    def _strings(self, name: str) -> tuple[str, ...]:
        return tuple(str(value) for value in self.column(name))

    @property
    def videos(self) -> VideoTable:
        """The table of all videos, read once and again after each write."""
        if self._videos is None:
            label, splits = self._strings("label"), self.class_splits
            if not set(label) <= {*splits, UNLABELLED}:
                raise InputError(f"{self.path}: videos of unlisted classes; the cache is damaged, extract it anew")
            self._videos = VideoTable(
                path=self._strings("path"),
                label=label,
                split=tuple(splits.get(name, "") for name in label),
                group=self._strings("group"),
                content=self._strings("content"),
            )
        return self._videos

    @property
    def sources(self) -> SourceTable:
        """What became of each video, read once and again after each write."""
        if self._sources is None:
            self._sources = SourceTable(
                status=self.column("status"),
                reason=self._strings("reason"),
                source_bytes=self.column("source_bytes"),
                source_modified=self.column("source_modified"),
            )
        return self._sources

    def _forget_tables(self) -> None:
        """Let the tables be read anew: something was written."""
        self._videos = self._sources = None
        self._counted = {}

    def with_splits(self, splits: Mapping[str, str]) -> Self:
        """Look at the same cache with other splits of its classes; the store itself stays as it is.

        Args:
            splits: of every class, "base", "val" or "novel"

        Raises:
            InputError: if a class of the cache is not named
        """
        missing = [name for name in self.class_names if name not in splits]
        if missing:
            raise InputError(f"no split for class {missing[0]!r}; list every class of {self.path}")
        other = copy(self)
        other._splits = {name: splits[name] for name in self.class_names}
        other._videos = None
        return other

    @property
    def waits(self) -> bool:
        """Whether each reading waits for a network, so that several go side by side."""
        return in_bucket(self.path)

    def resolve_views(self, count: int, option: str = "--views") -> int:
        """How many views of each video to use: `count`, or all there are where that is 0.

        Args:
            count: views of each video; 0: all
            option: that names them on the command line, for the message

        Raises:
            InputError: if the cache holds fewer
        """
        if count > self.n_views:
            raise InputError(
                f"{option} {count}: {self.path} holds {self.n_views} of each video;"
                " extract more with hcl extract --views"
            )
        return count or self.n_views

    @property
    def settings(self) -> dict[str, Any]:
        """The settings the maps depend on."""
        return dict(self._attribute("settings"))

    @property
    def text_model(self) -> dict[str, str] | None:
        """{"model": name, "sha256": of its weights} of the class texts' embeddings; None without embeddings."""
        model = self._attribute("text_model")
        return dict(model) if model else None

    @property
    def class_names(self) -> tuple[str, ...]:
        """The K labels in the order in which they entered the cache."""
        return self._strings("class_name")

    @property
    def class_splits(self) -> dict[str, str]:
        """The split of each label."""
        return dict(self._splits) or dict(zip(self.class_names, self._strings("class_split"), strict=True))

    @property
    def class_texts(self) -> dict[str, str]:
        """The text of each label."""
        return dict(zip(self.class_names, self._strings("class_text"), strict=True))

    @property
    def text_embeddings(self) -> NDArray[np.float32] | None:
        """(K, E) embeddings of the class texts, in the order of class_names; None with --no-text."""
        return self.column("class_embedding") if self.text_model else None

    @property
    def lists_identity(self) -> str:
        """The hash of the lists of the published benchmark that the cache holds; "" if it holds none."""
        stored = self.attributes.get(BENCHMARK)
        return str(stored.get(LISTS, "")) if isinstance(stored, dict) else ""

    @property
    def coverage(self) -> Coverage | None:
        """How much of a published benchmark the cache holds, by its finished videos; None if it holds none.

        Raises:
            InputError: if the attribute is not as it is written
        """
        stored = self.attributes.get(BENCHMARK)
        if stored is None:
            return None
        finished = self.videos.take(self.rows())
        counts = {"present": count_splits(finished.label, finished.split)}
        return Coverage.from_dict({**stored, **counts} if isinstance(stored, dict) else stored, str(self.path))

    @property
    def identity(self) -> str:
        """A hash of the settings, the videos and their contents: equal for caches that hold the same maps."""
        videos = sorted(zip(self.videos.path, self.videos.content, self.sources.status.tolist(), strict=True))
        return json_hash([self.settings, videos])

    @property
    def labels_identity(self) -> str:
        """A hash of what is said of the videos: equal for caches that give them the same names, classes and groups."""
        return json_hash(sorted(zip(self.videos.path, self.videos.label, self.videos.group, strict=True)))

    @property
    def left_out(self) -> Mapping[int, int]:
        """Rows that `rows` leaves out of their split, and the row of the byte-identical video of an earlier split."""
        return self.videos.in_earlier_split

    def rows(self, split: str | None = None) -> NDArray[np.int64]:
        """Row numbers of the finished videos, of all, or of one split without those of `left_out`."""
        rows = self.videos.rows(split)
        rows = np.asarray(rows[self.sources.status[rows] == DONE])
        return rows if split is None or not self.left_out else np.setdiff1d(rows, list(self.left_out)).astype(np.int64)

    @property
    def quantisation_error(self) -> float | None:
        """The mean over finished videos of the relative error that uint8 brought; None where nothing was rounded."""
        rows = self.rows()
        return float(self.column(ERROR_COLUMN)[rows].mean()) if self.layout.is_quantised and len(rows) else None

    def maps(self, row: int, out: NDArray[np.float16] | None = None) -> NDArray[np.float16]:
        """Read the maps of one finished video: those of its canonical view, (T, P, C) float16; see `view`."""
        return self.view(row, 0, out)

    def view(self, row: int, view: int, out: NDArray[np.float16] | None = None) -> NDArray[np.float16]:
        """Read the maps of one view of a finished video.

        Args:
            row: of the video
            view: 0 is the canonical one
            out: where the maps go, C-contiguous; None: a new array

        Returns:
            (T, P, C) float16

        Raises:
            InputError: if they are damaged
        """
        if not 0 <= view < self.n_views:
            raise ValueError(f"{view = } of {self.n_views} views")
        if out is not None and (out.shape != self.shape or out.dtype != np.float16 or not out.flags.c_contiguous):
            given = f"{out.shape = }, {out.dtype = }, {out.strides = }"
            raise ValueError(f"{given}, expected {self.shape} float16 in one piece")
        maps = np.empty(self.shape, np.float16) if out is None else out
        if not self.layout.is_quantised:
            self._read_checked(maps_key(row, view), maps)
            return maps
        restore(self.chunk(maps_key(row, view)), self.chunk(("scales", (row, view))), maps)
        return maps

    def image_embedding(self, row: int) -> NDArray[np.float16]:
        """Read the embeddings (T, E) of the frames of a finished video as wholes, which some backbones give.

        Raises:
            InputError: if they are damaged
        """
        return self.chunk((EMBEDDING, (row,)))

    def chunk(self, key: ChunkKey) -> NDArray[Any]:
        """Read a chunk of the maps as it is stored.

        Raises:
            InputError: if it is damaged
        """
        array = self.layout.arrays[key[0]]
        values = np.empty(array.shape, array.dtype)
        self._read_checked(key, values)
        return values

    def _read_checked(self, key: ChunkKey, out: NDArray[Any]) -> None:
        try:
            self._read_chunk(self._stored_key(key), out)
        except (ValueError, RuntimeError, OSError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.path}: the maps of {self.videos.path[key[1][0]]} are damaged ({error});"
                " run hcl extract with --repair to redo them"
            ) from error

    def _stored_key(self, key: ChunkKey) -> ChunkKey:
        """Where in the arrays a chunk is."""
        name, (row, *further) = key
        return name, (self._stored_row(row), *further)

    def intact(self, row: int) -> bool:
        """Whether all maps of a finished video can be read back."""
        try:
            for key in self.layout.chunk_keys(row):
                self.chunk(key)
        except BucketError:
            raise
        except InputError:
            return False
        return True
