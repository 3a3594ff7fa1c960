"""The pictures of the report in the documents: drawn anew where they are asked for, small in any case.

After `make demo`, whose videos are synthetic: HCL_SCREENSHOTS=docs/how-to/pictures pytest -k screenshots
"""

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hcl.classify.pages.report import write_report

pytest.importorskip("jinja2", reason="the report extra is not installed")

ROOT = Path(__file__).parents[3]
PICTURES = ROOT / "docs" / "how-to" / "pictures"
FOLDER = os.environ.get("HCL_SCREENSHOTS", "")
DEMO = ROOT / "demo"  # of make demo
MAXIMUM = 300_000  # bytes
WIDTH, HEIGHT = 1000, 1100
NAMES = ("report.png", "report-match.png")


@pytest.mark.skipif(not FOLDER, reason="HCL_SCREENSHOTS names no folder to write screenshots to")
def test_screenshots_are_taken_of_the_demo(
    show: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (DEMO / "runs" / "latest").exists():
        pytest.skip("no demo/runs/latest: make demo")
    folder = (ROOT / FOLDER).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(DEMO)
    write_report(None, tmp_path / "report.html")
    browser = show(tmp_path / "report.html", width=WIDTH)
    match = browser.find_element("css selector", "article.match")
    areas = {NAMES[0]: (0, HEIGHT), NAMES[1]: (match.location["y"] - 8, match.size["height"] + 16)}
    for name, (top, height) in areas.items():
        clip = {"x": 0, "y": top, "width": WIDTH, "height": height, "scale": 1}
        taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        (folder / name).write_bytes(base64.b64decode(taken["data"]))
        with Image.open(folder / name) as picture:
            picture.convert("RGB").quantize(256).save(folder / name, optimize=True)
        assert (folder / name).stat().st_size < MAXIMUM


@pytest.mark.parametrize("name", NAMES)
def test_the_pictures_of_the_documents_are_small(name: str) -> None:
    file = PICTURES / name
    assert file.stat().st_size < MAXIMUM
    with Image.open(file) as picture:
        assert picture.format == "PNG" and picture.width == WIDTH
