"""What the tests of answers share: small videos of two classes, their cache, and a run that was trained on others."""

import base64
import gc
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from hcl.classify.answers import classify
from hcl.extract.config import ExtractConfig
from hcl.extract.demo.backgrounds import PLACES
from hcl.extract.demo.classes import CLASSES as CLASSES_OF_DEMO
from hcl.extract.demo.scenes import draw_video
from hcl.extract.hub import class_texts
from hcl.extract.hub.class_texts import ClassTexts
from hcl.extract.pipeline import extraction
from hcl.extract.system.errors import InputError
from hcl.train.runs.running import train

ROOT = Path(__file__).parents[2]
LARGEST_PICTURE, PICTURE_WIDTH = 300_000, 1000  # bytes and pixels of a picture in the documents
CLASSES = ("clap", "jump", "wave")
VIDEOS = 4  # of each class
TRAINING = {
    "dim": 16,
    "heads": 2,
    "mlp_dim": 16,
    "epochs": 1,
    "steps_per_epoch": 2,
    "val_episodes": 10,
    "device": "cpu",
    "precision": "float32",
}


def few_texts(texts: Sequence[str], model: str = "auto") -> ClassTexts:
    """Stands for a text model: numbers that follow from the letters of each text."""
    if model not in ("auto", "small bert"):
        raise InputError(f"no text model: {model} cannot be had")
    rows = [np.random.default_rng(list(text.encode())).normal(size=6) for text in texts]
    return ClassTexts(tuple(texts), np.array(rows, np.float32).reshape(-1, 6), "small bert", "abc")


@pytest.fixture(scope="module", autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Decoding processes that wait are ended by whoever kept them."""
    before = set(multiprocessing.active_children())
    yield
    gc.collect()
    assert set(multiprocessing.active_children()) <= before


@pytest.fixture
def text_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `few_texts` stand for the text model."""
    for module in (class_texts, extraction):
        monkeypatch.setattr(module, "embed_texts", few_texts)


@pytest.fixture(scope="session")
def small_videos(tmp_path_factory: pytest.TempPathFactory, write_video: Callable[..., Path]) -> Path:
    """Class folders base/, val/ and novel/, each with three classes of four videos."""
    root = tmp_path_factory.mktemp("videos")
    for place, split in enumerate(("base", "val", "novel")):
        for number, name in enumerate(CLASSES):
            for copy in range(VIDEOS):
                seed = 100 * place + 10 * number + copy
                write_video(root / split / f"{name}{place}" / f"{copy}.mp4", seed=seed, frames=9 + copy)
    return root


@pytest.fixture(scope="session")
def trained_cache(tmp_path_factory: pytest.TempPathFactory, small_videos: Path, small_config: ExtractConfig) -> Path:
    """A cache of all videos, with class texts."""
    cache = tmp_path_factory.mktemp("trained") / "cache.zarr"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(extraction, "embed_texts", few_texts)
        extraction.extract(small_videos, cache, replace(small_config, frames=4, text_model="small bert"))
    return cache


@pytest.fixture(scope="session")
def trained_run(trained_cache: Path) -> Path:
    """A run on that cache, whose store holds the val and novel videos."""
    run = trained_cache.with_name("run")
    train(trained_cache, run=run, preset="quick", settings=TRAINING, latest=False)
    return run


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless=new", "--hide-scrollbars", "--no-first-run", "--disable-dev-shm-usage", "--disable-gpu"),
    "--no-sandbox",  # which root may not use; the pages are ours
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # no other machine is ever asked
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),  # a camera that shows a file
)
PATIENCE = 30  # seconds
LOADED = """
const done = arguments[arguments.length - 1];
const links = Array.from(document.querySelectorAll("image, img"), (each) => each.getAttribute("href") || each.src);
const load = (link) => { const image = new Image(); image.src = link; return image.decode(); };
Promise.all(links.map(load)).then(() => done(true), (error) => done(String(error)));
"""


