"""What several tests of training need: an interrupt, as by Ctrl-C, in the middle of a run."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from tqdm import tqdm

from hcl.train.fitting import loop


@pytest.fixture
def interrupted_after(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], AbstractContextManager[None]]:
    """A context that must end by an interrupt, when the bar of steps is moved past a number of them."""

    @contextmanager
    def armed(steps: int) -> Iterator[None]:
        taken, update = 0, tqdm.update

        def interrupted(bar: "tqdm[Any]", more: float = 1) -> bool | None:
            nonlocal taken
            taken += int(more) if bar.unit == "step" else 0
            if taken > steps:
                raise KeyboardInterrupt
            return update(bar, more)

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(tqdm, "update", interrupted)
            yield

    return armed


@pytest.fixture
def interrupted_before_validation(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[None]]:
    """A context that must end by an interrupt, after the steps of an epoch and before it is validated."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    @contextmanager
    def armed() -> Iterator[None]:
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(loop._Loop, "end_epoch", interrupted)
            yield

    return armed
