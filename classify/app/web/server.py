"""The page's server: what each address does, from its start to Ctrl-C."""

from __future__ import annotations

import json
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hcl.classify.answers.classify import load_embedder
from hcl.classify.app.clips import Upload, key_of
from hcl.classify.app.config import HOST, AppConfig
from hcl.classify.app.exports import WRITERS, export
from hcl.classify.app.storage import open_home
from hcl.classify.app.web.guard import Guard
from hcl.classify.app.web.sections import Sections
from hcl.classify.app.web.uploads import Refused, Uploads, short_body
from hcl.classify.app.workbench import Workbench
from hcl.classify.app.worker import Tell
from hcl.classify.config import ClassifyConfig
from hcl.classify.pages.page import part
from hcl.extract.system.console import echo
from hcl.extract.system.errors import InputError

OWN = Path(__file__).parent / "templates"
PATIENCE = 2  # seconds that requests have to end, after Ctrl-C


def serve_app(support: Path | None, run: Path | None, config: AppConfig, settings: ClassifyConfig) -> None:
    """Serve the page until Ctrl-C, and remove what is temporary.

    Args:
        support: examples to go on with, and where new ones are kept; None: nowhere
        run: whose encoder embeds; None: that of the support set, else untrained
        config: port and bounds
        settings: text model, rejection, device and workers

    Raises:
        InputError: if support, run or port cannot be used, or a package is missing
    """
    with listening(config.port) as sock:
        opened = open_home(support)
        embedder = load_embedder(run, settings, opened.support)
        with stopped_by_signals(), tempfile.TemporaryDirectory(prefix="hcl-app-") as folder:
            workbench = Workbench(embedder, opened, settings)
            try:
                with suppress(KeyboardInterrupt):  # none comes where Ctrl-C is ignored, as in the background
                    serve(workbench, config, sock, Path(folder))
            finally:
                workbench.close()
            echo("the page has ended")


def serve(workbench: Workbench, config: AppConfig, sock: socket.socket, folder: Path) -> None:
    """Print the address and serve until a signal comes."""
    port, token = sock.getsockname()[1], secrets.token_urlsafe(32)
    echo(f"http://{HOST}:{port}/?token={token}")
    echo("open this address in a browser of this machine; whoever has it can use the page; Ctrl-C ends it")
    sys.stdout.flush()
    make_server(Guard(make_app(workbench, config, folder), port, token)).run(sockets=[sock])


