"""What is said of one query: ranked classes with scores and probabilities, or why it cannot be read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hcl.classify.config import NONE


@dataclass(frozen=True)
class ClassAnswer:
    """What speaks for one class."""

    label: str
    score: float  # the weighted sum of all levels, by which classes are ranked
    probability: float
    levels: dict[str, float]  # the score of each level
    paper_sum: float  # of the paper's levels (Eq. 6)
    supports: tuple[tuple[str, float], ...]  # its videos and their scores, the best first


@dataclass(frozen=True)
class Answer:
    """What is said of one query."""

    number: int  # its place among the queries
    query: str  # its path
    ranked: tuple[ClassAnswer, ...] = ()  # all classes, the likeliest first; none of a broken query
    accepted: bool = True  # False: it is of none of the classes
    confidence: float = math.nan  # what is compared with the threshold of "none of these"
    same_as: tuple[str, ...] = ()  # supports of the same content, which were left out
    reason: str = ""  # why it could not be read

    @property
    def is_broken(self) -> bool:
        """Whether the query could not be read."""
        return bool(self.reason)

    @property
    def label(self) -> str:
        """The class that is answered: "" for a broken query, "none" where it is of no class."""
        return "" if not self.ranked else self.ranked[0].label if self.accepted else NONE

    @property
    def probability(self) -> float:
        """Of the likeliest class."""
        return self.ranked[0].probability if self.ranked else math.nan

    def to_dict(self, top: int | None = None) -> dict[str, Any]:
        """Plain types, as JSON holds them; a number that is not there is null.

        Args:
            top: classes that are kept; None: all
        """
        classes = [
            {
                "label": each.label,
                "probability": _number(each.probability),
                "score": _number(each.score),
                "paper_sum": _number(each.paper_sum),
                "levels": {name: _number(value) for name, value in each.levels.items()},
                "supports": [{"path": path, "score": _number(value)} for path, value in each.supports],
            }
            for each in self.ranked[:top]
        ]
        return {
            "query": self.query,
            "label": self.label or None,
            "accepted": None if self.is_broken else self.accepted,
            "confidence": _number(self.confidence),
            "classes": classes,
            "same_as": list(self.same_as),
            "error": self.reason or None,
        }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
