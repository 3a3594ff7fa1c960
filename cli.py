"""The group of commands: their names, and how lines and errors reach the terminal. Each stage keeps its commands."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import cloup

from hcl.classify.adaptation.commands import adapt
from hcl.classify.app.commands import app
from hcl.classify.commands import classify, index
from hcl.classify.explanation.commands import explain
from hcl.classify.pages.commands import report
from hcl.classify.selftest.commands import check
from hcl.classify.spotting.commands import spot
from hcl.extract.commands import convert, demo_videos, extract
from hcl.extract.system.console import echo, plain
from hcl.extract.system.errors import InputError
from hcl.extract.system.installation import package_version
from hcl.extract.system.progress import logger
from hcl.match.commands import STORE_ON, compare, evaluate
from hcl.train.commands import ablate, crossval, embed, info, train

SECTIONS = (
    cloup.Section("From videos to accuracy", [extract, train, evaluate]),
    cloup.Section("Your own videos", [app, classify, spot, explain, index, check, adapt]),
    cloup.Section("Studies", [compare, crossval, ablate]),
    cloup.Section("Pages", [report]),
    cloup.Section("Stores", [embed, info, convert]),
    cloup.Section("To try it", [demo_videos]),
)


class WrongUse(click.ClickException):
    """Invalid options or input, which the user can mend: one line, exit code 2."""

    exit_code = 2


class TerminalHandler(logging.Handler):
    """Prints what is logged, above a progress bar if there is one; warnings go to standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        from tqdm import tqdm

        with tqdm.external_write_mode():
            echo(plain(self.format(record)), err=record.levelno >= logging.WARNING)


@contextmanager
def lines_on_terminal() -> Iterator[None]:
    """Show progress bars and what hcl logs while a command runs."""
    handler, level = TerminalHandler(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


class Commands(cloup.Group):
    """A group whose commands report InputError as one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what the user can mend becomes one line."""
        try:
            with lines_on_terminal():
                return super().invoke(ctx)
        except InputError as error:
            raise WrongUse(plain(error)) from error


def _store_on(*arguments: Any, **given: Any) -> Any:
    """Embed another cache by a run: matching knows no training, so it is handed this."""
    from hcl.train.runs.cross_domain import store_on

    return store_on(*arguments, **given)


@cloup.group(
    cls=Commands,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_version(), prog_name="hcl")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Few-shot action recognition from cached frame maps, the backbone's feature maps of single frames.

    Exit codes: 0 done, 1 done but some videos failed or are damaged, 2 invalid options or input.
    """
    ctx.obj = {STORE_ON: _store_on}


if __name__ == "__main__":
    main()
