"""What is searched: the global embeddings of all videos block by block, and all levels of a few of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from torch import Tensor

from hcl.extract.cache.video_table import Rows
from hcl.extract.system.errors import InputError
from hcl.match.config import HCL
from hcl.match.embeddings import HCL_AXES, Embeddings
from hcl.match.store.embedding_store import REMEDY, EmbeddingStore

BLOCK_BYTES = 64 * 2**20  # of float32 global embeddings, or of patches, that are read at a time
GLOBAL, PATCHES, KEYS = "global", "patches", "class_keys"


class SearchSource(Protocol):
    """Embeddings of V videos, wherever they are."""

    @property
    def fingerprint(self) -> str:
        """The same for the same embeddings."""

    @property
    def width(self) -> int:
        """D."""

    @property
    def video_bytes(self) -> int:
        """Of one video's patches."""

    def __len__(self) -> int:
        """V."""

    def globals(self, rows: Rows) -> Tensor:
        """The global embeddings of some rows, ascending: (n, D) float32."""

    def embeddings(self, rows: Rows, *, patches: bool = True) -> Embeddings:
        """All levels of some rows; without patches, zeros that take no memory stand for them."""


class StoreSource:
    """An embedding store of HCL as what is searched.

    Args:
        store: open
        attention: whether the class keys of its videos weigh patches (Eq. 5)

    Raises:
        InputError: if the store is of another method, empty, or its arrays do not belong together
    """

    def __init__(self, store: EmbeddingStore, *, attention: bool = False) -> None:
        if store.method != HCL:
            raise InputError(
                f"{store.path}: a store of method {store.method}; hcl search compares the levels of {HCL}: give a store"
                f" of a run of {HCL}"
            )
        self.store = store
        self._names = tuple(name for name in HCL_AXES if name in store.names and (attention or name != KEYS))
        first = self._first()
        self._frames = first.patches.shape[1]
        self.width, self.video_bytes = first.global_.shape[1], first.patches.numel() * first.patches.element_size()

    def _first(self) -> Embeddings:
        """The embeddings of the first video, which show the shapes."""
        path = self.store.path
        if not len(self):
            raise InputError(f"{path}: no videos in this store; {REMEDY}")
        try:
            return self.embeddings(np.zeros(1, np.int64))
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"{path}: not as an embedding store is written ({error}); {REMEDY}") from error

    def __len__(self) -> int:
        return len(self.store.videos)

    @property
    def fingerprint(self) -> str:
        """The store's identity."""
        return self.store.identity

    def globals(self, rows: Rows) -> Tensor:
        """The global embeddings of some rows, ascending: (n, D) float32."""
        return self.store.arrays((GLOBAL,), rows)[GLOBAL].float()

    def embeddings(self, rows: Rows, *, patches: bool = True) -> Embeddings:
        """All levels of some rows; without patches, zeros that take no memory stand for them."""
        names = [name for name in self._names if patches or name != PATCHES]
        arrays = self.store.arrays(names, rows)
        if not patches:
            no_patches = arrays[GLOBAL].new_zeros(1).expand(len(rows), self._frames, 1, self.width)
            arrays = {**arrays, PATCHES: no_patches}
        return Embeddings.of_arrays(arrays, self.store.clip_frames)


def global_blocks(source: SearchSource, *, size: int = 0) -> Iterator[tuple[int, Tensor]]:
    """The global embeddings of all videos, one block after the other.

    Args:
        source: of V videos
        size: videos in a block; 0: as many as fit into BLOCK_BYTES

    Yields:
        the first row of a block, and (n, D) float32
    """
    size = size or max(1, BLOCK_BYTES // (4 * source.width))
    for start in range(0, len(source), size):
        yield start, source.globals(np.arange(start, min(start + size, len(source))))


def videos_per_block(source: SearchSource) -> int:
    """How many videos of all levels are held at a time."""
    return max(2, BLOCK_BYTES // max(1, source.video_bytes))