def make_server(app: Guard) -> uvicorn.Server:
    """A server of one process that logs nothing of what is asked, since addresses tell names."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=100,
            timeout_graceful_shutdown=PATIENCE,
        )
    )


def make_app(workbench: Workbench, config: AppConfig, folder: Path) -> Starlette:
    """The addresses of the page, unguarded.

    Args:
        workbench: what they are about
        config: bounds
        folder: private and empty, for files that wait
    """
    page = Page(workbench, config, folder)
    return Starlette(
        routes=[
            Route("/", page.show),
            Route("/static/{name}", page.static),
            Route("/parts", page.parts),
            Route("/pictures/{content}/{place:int}", page.picture),
            Route("/upload/{purpose}", page.upload, methods=["POST"]),
            Route("/do/{action}", page.act, methods=["POST"]),
            Route("/export/{name}", page.export),
        ]
    )


class Page:
    """What each address does."""

    def __init__(self, workbench: Workbench, config: AppConfig, folder: Path) -> None:
        self._bench, self._folder = workbench, folder
        self._sections = Sections(workbench, config)
        self._uploads = Uploads(folder, config)
        self._static = {
            "app.css": ("text/css", part("report.css") + (OWN / "app.css").read_text(encoding="utf-8")),
            "app.js": ("text/javascript", (OWN / "app.js").read_text(encoding="utf-8")),
        }

    def show(self, request: Request) -> Response:
        """The whole page."""
        return HTMLResponse(self._sections.page())

    def static(self, request: Request) -> Response:
        """Style and script."""
        kind, text = self._static.get(request.path_params["name"], ("", ""))
        return Response(text, media_type=kind) if kind else _missing()

    def parts(self, request: Request) -> Response:
        """The parts that changed since the browser asked last, and whether more is to come."""
        busy = self._bench.worker.is_busy  # first: what it did until then is shown
        return JSONResponse({"busy": busy, "parts": self._sections.changed(dict(request.query_params))})

    def picture(self, request: Request) -> Response:
        """A frame of a clip."""
        content, place = request.path_params["content"], request.path_params["place"]
        for known, seen in list(self._bench.seen.items()):
            if known[:32] == content and place < len(seen.jpegs):
                return Response(seen.jpegs[place], media_type="image/jpeg")
        return _missing()

    async def upload(self, request: Request) -> Response:
        """Take a clip, and let it become an example, a question, or a video that is searched."""
        purpose = request.path_params["purpose"]
        bench = self._bench
        try:
            if purpose == "example":
                learn = partial(self._learn, label=self._label(request.query_params.get("class", "")))
            elif purpose not in ("question", "search"):
                return _missing()
            async with self._uploads.received(request) as upload:
                run = learn if purpose == "example" else bench.ask if purpose == "question" else bench.search
                drop = partial(upload.path.unlink, missing_ok=True)
                number = bench.worker.submit(upload.name, partial(run, upload), drop)
        except Refused as error:
            return _refused(error)
        except InputError as error:
            return _problem(str(error))
        return JSONResponse({"job": number}, status_code=202)

    async def act(self, request: Request) -> Response:
        """Do what a button says; its details are JSON."""
        try:
            given = json.loads(await short_body(request) or b"{}")
            if not isinstance(given, dict):
                raise InputError("expected an object of JSON")
            return await run_in_threadpool(self._act, request.path_params["action"], given)
        except Refused as error:
            return _refused(error)
        except (InputError, ValueError, RecursionError) as error:
            return _problem(str(error))

    def export(self, request: Request) -> Response:
        """A file to save."""
        name = request.path_params["name"]
        if name not in WRITERS:
            return _missing()
        folder = tempfile.TemporaryDirectory(dir=self._folder)
        try:
            path = export(self._bench, name, Path(folder.name))
        except InputError as error:
            folder.cleanup()
            return PlainTextResponse(f"{error}\n", status_code=409)
        done = BackgroundTask(folder.cleanup)
        return FileResponse(path, media_type=WRITERS[name], filename=name, background=done)

    def _act(self, action: str, given: dict[str, Any]) -> Response:
        bench, worker = self._bench, self._bench.worker
        named = given.get("number")
        number = named if isinstance(named, int) else 0
        if action == "add-class":
            bench.add_class(str(given.get("name", "")))
        elif action == "remove-class":
            label = self._label(given.get("class"))
            worker.submit(f"remove {label}", partial(bench.drop_class, label))
        elif action == "remove-clip":
            contents = self._contents(given.get("clip"))
            worker.submit("remove an example", partial(bench.forget, contents))
        elif action == "correct":
            label, name = self._label(given.get("class")), bench.question(number).name
            worker.submit(f"{name} is {label}", partial(bench.correct, number, label))
        elif action == "remove-question":
            bench.drop_question(number)
        elif action == "test":
            worker.submit("the self-test", bench.test)
        elif action == "cancel":
            worker.cancel(number)
        elif action == "dismiss":
            worker.dismiss(number)
        else:
            return _missing()
        return JSONResponse({})

    def _learn(self, upload: Upload, tell: Tell, label: str) -> None:
        self._bench.learn(upload, label, tell)

    def _label(self, key: object) -> str:
        """The class that a key names."""
        for label in self._bench.state.classes:
            if key_of(label) == key:
                return label
        raise InputError("this class is not there any more; choose another, or make it anew")

    def _contents(self, clip: object) -> frozenset[str]:
        support = self._bench.state.support
        found = frozenset(content for content in support.videos.content if content[:32] == clip) if support else None
        if not found:
            raise InputError("this example is not there any more")
        return found


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """Listen on a port of this machine alone.

    Raises:
        InputError: if the port is in use or not allowed, or a package of the page is missing
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        if sys.platform != "win32":  # there it would let two programs have one port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((HOST, port))
            sock.listen()
        except OSError as error:
            raise InputError(
                f"--port {port}: {error.strerror or error} on {HOST}; name another port, or 0 for any that is free"
            ) from error
        yield sock


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM end the page as Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _problem(text: str, status: int = 400) -> Response:
    return JSONResponse({"error": text}, status_code=status)


def _refused(error: Refused) -> Response:
    """Tell a refusal and close: what still comes of the body is not read."""
    answer = _problem(str(error), error.status)
    answer.headers["Connection"] = "close"
    return answer


def _missing() -> Response:
    return _problem("there is no such thing on this page", 404)
