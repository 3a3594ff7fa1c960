"""What embeddings follow from: only those of the same encoder, backbone and settings can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hcl.extract.cache.base import map_settings
from hcl.extract.config import DEFAULTS
from hcl.extract.system.errors import InputError
from hcl.extract.system.settings import list_differences

VIEW_SETTINGS = ("view_seed", "flip", "crops")


@dataclass(frozen=True)
class Origin:
    """The run, or its absence, and the settings by which videos were embedded."""

    run: str  # folder of the run; "" untrained
    encoder_sha256: str  # of the run's weights; "" untrained
    settings: Mapping[str, Any]  # of the maps, as a cache keeps them
    views: int  # of each video, whose embeddings are averaged

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Any, where: str) -> Origin:
        """Undo `to_dict`.

        Args:
            stored: what a store says
            where: the store, for the message

        Raises:
            InputError: if it is none
        """
        kinds = {"run": str, "encoder_sha256": str, "settings": dict, "views": int}
        if not isinstance(stored, dict) or not all(isinstance(stored.get(name), kind) for name, kind in kinds.items()):
            raise InputError(f"{where}: it does not say how its videos were embedded; make it anew with: hcl index")
        return cls(**{name: stored[name] for name in kinds})

    @property
    def compared(self) -> dict[str, Any]:
        """All that must be alike."""
        views = {name: self.settings.get(name, DEFAULTS[name]) for name in VIEW_SETTINGS} if self.views > 1 else {}
        encoder = self.encoder_sha256[:12] or "untrained"
        return {"encoder": encoder, **map_settings(self.settings), "views": self.views, **views}

    def refuse_other(self, other: Origin, where: str) -> None:
        """Refuse embeddings of another origin.

        Args:
            other: the origin of what is to be compared with these
            where: what these are, for the message

        Raises:
            InputError: if they differ; the message says in what
        """
        if differences := list_differences(self.compared, other.compared, there="there", here="here"):
            raise InputError(
                f"{where}: embedded otherwise than what is compared with it: {differences}; leave --run out to take its"
                " own run, or make it anew with: hcl index"
            )
