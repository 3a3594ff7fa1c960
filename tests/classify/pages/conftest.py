"""Runs to report on: one of real videos whose classes have hostile names, and quick ones of drawn maps."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hcl.classify.pages.parts import ReportRequest
from hcl.classify.pages.report import write_report
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.config import ExtractConfig
from hcl.extract.pipeline.extraction import extract
from hcl.match.evaluation.evaluate import EvaluationRequest
from hcl.train.runs.running import train

HOSTILE = (
    "<script>alert(1)</script>",
    "\" onload=alert(2) '&amp;",
    "<img src=x onerror=alert(3)>",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",  # Hebrew
    "\U0001f938\u200d\u2640\ufe0f wheel",  # an emoji of four characters
)
TRAINING = {
    "dim": 16,
    "heads": 2,
    "mlp_dim": 16,
    "epochs": 2,
    "steps_per_epoch": 2,
    "val_episodes": 10,
    "device": "cpu",
    "precision": "float32",
    "tracker": "none",
}


def quick_run(cache: Path | list[Path], run: Path, **settings: Any) -> Path:
    """Train for a second."""
    train(cache, run=run, preset="quick", settings=TRAINING | settings, latest=False)
    return run


def few_episodes(**settings: Any) -> EvaluationRequest:
    return EvaluationRequest.of(**{"episodes": 20} | settings)


@pytest.fixture(scope="session")
def hostile() -> tuple[str, ...]:
    """Names of classes that would do harm where they were not taken for text."""
    return HOSTILE


@pytest.fixture(scope="session")
def hostile_run(
    tmp_path_factory: pytest.TempPathFactory, write_video: Callable[..., Path], small_config: ExtractConfig
) -> Path:
    """A run whose novel classes have hostile names; videos/ and cache.zarr stand beside it."""
    folder = tmp_path_factory.mktemp("hostile")
    names = [*((f"base {number}", "base") for number in range(3)), *((f"val {number}", "val") for number in range(2))]
    names += [(name, "novel") for name in HOSTILE]
    (folder / "videos").mkdir()
    with (folder / "videos" / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("path", "label", "split"))
        for number, (name, split) in enumerate(names):
            for copy in range(3):
                path = f"{number} <b>bold/{copy}.mp4"
                write_video(folder / "videos" / path, seed=10 * number + copy)
                table.writerow((path, name, split))
    extract(folder / "videos" / "manifest.csv", folder / "cache.zarr", replace(small_config, frames=4))
    return quick_run(folder / "cache.zarr", folder / "run <i>")


@pytest.fixture(scope="session")
def hostile_page(hostile_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of that run, alone in its folder."""
    page = tmp_path_factory.mktemp("page") / "report.html"
    write_report(hostile_run, page, ReportRequest(evaluation=few_episodes(shots=(1, 2))))
    return page


@pytest.fixture
def drawn_run(tmp_path: Path, make_cache: Callable[..., ZarrCache]) -> Callable[..., Path]:
    """A function that trains on a cache of drawn maps, without videos; settings can be changed."""

    def make(name: str = "run", splits: dict[str, str] | None = None, **settings: Any) -> Path:
        cache = tmp_path / f"{name}.zarr"
        make_cache(cache, **({} if splits is None else {"splits": splits}))
        return quick_run(cache, tmp_path / name, **settings)

    return make


@pytest.fixture
def report_text(tmp_path: Path) -> Callable[..., str]:
    """A function that writes the report of a run, without pictures, and reads it; settings are the evaluation's."""

    def read(run: Path, *, way_is_given: bool = False, **settings: Any) -> str:
        page = tmp_path / "report.html"
        asked = few_episodes(**settings)
        write_report(run, page, ReportRequest(evaluation=asked, way_is_given=way_is_given, pictures=False))
        text = page.read_text(encoding="utf-8")
        page.unlink()
        return text

    return read
