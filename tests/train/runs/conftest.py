"""A training of a second on a cache of drawn maps."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.train.runs.running import TrainedRun, train

QUICK = {
    "start": "maps",
    "normalise_maps": False,
    "dim": 16,
    "heads": 2,
    "mlp_dim": 16,
    "epochs": 2,
    "steps_per_epoch": 3,
    "val_episodes": 20,
    "device": "cpu",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def small_train() -> Callable[..., TrainedRun]:
    """A function that trains on a cache, or several, for a second; settings can be changed."""

    def run_training(cache: ZarrCache | Sequence[ZarrCache], run: Path | None, **given: Any) -> TrainedRun:
        chosen = {"preset": given.pop("preset", "quick"), "splits": given.pop("splits", None)}
        chosen |= {"merge_classes": given.pop("merge_classes", False), "train_on": given.pop("train_on", "base")}
        paths = cache.path if isinstance(cache, ZarrCache) else [one.path for one in cache]
        trained = train(paths, run=run, settings=QUICK | given, **chosen)
        assert trained is not None  # there is one process
        return trained

    return run_training
