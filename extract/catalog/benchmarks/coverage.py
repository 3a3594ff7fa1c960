"""How much of a benchmark a cache holds: what is missing, and whether published numbers are of the same videos."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hcl.extract.catalog.benchmarks.listing import Listing
from hcl.extract.catalog.splits import SplitCounts
from hcl.extract.config import SPLITS
from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.console import csv_cell, csv_text
from hcl.extract.system.errors import InputError, write_errors

NOT_FOUND = "not found"
SHOWN = 8  # classes that a line names, of many
ENDING = ".missing.csv"  # of the file beside a cache


@dataclass(frozen=True)
class Coverage:
    """The videos of a benchmark by split and class: how many it lists, and how many there are."""

    benchmark: str
    listed: SplitCounts
    present: SplitCounts  # by the splits that count now

    @classmethod
    def from_dict(cls, stored: object, where: str) -> "Coverage":
        """Undo `to_dict`.

        Raises:
            InputError: if it is something else; the message says where it stood
        """
        if isinstance(stored, dict) and isinstance(stored.get("benchmark"), str):
            counts = [stored.get(name) for name in ("listed", "present")]
            if all(_are_counts(each) for each in counts):
                return cls(stored["benchmark"], *counts)  # type: ignore[arg-type]
        raise InputError(f"{where}: what it says of a benchmark is not as hcl writes it; make it anew")

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)

    def summary(self) -> dict[str, Any]:
        """What a report keeps, in plain types: whether it is complete, videos by split, and what classes lack."""
        return {
            "name": self.benchmark,
            "complete": self.is_complete(),
            "complete_novel": self.is_complete("novel"),
            "videos": {split: dict(zip(("present", "listed"), self.totals(split), strict=True)) for split in SPLITS},
            "missing": {label: count for label, (count, _) in self.missing.items()},
        }

    @property
    def resplit(self) -> bool:
        """Whether a class counts for another split than the published one."""
        return any(label not in self.listed[split] for split in SPLITS for label in self.present[split])

    def totals(self, split: str) -> tuple[int, int]:
        """How many videos of a published split there are, and how many it lists."""
        here = self.present[split]
        return sum(here.get(label, 0) for label in self.listed[split]), sum(self.listed[split].values())

    def is_complete(self, *splits: str) -> bool:
        """Whether every video is there, of all splits or of some."""
        return not self.resplit and all(there == listed for there, listed in map(self.totals, splits or SPLITS))

    @property
    def missing(self) -> dict[str, tuple[int, int]]:
        """Of each class that lacks videos: how many are missing, and how many are listed; most first."""
        lacking = {
            label: (count - self.present[split].get(label, 0), count)
            for split in SPLITS
            for label, count in self.listed[split].items()
        }
        return dict(sorted(((of, pair) for of, pair in lacking.items() if pair[0] > 0), key=lambda each: -each[1][0]))

    def sentences(self) -> list[str]:
        """Say in lines how complete it is, which classes lack videos, and what that means for published numbers."""
        shares = ", ".join("{} {} of {}".format(split, *self.totals(split)) for split in SPLITS)
        lines = [f"benchmark {self.benchmark}: {shares} videos; {self._verdict()}"]
        if missing := self.missing:
            named = ", ".join(f"{label} {count} of {of}" for label, (count, of) in list(missing.items())[:SHOWN])
            more = f", and {len(missing) - SHOWN} more classes" if len(missing) > SHOWN else ""
            lines.append(f"missing or unreadable: {named}{more}")
        return lines

    def _verdict(self) -> str:
        if self.resplit:
            return "its classes are split otherwise than published: published numbers do not compare"
        if self.is_complete():
            return "complete: published numbers are of the same videos"
        if self.is_complete("novel"):
            return (
                "incomplete for training: published numbers are of the same novel videos, and of more base or val ones"
            )
        return "incomplete: published numbers are of more novel videos; say so beside yours"

    def below(self, least: int) -> dict[str, int]:
        """The classes that have fewer videos than `least`, and how many they have."""
        return {
            label: there
            for split in SPLITS
            for label in self.listed[split]
            if (there := self.present[split].get(label, 0)) < least
        }


def _are_counts(value: object) -> bool:
    if not isinstance(value, dict) or set(value) != set(SPLITS):
        return False
    classes = list(value.values())
    return all(isinstance(of, dict) and all(type(count) is int for count in of.values()) for of in classes)


def missing_videos(listing: Listing, found: Iterable[str], failed: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """The listed videos that are not there or cannot be read: split, class/id and why, in the order of the list.

    Args:
        listing: of the benchmark
        found: lines of the videos that are there
        failed: lines of those of them that cannot be read, with the reason
    """
    there = set(found)
    return [
        (video.split, video.line, f"cannot be read: {failed[video.line]}" if video.line in failed else NOT_FOUND)
        for video in listing.videos
        if video.line in failed or video.line not in there
    ]


def write_missing(path: Path, missing: Iterable[tuple[str, str, str]]) -> None:
    """Write such videos as a CSV file with the columns split, video and why, which can be sent to someone.

    Raises:
        InputError: if the file cannot be written
    """
    text = csv_text([("split", "video", "why"), *(tuple(map(csv_cell, row)) for row in missing)])
    with write_errors(path, "name another file with --missing-list"), atomic_file(path) as fresh:
        fresh.write_text(text, encoding="utf-8", newline="")
