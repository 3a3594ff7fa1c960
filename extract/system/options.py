"""Command-line options in groups, made of the settings of a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import click
import cloup
from click.core import ParameterSource

from hcl.extract.system.atomic import names_url, shown_url
from hcl.extract.system.errors import InputError, refuse_unwritable
from hcl.extract.system.settings import GROUPS, option_of, setting_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Command = TypeVar("Command", bound=Callable[..., Any])
Option = Callable[[Callable[..., Any]], Callable[..., Any]]
OptionGroups = Mapping[str, Sequence[Option]]  # by the title of the group


class LocalPath(click.Path):
    """A path on this machine; a URL is refused, not taken for a folder called "s3:"."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a path."""
        if isinstance(value, str) and names_url(value):
            named = param.opts[0] if isinstance(param, click.Option) else (param.human_readable_name if param else "")
            raise InputError(
                f"{named} {shown_url(value)}: a URL, but this is read and written on this machine alone; name a local"
                " path, and copy it from or to the bucket"
            )
        return super().convert(value, param, ctx)


PATH = LocalPath()


class OutputPath(LocalPath):
    """A file or folder to write; where it cannot be written is told before the work, not after it."""

    def __init__(self, *kinds: str) -> None:
        super().__init__()
        self.kinds = kinds

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a path and look at its place."""
        path: Any = super().convert(value, param, ctx)
        refuse_unwritable(path, param.opts[0] if param else "", kinds=self.kinds)
        return path


OUT_FILE, OUT_FOLDER, OUT_FILE_OR_FOLDER = OutputPath("file"), OutputPath("folder"), OutputPath("file", "folder")


def grouped_options(*parts: OptionGroups) -> Callable[[Command], Command]:
    """Give a command the options of several parts, in the groups and the order of GROUPS."""

    def decorate(command: Command) -> Command:
        for title in reversed(GROUPS):
            options = [option for part in parts for option in part.get(title, ())]
            if options:
                command = cloup.option_group(title, *options)(command)
        return command

    return decorate


def setting_options(
    config: type[DataclassInstance],
    *,
    without: Sequence[str] = (),
    presets: Sequence[str] = (),
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, list[Option]]:
    """Make an option of every setting.

    Args:
        config: the configuration
        without: fields that are not options
        defaults: of single fields, where a command has others than the configuration
        presets: where the settings start from a preset, their names, the default's first: an option that is left out
            is then None, and its help shows the value in each preset
    """
    groups: dict[str, list[Option]] = {}
    for each in fields(config):
        known = setting_of(each)
        if known is None or each.name in without:
            continue
        default, option = defaults.get(each.name, each.default), option_of(each)
        shown = {name: known.presets.get(name, default) for name in presets}
        if len(set(map(str, shown.values()))) == 1:
            shown = {"default": default}
        given: dict[str, Any] = {"default": None if presets else default, "show_default": not presets}
        given["help"] = known.help + "".join(
            f"  [{name}: {as_typed(value)}]" for name, value in shown.items() if presets
        )
        if isinstance(default, bool):
            names = f"{option}/--no-{option.removeprefix('--')}"
            made = cloup.option(names, each.name, is_flag=True, **given)
        elif isinstance(default, tuple):
            given |= {"default": as_typed(default) if default and not presets else None}
            made = cloup.option(option, each.name, callback=numbers, metavar="NUMBERS", **given)
        else:
            kind = click.Choice(known.choices) if known.choices else str if default is None else type(default)
            made = cloup.option(option, each.name, type=kind, **given)
        groups.setdefault(known.group, []).append(made)
    return groups


def as_typed(value: object) -> str:
    """A value as it is typed on the command line."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def numbers(_: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """Read "2,3" as (2, 3)."""
    try:
        return None if value is None else tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"expected numbers such as 2 or 2,3, got {value!r}", param=parameter) from None


def typed_options(ctx: click.Context, *without: str) -> dict[str, Any]:
    """The options that the user typed; all others keep the defaults of their configurations."""
    return {
        name: value
        for name, value in ctx.params.items()
        if name not in without and ctx.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
