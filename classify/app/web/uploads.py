"""Files that come from the browser: streamed into a private folder, bounded in size, number and time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.requests import ClientDisconnect, Request

from hcl.classify.app.clips import Upload, clean_name
from hcl.classify.app.config import MEGABYTE, AppConfig

AT_ONCE = 3  # files that are received side by side
WAITING = 4  # times the largest file, that all files that wait may take together
LEAST_WAITING = 1000 * MEGABYTE
SHORT = 65_536  # bytes of a request that holds no file
SLOW = 10  # seconds in which the body of such a request must come


class Refused(Exception):
    """A request that is not taken; the message is for a person."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Uploads:
    """Takes files into a folder; whoever gets one deletes it.

    Args:
        folder: private, empty
        config: the bounds
    """

    def __init__(self, folder: Path, config: AppConfig) -> None:
        self._folder, self._config = folder, config
        self._receiving = 0

    @asynccontextmanager
    async def received(self, request: Request) -> AsyncIterator[Upload]:
        """Write the body of a request into a file; the file is deleted if the block fails.

        Raises:
            Refused: if it is too large, too slow, empty or one too many
        """
        if self._receiving >= AT_ONCE:
            raise Refused(429, f"{AT_ONCE} files are being received; send this one after them")
        self._receiving += 1
        path = self._folder / secrets.token_hex(16)
        try:
            async with asyncio.timeout(self._config.upload_timeout):
                await self._write(request, path)
            yield Upload(path, clean_name(request.query_params.get("name", "")))
        except TimeoutError:
            path.unlink(missing_ok=True)
            raise Refused(408, f"the file did not come within {self._config.upload_timeout} seconds") from None
        except ClientDisconnect:
            path.unlink(missing_ok=True)
            raise Refused(400, "the browser stopped sending the file") from None
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            self._receiving -= 1

    async def _write(self, request: Request, path: Path) -> None:
        self._check(_length(request))
        count = 0
        with path.open("xb") as file:
            async for block in request.stream():
                count += len(block)
                self._check(count)
                file.write(block)
        if not count:
            raise Refused(400, "the file is empty (0 bytes)")

    def _check(self, count: int) -> None:
        if count > self._config.most_bytes:
            raise Refused(413, f"a file larger than {self._config.max_upload} MB; start hcl app with --max-upload MB")
        waiting = sum(file.stat().st_size for file in self._folder.iterdir() if file.is_file())
        if waiting > max(LEAST_WAITING, WAITING * self._config.most_bytes):
            raise Refused(429, "too many files wait to be read; send this one when some are done")


async def short_body(request: Request) -> bytes:
    """The body of a request that holds no file.

    Raises:
        Refused: if it is long or slow
    """
    body = bytearray()
    if _length(request) > SHORT:
        raise Refused(413, f"a request of more than {SHORT} bytes")
    try:
        async with asyncio.timeout(SLOW):
            async for block in request.stream():
                body += block
                if len(body) > SHORT:
                    raise Refused(413, f"a request of more than {SHORT} bytes")
    except TimeoutError:
        raise Refused(408, f"the request did not come within {SLOW} seconds") from None
    return bytes(body)


def _length(request: Request) -> int:
    """The length that a request names; 0 where it does not, and the body is counted as it comes."""
    named = request.headers.get("content-length", "0")
    return int(named) if named.isdecimal() else 0
