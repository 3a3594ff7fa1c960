"""Settings are told once: their ranges, choices, presets, and how two sets of them differ."""

from dataclasses import dataclass

import pytest

from hcl.extract.system.errors import InputError
from hcl.extract.system.settings import check_settings, list_differences, preset_values, setting


@dataclass(frozen=True, kw_only=True)
class Example:
    """One setting of each kind."""

    count: int = setting(2, "A number.", at_least=1, at_most=9)
    share: float = setting(0.5, "Another.", above=0.0, below=1.0, paper=0.9)
    kind: str | None = setting(None, "A choice.", choices=("a", "b"))
    note: str = "no setting"

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        check_settings(self)


@pytest.mark.parametrize("given", [{}, {"count": 1}, {"count": 9}, {"share": 0.01}, {"kind": "b"}, {"note": "any"}])
def test_settings_within_their_range_are_taken(given: dict[str, object]) -> None:
    assert Example(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"count": 0}, "--count must be from 1 to 9, got 0"),
        ({"count": 10}, "--count must be from 1 to 9, got 10"),
        ({"share": 0.0}, "--share must be above 0.0 and below 1.0, got 0.0"),
        ({"share": float("nan")}, "--share must be above 0.0 and below 1.0, got nan"),
        ({"kind": "c"}, "--kind must be one of a, b, got 'c'"),
    ],
)
def test_settings_out_of_range_are_refused_by_their_option(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Example(**given)  # type: ignore[arg-type]


def test_a_preset_names_what_differs_from_the_defaults() -> None:
    assert preset_values(Example, "paper") == {"share": 0.9}
    assert preset_values(Example, "other") == {}


def test_differences_are_told_side_by_side() -> None:
    then, now = {"frames": 8, "size": 64, "weights": "a"}, {"size": 96, "weights": "b", "frames": 8, "views": 2}
    assert list_differences(then, now, without=("weights",)) == "size 64 there, 96 now; views None there, 2 now"
    assert list_differences(then, dict(reversed(then.items()))) == ""
