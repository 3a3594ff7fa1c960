"""The views of the training videos, in one numbering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class MapReader(Protocol):
    """What maps are read from: a cache."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, P, C) of a view's maps."""

    def view(self, row: int, view: int, out: NDArray[np.float16] | None = None) -> NDArray[np.float16]:
        """Read the maps (T, P, C) of one view of a video, into `out` if it is given."""


@dataclass(frozen=True)
class NumberedViews:
    """The views that are trained on, in one numbering: view w of video v is number v * per_video + w.

    Reading is safe from several threads.
    """

    reader: MapReader
    rows: NDArray[np.int64]  # (V,), the reader's row of each video
    per_video: int = 1

    def __len__(self) -> int:
        return len(self.rows) * self.per_video

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, P, C) of one of them."""
        return self.reader.shape

    @property
    def bytes_each(self) -> int:
        """Bytes of one of them in memory."""
        return 2 * int(np.prod(self.shape))

    def read(self, number: int, out: NDArray[np.float16] | None = None) -> NDArray[np.float16]:
        """Read the maps (T, P, C) of one of them, into `out` if it is given."""
        video, view = divmod(number, self.per_video)
        return self.reader.view(int(self.rows[video]), view, out)
