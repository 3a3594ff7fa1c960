"""The group of commands: their names, and how lines and errors reach the terminal. Each stage keeps its commands."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import cloup

from hcl.classify.adaptation.commands import adapt
from hcl.classify.answers.searching.commands import search
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
from hcl.train.commands import ablate, crossval, embed, export, info, train

SECTIONS = (
    cloup.Section("From videos to accuracy", [extract, train, evaluate]),
    cloup.Section("Your own videos", [app, classify, spot, search, explain, index, check, adapt]),
    cloup.Section("Studies", [compare, crossval, ablate]),
    cloup.Section("Pages", [report]),
    cloup.Section("Stores", [embed, export, info, convert]),
    cloup.Section("To try it", [demo_videos]),
)


UNUSABLE = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP)  # what a path can be
RESUMING = ("extract", "train", "crossval", "ablate", "adapt")  # typed again after Ctrl-C, they go on


class WrongUse(click.ClickException):
    """Invalid options or input, which the user can mend: one line, exit code 2."""

    exit_code = 2


class Interrupted(click.ClickException):
    """Ctrl-C: one line that says how to go on, and the exit code that shells give it."""

    exit_code = 130

    def show(self, file: Any = None) -> None:
        """Print the line, below the terminal's ^C."""
        echo(f"\n{self.message}", err=True)


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
    """A group whose commands report wrong use as one line, without usage or traceback."""

    def make_context(self, *given: Any, **extra: Any) -> click.Context:
        """Read the options before the command's name."""
        with one_line():
            return super().make_context(*given, **extra)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what the user can mend becomes one line."""
        try:
            with lines_on_terminal(), one_line():
                return super().invoke(ctx)
        except KeyboardInterrupt as error:
            resumes = ctx.invoked_subcommand in RESUMING
            line = str(error) or ("interrupted" + ("; the same command, typed again, resumes" if resumes else ""))
            raise Interrupted(line) from error


@contextmanager
def one_line() -> Iterator[None]:
    """Turn what the user can mend into one line: our own errors, and click's, which point to the help."""
    try:
        yield
    except InputError as error:
        raise WrongUse(plain(error)) from error
    except OSError as error:
        if error.filename is None or error.errno not in UNUSABLE:
            raise
        raise WrongUse(plain(f"{error.filename}: {error.strerror}; name another path, or check it")) from error
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        command = f" {error.ctx.info_name}" if error.ctx and error.ctx.parent else ""
        message = " ".join(error.format_message().split()).removesuffix(".")
        raise WrongUse(plain(f"{message}; see: hcl{command} --help")) from error


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

    Exit codes: 0 done, 1 done but some videos failed or are damaged, 2 invalid options or input, 130 interrupted.
    """
    ctx.obj = {STORE_ON: _store_on}


if __name__ == "__main__":
    main()
