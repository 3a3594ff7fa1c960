"""Some videos of a cache in some of their views, seen as a cache of its own: what a training may learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.cache.layout import ChunkKey, MapLayout
from hcl.extract.cache.video_table import Rows

OF_CLASSES = ("class_name", "class_text", "class_embedding")  # arrays of one value a class


@dataclass(frozen=True)
class Shown:
    """A video of a cache, and the views of it that are shown."""

    row: int
    views: tuple[int, ...]  # the first of them as the canonical one


class SelectedVideos(FrameMapCache):
    """Some videos of a cache; one may be shown more than once, each time in other views.

    The classes are those that have a video here, in the order of the cache. Videos are called as there.

    Args:
        cache: whose videos they are
        shown: of each video, in as many views as the others
        with_texts: whether the embeddings of class texts are shown, too
    """

    def __init__(self, cache: FrameMapCache, shown: Sequence[Shown], *, with_texts: bool = True) -> None:
        super().__init__(cache.path)
        if len({len(each.views) for each in shown}) != 1:
            raise ValueError(f"videos in different numbers of views: {sorted({len(each.views) for each in shown})}")
        self.cache, self.shown = cache, tuple(shown)
        self._rows = np.array([each.row for each in shown], dtype=np.int64)
        labels = {cache.videos.label[row] for row in self._rows}
        self._classes = [place for place, name in enumerate(cache.class_names) if name in labels]
        self._attributes = {
            "settings": cache.settings,
            "text_model": cache.text_model if with_texts else None,
            "videos": len(self.shown),
            "classes": len(self._classes),
        }

    @property
    def layout(self) -> MapLayout:
        """As float16, however the cache stores maps."""
        return MapLayout(self.cache.shape, len(self.shown[0].views))

    @property
    def attributes(self) -> dict[str, Any]:
        """As of the cache; the numbers are those of what is shown."""
        return dict(self._attributes)

    def _read_array(self, name: str, count: int) -> NDArray[Any]:
        if name == "class_split":
            splits = list(self.cache.class_splits.values())
            return np.array([splits[place] for place in self._classes], dtype=object)
        return self.cache.column(name)[self._classes if name in OF_CLASSES else self._rows]

    def _read_chunk(self, key: ChunkKey, out: NDArray[Any]) -> None:
        _, (row, *further) = key
        each = self.shown[row]
        self.cache.view(each.row, each.views[further[0] + 1 if further else 0], out)


def of_rows(cache: FrameMapCache, rows: Rows, *, with_texts: bool = True) -> SelectedVideos:
    """Some videos of a cache, each once in all its views."""
    views = tuple(range(cache.n_views))
    return SelectedVideos(cache, [Shown(int(row), views) for row in rows], with_texts=with_texts)


def dealt_views(cache: FrameMapCache, rows: Rows, views: int, *, with_texts: bool = True) -> SelectedVideos:
    """Some videos of a cache, whose views are dealt out to as many videos as there are views for.

    So a training that draws few views of each video meets all of them, and a class of one clip has several videos.

    Args:
        cache: of more views than shall be shown of one video
        rows: (V,) of the cache
        views: that each video has here, at most those of the cache; what remains of them is not shown
        with_texts: as of `SelectedVideos`
    """
    starts = range(0, cache.n_views - views + 1, views)
    shown = [Shown(int(row), tuple(range(start, start + views))) for start in starts for row in rows]
    return SelectedVideos(cache, shown, with_texts=with_texts)
