"""How a table of wrong uses is tested: each ends with exit code 2 and one line with the cure, and leaves no trace.

A case is (name, arguments, parts): what a user got wrong, what is typed after `hcl`, and what the line must say.
"""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from hcl.cli import main

CheckUse = Callable[..., str]


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """The size and time of every entry below a folder, links not followed; of folders only that they are there."""
    found = {}
    for place, folders, files in os.walk(folder):
        found |= {os.path.relpath(os.path.join(place, name), folder): (0, 0) for name in folders}
        for name in files:
            state = os.lstat(os.path.join(place, name))
            found[os.path.relpath(os.path.join(place, name), folder)] = (state.st_size, state.st_mtime_ns)
    return found


@pytest.fixture
def check_use(monkeypatch: pytest.MonkeyPatch) -> CheckUse:
    """A function that runs `hcl ARGUMENTS` in a folder, and refuses all but one line that holds all parts.

    click's own two lines of usage may stand above it. A case that does some work before the end of which it is
    refused, or that only warns, gives `code`.
    """

    def check(place: Path, arguments: str, parts: tuple[str, ...], *, code: int = 2) -> str:
        monkeypatch.chdir(place)
        before = listing(place)
        done = CliRunner().invoke(main, shlex.split(arguments))
        told = done.output
        assert not isinstance(done.exception, Exception) or isinstance(done.exception, SystemExit), told
        assert done.exit_code == code, told
        lines = [line for line in told.splitlines() if line.strip() and not line.startswith(("Usage: ", "Try 'hcl "))]
        assert len(lines) == 1 and lines[0].startswith("Error: "), told
        missing = [part for part in parts if part not in lines[0]]
        assert not missing, f"{missing} not in: {lines[0]}"
        assert listing(place) == before
        return lines[0]

    return check
