"""Options follow from settings."""

from dataclasses import dataclass

import cloup
import pytest
from click.testing import CliRunner

from hcl.extract.system.options import as_typed, grouped_options, setting_options
from hcl.extract.system.settings import COMPUTED, INPUT, SPEED, setting


@dataclass(frozen=True, kw_only=True)
class Example:
    """A setting of each kind."""

    size: int = setting(64, "Pixels.", group=INPUT, paper=224)
    is_quick: bool = setting(False, "Be quick.", group=SPEED)
    steps: tuple[int, ...] = setting((1, 5), "Some numbers.")
    kind: str = setting("a", "A choice.", choices=("a", "b"))


def run(*arguments: str, presets: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> tuple[dict[str, object], str]:
    """The settings that a command gets, and what it prints."""
    got: dict[str, object] = {}

    @cloup.command()
    @grouped_options(setting_options(Example, presets=presets, without=without))
    def command(**settings: object) -> None:
        got.update(settings)

    result = CliRunner().invoke(command, list(arguments))
    return got, result.output


def test_options_left_out_have_the_defaults() -> None:
    got, _ = run()
    assert got == {"size": 64, "is_quick": False, "steps": (1, 5), "kind": "a"}


def test_with_presets_options_left_out_are_none() -> None:
    got, _ = run(presets=("quick", "paper"))
    assert set(got.values()) == {None}
    _, text = run("--help", presets=("quick", "paper"))
    assert "[quick: 64]" in text and "[paper: 224]" in text and "[default: a]" in text


def test_options_are_read_as_typed() -> None:
    got, _ = run("--size", "32", "--is-quick", "--steps", "2,3", "--kind", "b")
    assert got == {"size": 32, "is_quick": True, "steps": (2, 3), "kind": "b"}
    assert run("--no-is-quick")[0]["is_quick"] is False and "size" not in run(without=("size",))[0]


@pytest.mark.parametrize(
    ("arguments", "message"), [(("--steps", "two"), "expected numbers such as 2 or 2,3"), (("--kind", "c"), "'c'")]
)
def test_values_of_the_wrong_kind_are_refused(arguments: tuple[str, ...], message: str) -> None:
    got, text = run(*arguments)
    assert not got and message in text


def test_help_shows_the_groups_in_order() -> None:
    _, text = run("--help")
    assert text.index(INPUT) < text.index("--size") < text.index(COMPUTED) < text.index("--steps")
    assert text.index("--steps") < text.index(SPEED) < text.index("--is-quick")


def test_values_are_shown_as_they_are_typed() -> None:
    assert (as_typed((1, 5)), as_typed(0.5), as_typed("a")) == ("1,5", "0.5", "a")
