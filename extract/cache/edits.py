"""What a cache is to say otherwise of its videos and classes, as one attribute: it holds at once, or not at all.

The attribute is written first, in one file that is replaced atomically; whoever reads sees the arrays with it. Then the
arrays are written, and at last it is removed. A kill in between leaves the attribute, and the next writer finishes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

EDITS = "edits"  # the attribute: values by array and row, as JSON has them
REMOVED = 3  # the status of a video whose row does not count any more
NO_SPLIT = "removed"  # the split of a class that does not count any more
EDITABLE: Mapping[str, type] = {"path": str, "label": str, "group": str, "status": int, "class_split": str}
Stored = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Edits:
    """Changes of single videos, by their row, and of classes, by their name."""

    path: Mapping[int, str] = field(default_factory=dict)
    label: Mapping[int, str] = field(default_factory=dict)
    group: Mapping[int, str] = field(default_factory=dict)
    removed: tuple[int, ...] = ()  # rows
    splits: Mapping[str, str] = field(default_factory=dict)
    removed_classes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything changes."""
        return any((self.path, self.label, self.group, self.removed, self.splits, self.removed_classes))

    def stored(self, rows: NDArray[np.int64], classes: Mapping[str, int]) -> Stored:
        """The attribute, given the rows in the arrays of all videos that count, and of all classes."""
        named = {"path": self.path, "label": self.label, "group": self.group}
        found: Stored = {
            name: {str(rows[row]): value for row, value in values.items()} for name, values in named.items()
        }
        found["status"] = {str(rows[row]): REMOVED for row in self.removed}
        splits = {**self.splits, **dict.fromkeys(self.removed_classes, NO_SPLIT)}
        found["class_split"] = {str(classes[name]): split for name, split in splits.items()}
        return {name: values for name, values in found.items() if values}


def edits_of(attributes: Mapping[str, Any], name: str) -> dict[int, Any]:
    """The values that an array is to have, by row, as the attributes of a cache say.

    Raises:
        ValueError: if they are not as `Edits.stored` gives them
    """
    edits = attributes.get(EDITS, {})
    values = edits.get(name, {}) if isinstance(edits, dict) else None
    if not isinstance(values, dict) or not set(edits) <= set(EDITABLE):
        raise ValueError(f"attribute {EDITS!r} is not as a cache has it")
    if values and not all(type(value) is EDITABLE[name] for value in values.values()):
        raise ValueError(f"attribute {EDITS!r} holds other values than {name} has")
    return {int(row): value for row, value in values.items()}


def edited(values: NDArray[Any], edits: Mapping[int, Any]) -> NDArray[Any]:
    """An array with some of its values replaced.

    Raises:
        ValueError: if there is no such row
    """
    if not edits:
        return values
    if not all(0 <= row < len(values) for row in edits):
        raise ValueError(f"attribute {EDITS!r} is of other rows than there are")
    changed = values.astype(object) if values.dtype.kind in "TU" else values.copy()
    changed[list(edits)] = np.array(list(edits.values()), dtype=changed.dtype)
    return changed
