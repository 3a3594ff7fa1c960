"""A page that is served in this process on a free port, and a client that speaks HTTP as a browser would."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from hcl.classify.config import ClassifyConfig
from hcl.classify.embedding.embedder import VideoEmbedder
from hcl.extract.config import ExtractConfig

pytest.importorskip("starlette", reason="the app extra is not installed")
pytest.importorskip("uvicorn", reason="the app extra is not installed")
pytest.importorskip("jinja2", reason="the app extra is not installed")

from hcl.classify.app.clips import key_of  # noqa: E402
from hcl.classify.app.config import HOST, AppConfig  # noqa: E402
from hcl.classify.app.storage import open_home  # noqa: E402
from hcl.classify.app.web.guard import Guard  # noqa: E402
from hcl.classify.app.web.server import listening, make_app, make_server  # noqa: E402
from hcl.classify.app.workbench import Workbench  # noqa: E402

TOKEN = "the token of the tests"
PATIENCE = 60.0  # seconds


@dataclass
class Served:
    """A page and what is behind it."""

    port: int
    workbench: Workbench
    folder: Path  # of files that wait
    cookie: str = ""

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[HTTPResponse, bytes]:
        """Send a request as the page's own script does; headers can be replaced, "" leaves one out."""
        given = {"Host": f"{HOST}:{self.port}", "Origin": self.address, "Cookie": self.cookie} | (headers or {})
        connection = HTTPConnection(HOST, self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {name: value for name, value in given.items() if value})
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def enter(self) -> None:
        """Open the printed address."""
        answer, _ = self.ask("GET", f"/?{urlencode({'token': TOKEN})}", headers={"Origin": "", "Cookie": ""})
        assert (answer.status, answer.getheader("location")) == (303, "/")
        self.cookie = str(answer.getheader("set-cookie")).partition(";")[0]

    def post(self, path: str, body: Any = b"", **query: str) -> tuple[int, dict[str, Any]]:
        """Post and read the JSON that answers."""
        answer, text = self.ask("POST", f"{path}?{urlencode(query)}", body)
        return answer.status, json.loads(text)

    def do(self, action: str, **given: Any) -> tuple[int, dict[str, Any]]:
        return self.post(f"/do/{action}", json.dumps(given).encode())

    def add(self, label: str, *videos: Path) -> None:
        """Make a class with examples."""
        if label not in self.workbench.state.classes:
            assert self.do("add-class", name=label)[0] == 200
        for video in videos:
            query = {"class": key_of(label), "name": video.name}
            assert self.post("/upload/example", video.read_bytes(), **query)[0] == 202
        self.wait()

    def parts(self) -> dict[str, str]:
        """The HTML of the parts once all work is done."""
        self.wait()
        _, text = self.ask("GET", "/parts")
        return {name: part["html"] for name, part in json.loads(text)["parts"].items()}

    def wait(self) -> None:
        end = time.monotonic() + PATIENCE
        while self.workbench.worker.is_busy:
            assert time.monotonic() < end, self.workbench.worker.shown()
            time.sleep(0.02)


@pytest.fixture(scope="session")
def small_embedder(small_config: ExtractConfig) -> Iterator[VideoEmbedder]:
    """An untrained embedder that takes milliseconds a clip."""
    with VideoEmbedder.load(extraction=small_config, device="cpu") as embedder:
        yield embedder


Serve = Callable[..., Served]


def server_of(embedder: VideoEmbedder, folder: Path, kept: ExitStack) -> Serve:
    def serve(
        support: Path | None = None, *, by: VideoEmbedder = embedder, reject: float | None = None, **settings: Any
    ) -> Served:
        config = AppConfig(**{"port": 0, "max_upload": 2} | settings)
        sock = kept.enter_context(listening(0))
        workbench = Workbench(by, open_home(support), ClassifyConfig(reject=reject))
        port = sock.getsockname()[1]
        waiting = folder / f"waiting {port}"
        waiting.mkdir()
        server = make_server(Guard(make_app(workbench, config, waiting), port, TOKEN))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()

        def stop() -> None:
            server.should_exit = True
            thread.join()
            workbench.close()

        kept.callback(stop)
        served = Served(port, workbench, waiting)
        served.enter()
        return served

    return serve


@pytest.fixture
def serve(small_embedder: VideoEmbedder, tmp_path: Path) -> Iterator[Serve]:
    """A function that serves a page; --support, the embedder and settings of the page can be given."""
    with ExitStack() as kept:
        yield server_of(small_embedder, tmp_path, kept)


@pytest.fixture(scope="module")
def page(small_embedder: VideoEmbedder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A page that the tests of a file share."""
    with ExitStack() as kept:
        yield server_of(small_embedder, tmp_path_factory.mktemp("page"), kept)()
