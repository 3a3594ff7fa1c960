"""A proxy before a server of the S3 protocol that adds latency, server errors and cut connections; see `buckets.py`.

The tests of buckets load it, too.
"""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

CUT, CUT_ANSWER, STALL = "cut", "cut answer", "stall"  # faults beside numbers, which are answered as HTTP status
NO_CONDITIONS = "no conditions"  # requests are passed on without If-None-Match and If-Match
BLOCK = 1 << 16


@dataclass
class Faults:
    """What the proxy does to requests."""

    latency: float = 0.0  # seconds before each answer
    next: deque[int | str | None] = field(default_factory=deque)  # what happens to the next requests, one each
    ignores_conditions: bool = False  # as a server that knows none
    log: list[str] = field(default_factory=list)  # the first line of each request, such as "GET /bucket/key HTTP/1.1"
    waits: list[float] = field(default_factory=list)  # when each came


class Front(socketserver.ThreadingTCPServer):
    """Listens on a free port of this machine, before a server.

    Args:
        port: of the server, on this machine
        handler: of the requests
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.target = port
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """What requests are sent to."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        """Listen no more."""
        self.shutdown()
        self.server_close()
        self._thread.join()


class FaultyProxy(Front):
    """Passes requests on, with what `faults` has for them.

    Args:
        port: of the server, on this machine
    """

    def __init__(self, port: int) -> None:
        self.faults = Faults()
        super().__init__(port, _Handler)


class _Handler(socketserver.BaseRequestHandler):
    server: FaultyProxy

    def handle(self) -> None:
        with suppress(OSError):
            self._pass_on()

    def _pass_on(self) -> None:
        """Pass one request on, and close: the client connects anew."""
        faults = self.server.faults
        request = self._read_request()
        if request is None:
            return
        head, body = request
        faults.log.append(head.split(b"\r\n", 1)[0].decode())
        faults.waits.append(time.monotonic())
        time.sleep(faults.latency)
        fault = faults.next.popleft() if faults.next else None
        if fault == STALL:
            time.sleep(3)
        if fault in (CUT, STALL):
            return
        if isinstance(fault, int):
            self.request.sendall(b"HTTP/1.1 %d Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % fault)
            return
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        if faults.ignores_conditions:
            lines = [line for line in lines if not line.lower().startswith((b"if-none-match:", b"if-match:"))]
        head = b"\r\n".join([lines[0], b"Connection: close", *lines[1:]])
        self._answer(head + b"\r\n\r\n" + body, cut=fault == CUT_ANSWER)

    def _read_request(self) -> tuple[bytes, bytes] | None:
        """The head without the empty line that ends it, and the body."""
        read = b""
        while b"\r\n\r\n" not in read:
            more = self.request.recv(BLOCK)
            if not more:
                return None
            read += more
        head, _, body = read.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        parts = [body]
        missing = length - len(body)
        while missing > 0:
            parts.append(self.request.recv(BLOCK))
            missing -= len(parts[-1])
        return head, b"".join(parts)

    def _answer(self, request: bytes, *, cut: bool) -> None:
        """Give the server's answer; a cut one ends in the middle."""
        with socket.create_connection(("127.0.0.1", self.server.target)) as server:
            server.sendall(request)
            while block := server.recv(BLOCK):
                self.request.sendall(block[: len(block) - 1 - len(block) // 3] if cut else block)
                if cut:
                    return
