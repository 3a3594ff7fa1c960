"""Several caches seen as one, so that an encoder learns on the base classes of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.base import CLASS_COLUMNS, FrameMapCache
from hcl.extract.cache.layout import ChunkKey, MapLayout
from hcl.extract.hub.class_texts import clean_name
from hcl.extract.system.errors import InputError
from hcl.extract.system.places.location import joined_places

OF_CLASSES = (*CLASS_COLUMNS, "class_embedding")  # arrays of one value a class


class JoinedCaches(FrameMapCache):
    """Several caches as one, for training: their videos one set after the other, in as many views as all have.

    A *set* is what one cache holds. A class is called `SET/class`, or, with merged classes, as in its cache: classes
    of the same name are then one, with the class text of the first set that has it. Videos are called `SET/path`.
    Base videos that are byte-identical to a val or novel video of another set are left out, as are val and novel videos
    that are byte-identical to one of an earlier split of their own set: `rows` does not give them.
    The path names all caches, for messages; nothing can be opened by it.

    Args:
        sets: caches of like maps and class texts, by the name of their set; they come in the order of the names
        merge_classes: whether classes of the same name are one
    """

    def __init__(self, sets: Mapping[str, FrameMapCache], *, merge_classes: bool = False) -> None:
        self.sets: dict[str, FrameMapCache] = dict(sorted(sets.items()))
        self.merge_classes = merge_classes
        super().__init__(joined_places([cache.path for cache in self.sets.values()]))
        self._caches = tuple(self.sets.values())
        sizes = [len(cache.videos) for cache in self._caches]
        self._starts = np.cumsum([0, *sizes])  # row of each set's first video, and the number of all videos
        self.set_numbers = np.repeat(np.arange(len(sizes)), sizes)  # (V,) of each video's set, in the order of `sets`
        labels = {name: cache.class_names for name, cache in self.sets.items()}
        self._names = tuple(dict.fromkeys(self.class_name(name, label) for name in labels for label in labels[name]))
        self._attributes = {
            "settings": shared_settings([cache.settings for cache in self._caches]),
            "text_model": self._caches[0].text_model,
            "videos": sum(sizes),
            "classes": len(self._names),
        }

    def class_name(self, name: str, label: str) -> str:
        """What a class of a set is called here."""
        return label if self.merge_classes else f"{name}/{label}"

    def alike(self, name: str) -> set[str]:
        """The classes that read as one does, of whatever set, and itself."""
        readable = clean_name(self._label(name))
        return {each for each in self._names if clean_name(self._label(each)) == readable}

    def _label(self, name: str) -> str:
        """What a class is called in its own set."""
        return name if self.merge_classes else name.partition("/")[2]

    @property
    def layout(self) -> MapLayout:
        """How maps are seen: as float16, however each cache stores them, and in as many views as all have."""
        return MapLayout(self._caches[0].shape, min(cache.n_views for cache in self._caches))

    @property
    def attributes(self) -> dict[str, Any]:
        """As of one cache; the settings are those in which all agree."""
        return dict(self._attributes)

    def _read_array(self, name: str, count: int) -> NDArray[Any]:
        if name == "class_name":
            return np.array(self._names, dtype=object)
        if name in OF_CLASSES:
            return self._column_of_classes(name)
        return np.concatenate([self._column_of_set(name, of_set) for of_set in self.sets])

    def _column_of_classes(self, name: str) -> NDArray[Any]:
        """One value a class, of the first set that has it; the splits are those that each cache is seen with."""
        values: dict[str, Any] = {}
        for of_set, cache in self.sets.items():
            column = cache.class_splits.values() if name == "class_split" else cache.column(name)
            for label, value in zip(cache.class_names, column, strict=True):
                values.setdefault(self.class_name(of_set, label), value)
        return np.array([values[called] for called in self._names])

    def _column_of_set(self, name: str, of_set: str) -> NDArray[Any]:
        """One value a video of a set; the names of videos, classes and groups are told apart by set."""
        values = self.sets[of_set].column(name)
        if name == "label":
            return np.array([label and self.class_name(of_set, str(label)) for label in values], dtype=object)
        if name in ("path", "group"):  # people of two sets are different people
            return np.array([f"{of_set}/{value}" if value else "" for value in values], dtype=object)
        return values

    def _read_chunk(self, key: ChunkKey, out: NDArray[Any]) -> None:
        _, (row, *further) = key
        number = self.set_numbers[row]
        self._caches[number].view(int(row - self._starts[number]), further[0] + 1 if further else 0, out)

    def with_splits(self, splits: Mapping[str, str]) -> Self:
        """Look at the same caches with other splits of the classes.

        Args:
            splits: of every class, by what it is called here

        Raises:
            InputError: if a class is not named
        """
        if missing := [name for name in self._names if name not in splits]:
            form = "class" if self.merge_classes else "SET/class"
            raise InputError(f"no split for class {missing[0]!r}; list every class of {self.path}, as {form}")
        sets = {
            name: cache.with_splits({label: splits[self.class_name(name, label)] for label in cache.class_names})
            for name, cache in self.sets.items()
        }
        return type(self)(sets, merge_classes=self.merge_classes)

    @property
    def waits(self) -> bool:
        """Whether one of the caches does."""
        return any(cache.waits for cache in self._caches)

    def resolve_views(self, count: int, option: str = "--views") -> int:
        """As of one cache; where one holds too few, that one is named."""
        for cache in self._caches:
            cache.resolve_views(count, option)
        return count or self.n_views

    def rows(self, split: str | None = None) -> NDArray[np.int64]:
        """Row numbers of the finished videos, of one split or of all, without those that are left out."""
        rows = super().rows(split)
        return rows if split else np.setdiff1d(rows, list(self.left_out)).astype(np.int64)

    @cached_property
    def left_out(self) -> Mapping[int, int]:
        """Rows of videos that are left out, and the row of the video that they are byte-identical to."""
        found, splits = dict[int, int](), self.videos.split
        for start, cache in zip(self._starts.tolist(), self._caches, strict=False):
            found |= {start + row: start + other for row, other in cache.left_out.items()}
        for rows in (rows.tolist() for rows in self.videos.duplicates()):
            for row in (row for row in rows if splits[row] == "base"):
                elsewhere = [other for other in rows if self.set_numbers[other] != self.set_numbers[row]]
                if held_out := [other for other in elsewhere if splits[other] != "base"]:
                    found[row] = held_out[0]
        return found


def shared_settings(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The settings in which several caches agree; and the first one's weights, whose file may lie anywhere."""
    first = settings[0]
    return {
        name: value
        for name, value in first.items()
        if name == "weights" or all(one.get(name) == value for one in settings)
    }
