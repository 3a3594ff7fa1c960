"""How a long video is searched; free of heavy imports."""

from __future__ import annotations

from dataclasses import dataclass

from hcl.extract.system.errors import InputError
from hcl.extract.system.settings import ADVANCED, COMPUTED, check_settings, setting

REJECT = 0.05  # where none is given and it can be known
SHORTEST, LONGEST = 0.1, 600.0  # seconds of a window


@dataclass(frozen=True, kw_only=True)
class SpotConfig:
    """Which windows are looked at, and which segments are given."""

    windows: tuple[float, ...] = ()  # seconds; none: chosen by the durations of the supports
    reject: float | None = setting(
        None,
        "The share of windows of no class that may pass; the lower, the fewer segments.  [default: 0.05; where that"
        " cannot be known, --margin]",
        group=COMPUTED,
    )
    margin: float = setting(
        0.2,
        "Where no rejection can be learned: by how much the likeliest class's probability must exceed the next one's.",
        group=COMPUTED,
    )
    stride: float = setting(
        0.25, "Step from one window to the next, as a share of its length; whole segments.", group=COMPUTED
    )
    overlap: float = setting(
        0.3, "Temporal IoU above which the worse of two segments of one class is dropped.", group=ADVANCED
    )
    class_overlap: float = setting(
        0.3, "Temporal IoU above which the worse of two segments of different classes is dropped.", group=ADVANCED
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.reject is not None and not 0 < self.reject < 1:
            raise InputError(f"--reject must be a share between 0 and 1, such as 0.05; got {self.reject}")
        for name in ("margin", "overlap", "class_overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"--{name.replace('_', '-')} must be from 0 to 1; got {getattr(self, name)}")
        if not 0 < self.stride <= 1:
            raise InputError(f"--stride must be a share of the window above 0, at most 1; got {self.stride}")
        if not all(SHORTEST <= length <= LONGEST for length in self.windows):
            given = ",".join(f"{length:g}" for length in self.windows)
            raise InputError(f"--window: lengths from {SHORTEST:g} to {LONGEST:g} seconds, such as 1,2,4; got {given}")


def read_windows(text: str) -> tuple[float, ...]:
    """Read "1,2.5" as seconds, ascending, each once.

    Raises:
        InputError: if these are no numbers
    """
    try:
        return tuple(sorted({float(part) for part in text.split(",")}))
    except ValueError:
        raise InputError(f"--window: expected seconds such as 1,2,4; got {text!r}") from None
