"""The pictures of the documents: small, and those of the report drawn anew where they are asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hcl.classify.pages.report import write_report

pytest.importorskip("jinja2", reason="the report extra is not installed")

ROOT = Path(__file__).parents[3]
PICTURES = ROOT / "docs" / "how-to" / "pictures"
DEMO = ROOT / "demo"  # of make demo
MAXIMUM, WIDTH = 300_000, 1000  # bytes and pixels
OF_PAGES = {"app.png", "app-answer.png", "report.png", "report-match.png"}


def test_screenshots_are_taken_of_the_demo(
    photograph: Callable[..., None], show: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (DEMO / "runs" / "latest").exists():
        pytest.skip("no demo/runs/latest: make demo")
    monkeypatch.chdir(DEMO)
    write_report(None, tmp_path / "report.html")
    browser = show(tmp_path / "report.html")
    match = browser.find_element("css selector", "article.match")
    place = (match.location["y"] - 8, match.size["height"] + 16)
    photograph(browser, {"report.png": (0, 1100), "report-match.png": place})


def test_the_pictures_of_the_documents_are_small() -> None:
    files = sorted(PICTURES.glob("*.png"))
    assert {file.name for file in files} >= OF_PAGES
    for file in files:
        assert file.stat().st_size < MAXIMUM, file.name
        with Image.open(file) as picture:
            assert picture.format == "PNG" and (picture.width == WIDTH or file.name not in OF_PAGES), file.name
