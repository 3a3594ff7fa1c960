"""What several tests of match need: a Ctrl-C at a given place, an evaluated store, and reports read back as tables."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

from hcl.match.embeddings import Embeddings
from hcl.match.evaluation.evaluate import evaluate
from hcl.match.evaluation.results import Evaluation

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


@pytest.fixture
def path(tmp_path: Path, make_embeddings: Callable[..., Embeddings], write_embeddings: Callable[..., Path]) -> Path:
    """With a signal that leaves classes confused."""
    return write_embeddings(tmp_path / "store.zarr", make_embeddings(signal=0.2))


@pytest.fixture
def evaluation(path: Path) -> Evaluation:
    return evaluate(path, episodes=30, shot=(1, 3))


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
