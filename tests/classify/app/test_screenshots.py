"""The pictures of the app in the documents, drawn of the synthetic videos of `make demo` where they are asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hcl.classify.embedding.embedder import VideoEmbedder

VIDEOS = Path(__file__).parents[3] / "demo" / "videos"  # of make demo
SHOWN = ("open the box", "circle the star clockwise", "lift then drop the ball")
EXAMPLES = 3  # of each class


def test_screenshots_are_taken_of_the_demo(
    photograph: Callable[..., None], show: Callable[..., Any], serve: Callable[..., Any]
) -> None:
    if not VIDEOS.is_dir():
        pytest.skip("no demo/videos: make demo")
    page = serve(by=VideoEmbedder.load(), max_upload=50)
    for label in SHOWN:
        page.add(label, *sorted((VIDEOS / label).iterdir())[:EXAMPLES])
    query = sorted((VIDEOS / SHOWN[0]).iterdir())[EXAMPLES]
    page.post("/upload/question", query.read_bytes(), name="phone clip.mp4")
    page.wait()
    browser = show(f"{page.address}/?token=the+token+of+the+tests")
    answer = browser.find_element("css selector", "#answers article")
    place = (answer.location["y"] - 8, answer.size["height"] + 16)
    photograph(browser, {"app.png": (0, 1000), "app-answer.png": place})