@pytest.fixture(scope="session")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser's camera sees, again and again: a video of the demo set, uncompressed."""
    drawn = draw_video(CLASSES_OF_DEMO[0], PLACES[0], np.random.default_rng(0))
    path = tmp_path_factory.mktemp("camera") / "filmed.y4m"
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{drawn.width} H{drawn.height} F{drawn.rate}:1 Ip A1:1 C420jpeg\n".encode())
        for image in drawn.frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(format="yuv420p")
            file.write(b"FRAME\n" + frame.to_ndarray().tobytes())
    return path


@pytest.fixture(scope="module")
def browser(filmed: Path) -> Iterator[Any]:
    """A headless Chromium, driven by selenium, that keeps what its console and its network log.

    Skipped where selenium, the browser or its driver is not there. It lives no longer than the tests of a file.
    """
    selenium = pytest.importorskip(
        "selenium.webdriver", reason="selenium is not installed; it comes with the dev extra"
    )
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no chromium or no chromedriver: apt-get install chromium chromium-driver")
    options = selenium.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in (*FLAGS, f"--use-file-for-fake-video-capture={filmed}"):
        options.add_argument(flag)
    try:
        started = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    except Exception as error:  # of any kind: a machine that cannot run it skips these tests
        pytest.skip(f"chromium does not start here: {str(error).splitlines()[0]}")
    started.set_page_load_timeout(PATIENCE)
    started.set_script_timeout(PATIENCE)
    yield started
    started.quit()


@pytest.fixture
def show(browser: Any) -> Iterator[Callable[..., Any]]:
    """A function that shows a file or an address in a window of some width, in light or dark.

    What was logged before is forgotten.
    """

    def open_page(page: Path | str, *, width: int = 1000, scheme: str = "light") -> Any:
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        for kind in ("browser", "performance"):
            browser.get_log(kind)
        browser.get(page if isinstance(page, str) else page.as_uri())
        return browser

    yield open_page
    browser.get("about:blank")


@pytest.fixture
def stands_alone(show: Callable[..., Any]) -> Callable[[Path], None]:
    """A function that demands of a page in a browser: nothing asked for, a silent console, pictures that load, no
    sideways scrolling on a phone.
    """

    def demand(page: Path) -> None:
        for width, scheme in ((360, "dark"), (1000, "light")):
            browser = show(page, width=width, scheme=scheme)
            assert browser.execute_async_script(LOADED) is True
            assert browser.execute_script("return document.documentElement.scrollWidth") <= width
            assert browser.get_log("browser") == []
            asked = asked_for(browser)
            assert asked[0] == page.as_uri() and all(address.startswith("data:") for address in asked[1:])

    return demand


def asked_for(browser: Any) -> list[str]:
    """The addresses that the page asked for."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


@pytest.fixture
def photograph() -> Callable[..., None]:
    """A function that writes areas of a page, name: (top, height), as small pictures into HCL_SCREENSHOTS.

    Skipped where that names no folder: after `make demo`, HCL_SCREENSHOTS=docs/how-to/pictures pytest -k screenshots
    """
    if not os.environ.get("HCL_SCREENSHOTS"):
        pytest.skip("HCL_SCREENSHOTS names no folder to write screenshots to")
    folder = (ROOT / os.environ["HCL_SCREENSHOTS"]).resolve()
    folder.mkdir(parents=True, exist_ok=True)

    def write(browser: Any, areas: Mapping[str, tuple[int, int]]) -> None:
        for name, (top, height) in areas.items():
            clip = {"x": 0, "y": top, "width": PICTURE_WIDTH, "height": height, "scale": 1}
            taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
            (folder / name).write_bytes(base64.b64decode(taken["data"]))
            with Image.open(folder / name) as picture:
                picture.convert("RGB").quantize(256).save(folder / name, optimize=True)
            assert (folder / name).stat().st_size < LARGEST_PICTURE

    return write


@pytest.fixture
def small_extraction(monkeypatch: pytest.MonkeyPatch, small_config: ExtractConfig) -> None:
    """Let an extraction be the small one wherever a command asks for the defaults."""
    settings = {"size": 64, "frames": 4, "weights": small_config.weights, "precision": "float32", "batch_size": 8}
    monkeypatch.setattr(classify, "ExtractConfig", lambda **given: ExtractConfig(**{**settings, **given}))
