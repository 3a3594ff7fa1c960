"""Google Cloud Storage as its XML interface has it, before a server of the S3 protocol, from which it differs little.

Objects have generations, one for each write, and conditions name them; the rest is passed on.
"""

from __future__ import annotations

import http.client
import itertools
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote

from bucket_proxy import Front  # loaded before

CONDITION, GENERATION, SOURCE = "x-goog-if-generation-match", "x-goog-generation", "x-goog-copy-source"
SIGNED = "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
PASSED_ON = ("content-type", "range", "content-length", "transfer-encoding")


class GcsServer(Front):
    """Passes requests on.

    Args:
        port: of the server of the S3 protocol, on this machine
    """

    def __init__(self, port: int) -> None:
        self.writing = threading.Lock()
        self.generations: dict[str, int] = {}  # by the path of an object
        self.next_generation = itertools.count(1_700_000_000_000_000)
        super().__init__(port, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: GcsServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._pass_on()

    def do_HEAD(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def do_PUT(self) -> None:
        with self.server.writing:
            self._pass_on(self._generation_of_a_write())

    def do_DELETE(self) -> None:
        with self.server.writing:
            if self.path not in self.server.generations:  # the S3 protocol does not mind, this one does
                self._read()
                return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            self._pass_on()
            del self.server.generations[self.path]

    def log_message(self, *_: object) -> None:
        """Be silent."""

    def _generation_of_a_write(self) -> int | None:
        """The new generation; None where a condition does not hold, 0 for what is no object."""
        expected = self.headers.get(CONDITION)
        if expected is not None and int(expected) != self.server.generations.get(self.path, 0):
            return None
        return 0 if "?" in self.path else next(self.server.next_generation)

    def _pass_on(self, written: int | None = 0) -> None:
        body = self._read()
        if written is None:
            return self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        headers = {name: value for name, value in self.headers.items() if name.lower() in PASSED_ON[:2]}
        headers["Authorization"] = SIGNED  # for a server that does not check it
        if source := self.headers.get(SOURCE):
            headers["x-amz-copy-source"] = unquote(source)
        connection = http.client.HTTPConnection("127.0.0.1", self.server.target)
        bucket, slash, rest = self.path[1:].partition("/")  # whose name is sent with its hyphens encoded
        connection.request(self.command, f"/{unquote(bucket)}{slash}{rest}", body, headers)
        answer = connection.getresponse()
        content = answer.read()
        if written and answer.status < 300:
            self.server.generations[self.path] = written
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in PASSED_ON[2:]}
        kept.pop("Connection", None)
        if self.path in self.server.generations and answer.status < 300:
            kept[GENERATION] = str(self.server.generations[self.path])
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        self._answer(answer.status, content, kept, length)
        connection.close()

    def _read(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(
        self, status: int, content: bytes, headers: dict[str, str] | None = None, length: str | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        self.wfile.write(content)
