"""The pictures of the page in the documents: drawn anew where they are asked for, small in any case.

After `make demo`, whose videos are synthetic: HCL_SCREENSHOTS=docs/how-to/pictures pytest -k screenshots
"""

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hcl.classify.embedding.embedder import VideoEmbedder

ROOT = Path(__file__).parents[3]
PICTURES = ROOT / "docs" / "how-to" / "pictures"
FOLDER = os.environ.get("HCL_SCREENSHOTS", "")
VIDEOS = ROOT / "demo" / "videos"  # of make demo
SHOWN = ("open the box", "circle the star clockwise", "lift then drop the ball")
EXAMPLES = 3  # of each class
MAXIMUM = 300_000  # bytes
WIDTH, HEIGHT = 1000, 1000
NAMES = ("app.png", "app-answer.png")


@pytest.mark.skipif(not FOLDER, reason="HCL_SCREENSHOTS names no folder to write screenshots to")
def test_screenshots_are_taken_of_the_demo(show: Callable[..., Any], serve: Callable[..., Any]) -> None:
    if not VIDEOS.is_dir():
        pytest.skip("no demo/videos: make demo")
    folder = (ROOT / FOLDER).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    page = serve(by=VideoEmbedder.load(), max_upload=50)
    for label in SHOWN:
        page.add(label, *sorted((VIDEOS / label).iterdir())[:EXAMPLES])
    query = sorted((VIDEOS / SHOWN[0]).iterdir())[EXAMPLES]
    page.post("/upload/question", query.read_bytes(), name="phone clip.mp4")
    page.wait()
    browser = show(f"{page.address}/?token=the+token+of+the+tests", width=WIDTH)
    answer = browser.find_element("css selector", "#answers article")
    areas = {NAMES[0]: (0, HEIGHT), NAMES[1]: (answer.location["y"] - 8, answer.size["height"] + 16)}
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
