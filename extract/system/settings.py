"""Settings that are told once: what each field of a configuration means, its range, its choices and its presets.

A configuration is a frozen dataclass whose fields are made by `setting`; it calls `check_settings` when it is made, and
the command line takes its options from there (`hcl.extract.system.options`).
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from hcl.extract.system.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

INPUT, COMPUTED, SPEED, ADVANCED = "Input", "Main options", "Speed", "Advanced"
GROUPS = (INPUT, COMPUTED, SPEED, ADVANCED)  # of the options, in the order of `--help`


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is known of one setting, beside its type and default."""

    help: str  # one line for the command line
    group: str = COMPUTED
    option: str  # as it is typed, such as "--way"
    choices: tuple[str, ...] = ()
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    presets: Mapping[str, Any]  # values by preset, where they differ from the default

    @property
    def range(self) -> str:
        """Its bounds in words."""
        if self.at_least is not None and self.at_most is not None:
            return f"from {self.at_least} to {self.at_most}"
        bounds = {"at least": self.at_least, "above": self.above, "at most": self.at_most, "below": self.below}
        return " and ".join(f"{words} {bound}" for words, bound in bounds.items() if bound is not None)

    def allows(self, value: float) -> bool:
        """Whether a number lies within the bounds; NaN lies nowhere."""
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )


def setting(
    default: Any,
    help: str,
    *,
    group: str = COMPUTED,
    option: str = "",
    choices: tuple[str, ...] = (),
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    **presets: Any,
) -> Any:
    """Make the field of a setting.

    Args:
        default: its value where nothing is said
        help: one line for the command line
        group: of the options, one of GROUPS
        option: as it is typed; "" follows from the field's name
        choices: the values that a text may have
        at_least, above, at_most, below: bounds of a number, the ends included or not
        presets: its value in a preset, by name, where it differs from the default
    """
    known = Setting(
        help=help,
        group=group,
        option=option,
        choices=choices,
        at_least=at_least,
        above=above,
        at_most=at_most,
        below=below,
        presets=presets,
    )
    return field(default=default, metadata={"setting": known})


def setting_of(of: Field[Any]) -> Setting | None:
    """What is known of a field; None for a field that is no setting."""
    known: Setting | None = of.metadata.get("setting")
    return known


def option_of(of: Field[Any]) -> str:
    """The option that sets a field."""
    known = setting_of(of)
    return (known.option if known else "") or "--" + of.name.replace("_", "-")


def preset_values(config: type[DataclassInstance], preset: str) -> dict[str, Any]:
    """The values of a preset that differ from the defaults, by field."""
    known = {each.name: setting_of(each) for each in fields(config)}
    return {name: one.presets[preset] for name, one in known.items() if one is not None and preset in one.presets}


def check_settings(config: DataclassInstance) -> None:
    """Refuse values outside their bounds or choices.

    Raises:
        InputError: the message names the option and what it may be
    """
    for each in fields(config):
        known, value = setting_of(each), getattr(config, each.name)
        if known is None or value is None:
            continue
        if known.choices and value not in known.choices:
            raise InputError(f"{option_of(each)} must be one of {', '.join(known.choices)}, got {value!r}")
        if not known.allows(value):
            raise InputError(f"{option_of(each)} must be {known.range}, got {value}")


def checked_settings(config: type[DataclassInstance], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Take settings from a file, where anything may stand: each must be one, and of the type of its default.

    Args:
        config: the dataclass
        stored: settings by name, as JSON gives them; lists become tuples

    Raises:
        InputError: the message names the setting, what stands there and what was expected
    """
    defaults = {each.name: each.default for each in fields(config)}
    for name, value in stored.items():
        if name not in defaults:
            raise InputError(f"no setting is called {name!r}; it may be of another version of hcl")
        default = tuple(value) if isinstance(value, list) and isinstance(defaults[name], tuple) else defaults[name]
        of_same_type = type(value) in ((int, float) if isinstance(default, float) else (type(default),))
        if isinstance(default, tuple):
            of_same_type = isinstance(value, list) and all(type(each) is int for each in value)
        if not of_same_type:
            kind = "a list of whole numbers" if isinstance(default, tuple) else _KINDS[type(default)]
            raise InputError(f"setting {name!r} is {value!r}, expected {kind}")
    missing = [name for name in defaults if name not in stored]
    if missing:
        raise InputError(f"setting {missing[0]!r} is missing")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}


_KINDS: dict[type, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def check_distinct(option: str, values: Sequence[int], expected: str, *, at_least: int) -> None:
    """Refuse an empty list, a number that stands twice, or one that is too small.

    Args:
        option: as the command line has it
        values: given
        expected: what the list may be, such as "numbers from 1, such as 1 or 1,5"
        at_least: the smallest number

    Raises:
        InputError: the message names the option and what it may be
    """
    if not values or min(values) < at_least or len(set(values)) < len(values):
        raise InputError(f"{option} must be distinct {expected}; got {values}")


def list_differences(
    then: Mapping[str, Any],
    now: Mapping[str, Any],
    *,
    without: Container[str] = (),
    there: str = "there",
    here: str = "now",
) -> str:
    """Name the settings that differ with both values, such as "dim 16 there, 32 now"; "" where none does.

    Args:
        then: settings of what stands there
        now: settings that were given
        without: names that may differ
        there: where the first ones stand, for the message
        here: where the second ones stand
    """
    names = [name for name in {**then, **now} if name not in without and then.get(name) != now.get(name)]
    return "; ".join(f"{name} {then.get(name)} {there}, {now.get(name)} {here}" for name in names)
