"""What mkdocs runs while it builds: it shows mkdocstrings the checkout as `hcl`, and lists the commands.

The package `hcl` is the root of the repository, under another name. An installed one may be another checkout, and
mkdocstrings cannot read through an editable install: both are shown a folder that holds this checkout's code as `hcl`.
"""

import inspect
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FILES = ("__init__.py", "__main__.py", "cli.py")
COMMANDS_PAGE = "reference/commands.md"
_folder = Path(tempfile.gettempdir()) / "never made"


def on_startup(command: str, dirty: bool) -> None:
    """Make the folder, and let Python find the package there first."""
    global _folder
    _folder = Path(tempfile.mkdtemp(prefix="hcl-docs-"))
    (_folder / "hcl").mkdir()
    for part in ROOT.iterdir():
        if part.name in FILES or (part / "__init__.py").is_file():
            (_folder / "hcl" / part.name).symlink_to(part, target_is_directory=part.is_dir())
    sys.path.insert(0, str(_folder))


def on_config(config: Any) -> Any:
    """Let mkdocstrings find the package there."""
    config.plugins["mkdocstrings"].config["handlers"]["python"]["paths"] = [str(_folder)]
    return config


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str | None:
    """Append all commands to their page."""
    if page.file.src_uri != COMMANDS_PAGE:
        return None
    from hcl.cli import main

    return "\n".join([markdown, *(line for name in sorted(main.commands) for line in describe(name, main))])


def on_shutdown() -> None:
    """Remove the folder."""
    shutil.rmtree(_folder, ignore_errors=True)


def describe(name: str, main: Any) -> Iterator[str]:
    """Write a command as Markdown: what it does, its usage and its options, group by group."""
    import click

    command = main.commands[name]
    context = click.Context(command, info_name=f"hcl {name}", max_content_width=100, terminal_width=100)
    paragraphs = inspect.cleandoc(command.help.replace("\b", "")).split("\n\n")
    yield from (f"\n## hcl {name}\n", "\n\n".join(map(cell, paragraphs)), "\n```text")
    yield from (command.get_usage(context).removeprefix("Usage: "), "```\n")
    for title, options in grouped(command):
        yield from (f"**{title}**\n", "| option | meaning |", "|---|---|")
        records = (option.get_help_record(context) for option in options)
        yield from (f"| <code>{cell(names)}</code> | {cell(text)} |" for names, text in filter(None, records))
        yield ""


def grouped(command: Any) -> Iterator[tuple[str, list[Any]]]:
    """The options of a command, by the title of their group."""
    groups = [(group.title, list(group.options)) for group in getattr(command, "option_groups", ())]
    yield from groups
    shown = {option.name for _, options in groups for option in options}
    others = [each for each in command.params if each.param_type_name == "option" and each.name not in shown]
    if others:
        yield ("Other options" if groups else "Options", others)


def cell(text: str) -> str:
    """A text in one line in which nothing is Markdown, as a table's cell must be."""
    return "".join(
        character if character.isalnum() or character in " -.,:;" else f"&#{ord(character)};"
        for character in " ".join(text.split())
    )
