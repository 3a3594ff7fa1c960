"""How the maps of a video lie in the arrays of a cache: in one view or several, as float16 or one byte per value."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hcl.extract.config import CACHE_DTYPES
from hcl.extract.decoding.source import Source

ChunkKey = tuple[str, tuple[int, ...]]  # an array, and the place of one of its chunks: the video, and the view


EMBEDDING = "image_embedding"  # an array: embeddings of whole frames in the space of a model's texts


@dataclass(frozen=True)
class MapRecord:
    """One finished video: its maps, or the reason why it has none."""

    row: int  # in the cache
    maps: NDArray[np.float16] | None  # (T, P, C) of the canonical view
    frame_count: int = 0  # frames that the video shows
    decoder: str = ""  # that read it
    source: Source = Source()
    reason: str = ""  # why it failed
    views: NDArray[np.float16] | None = None  # (views - 1, T, P, C) of the further views
    embedding: NDArray[np.float16] | None = None  # (T, E) of the frames as wholes, where the backbone embeds them


@dataclass(frozen=True)
class FinishedVideo:
    """What a cache says of a video beside its maps, which are stored already, or are not to be."""

    row: int  # in the cache
    has_maps: bool
    frame_count: int
    decoder: str
    source: Source
    reason: str  # why it failed
    error: float  # relative, that rounding brought

    @classmethod
    def of(cls, record: MapRecord, error: float) -> Self:
        """What is said of a video that was read, or could not be."""
        has_maps = record.maps is not None
        return cls(record.row, has_maps, record.frame_count, record.decoder, record.source, record.reason, error)


@dataclass(frozen=True)
class MapArray:
    """One of the arrays: what a chunk of it is."""

    shape: tuple[int, ...]  # of a chunk
    dtype: str
    axes: tuple[str, ...]
    views: int = 0  # chunks of a video along an axis of its own; 0: no such axis

    @property
    def places(self) -> tuple[int, ...]:
        """The axes that say which chunk of a video."""
        return (self.views,) if self.views else ()


@dataclass(frozen=True)
class MapLayout:
    """What is stored of each video."""

    shape: tuple[int, int, int]  # (T, P, C) of a view
    views: int = 1
    dtype: str = "float16"
    embedding: int = 0  # E, width of the embeddings of whole frames; 0: there are none

    def __post_init__(self) -> None:
        if self.views < 1 or self.embedding < 0 or self.dtype not in CACHE_DTYPES:
            raise ValueError(f"{self.views = } must be at least 1, {self.dtype = } one of {CACHE_DTYPES}")

    @property
    def arrays(self) -> dict[str, MapArray]:
        """The arrays by name, as cache_schema.md lists them."""
        axes = ("frame", "patch", "channel")
        arrays = {"maps": MapArray(self.shape, self.dtype, ("video", *axes))}
        if self.views > 1:
            arrays["views"] = MapArray(self.shape, self.dtype, ("video", "view", *axes), self.views - 1)
        if self.is_quantised:
            arrays["scales"] = MapArray(
                (2, self.shape[2]), "float32", ("video", "view", "scale", "channel"), self.views
            )
        if self.embedding:
            arrays[EMBEDDING] = MapArray((self.shape[0], self.embedding), "float16", ("video", "frame", "embedding"))
        return arrays

    @property
    def is_quantised(self) -> bool:
        """Whether values are stored as codes that need a scale."""
        return self.dtype == "uint8"

    def chunk_keys(self, row: int) -> Iterator[ChunkKey]:
        """Name all chunks of a video."""
        for name, array in self.arrays.items():
            yield from ((name, (row, view)) for view in range(array.views)) if array.views else [(name, (row,))]

    def __str__(self) -> str:
        frames, patches, channels = self.shape
        views = f", {self.views} views" if self.views > 1 else ""
        return f"{frames} frames x {patches} patches x {channels} channels{views}, {self.dtype}"


def maps_key(row: int, view: int) -> ChunkKey:
    """Name the chunk that holds the maps of a view."""
    return ("views", (row, view - 1)) if view else ("maps", (row,))
