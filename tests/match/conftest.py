"""What several tests of match need: a Ctrl-C that comes at a given place, and reports read back as tables."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from tqdm import tqdm

InterruptAfter = Callable[[int], AbstractContextManager[None]]


@pytest.fixture
def interrupt_after(monkeypatch: pytest.MonkeyPatch) -> InterruptAfter:
    """A context in which a progress bar is interrupted once, as by Ctrl-C, when it has counted some units."""

    @contextmanager
    def armed(units: int) -> Iterator[None]:
        counted, update = 0, tqdm.update

        def interrupted(bar: "tqdm[Any]", more: float = 1) -> bool | None:
            nonlocal counted
            before, counted = counted, counted + int(more)
            if before <= units < counted:
                raise KeyboardInterrupt
            return update(bar, more)

        with monkeypatch.context() as patched:
            patched.setattr(tqdm, "update", interrupted)
            yield

    return armed


@pytest.fixture(scope="session")
def read_tables() -> Callable[[str], list[list[list[str]]]]:
    """A function that reads the Markdown tables of a report: rows of cells, the header first, the rule left out."""

    def read(text: str) -> list[list[list[str]]]:
        tables: list[list[list[str]]] = [[]]
        for line in text.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not line.startswith("|"):
                tables.append([])
            elif set("".join(cells)) - set("-:"):
                tables[-1].append(cells)
        return [table for table in tables if table]

    return read
