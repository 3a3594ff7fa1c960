"""Videos of a bucket on their way to the decoders: each is a file of a temporary folder while it is decoded, no longer.

A few are fetched ahead. What lies in the folder at once is bounded by their number and by their bytes.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hcl.extract.system.errors import InputError
from hcl.extract.system.places import objects
from hcl.extract.system.places.location import is_remote
from hcl.extract.system.places.remote_path import RemotePath

FETCHED_AHEAD = 8  # videos, beyond those that the decoders have
MOST_BYTES = 4 * 2**30  # that lie in the temporary folder at once, unless one video alone is larger
SHARE_OF_DISK = 0.5  # of what is free there, if that is less

Numbered = tuple[int, Path]  # a row and its video


@dataclass(frozen=True)
class Streamed:
    """Videos as the decoders take them, and what to call once one of them is decoded."""

    videos: Sequence[Numbered]
    finished: Callable[[Numbered], None]


@contextmanager
def streamed(videos: Sequence[Numbered]) -> Iterator[Streamed]:
    """Let videos of buckets be files of this machine while they are decoded, in the order in which they are asked for.

    Args:
        videos: rows and places; those on this machine stay what they are
    """
    if not any(is_remote(path) for _, path in videos):
        yield Streamed(videos, lambda _: None)
        return
    with closing(Fetching(videos)) as fetching:
        yield Streamed(fetching, fetching.finished)


class Fetching(Sequence[Numbered]):
    """Fetches videos one after the other, some before they are asked for, into a folder of its own.

    Args:
        videos: rows and places, the first ones; those on this machine stay what they are
    """

    def __init__(self, videos: Sequence[Numbered] = ()) -> None:
        self._temporary = TemporaryDirectory(prefix="hcl-videos-")
        self._folder = Path(self._temporary.name)
        self._pool = ThreadPoolExecutor(FETCHED_AHEAD)
        self._most = min(MOST_BYTES, int(SHARE_OF_DISK * shutil.disk_usage(self._folder).free))
        self._videos = list(videos)
        self._begun = 0  # videos whose fetching was begun
        self._bytes: dict[int, int] = {}  # of those that lie in the folder or are on their way, by row
        self._files: dict[int, Future[Path]] = {}  # by place among the videos
        self._changed = threading.Condition()
        self._is_stopped = False

    def __len__(self) -> int:
        return len(self._videos)

    def add(self, *videos: Numbered) -> None:
        """Let further videos follow."""
        self._videos += videos

    def __getitem__(self, place: int) -> Numbered:  # type: ignore[override]
        """Wait for a video; those before it were asked for already."""
        row, _ = self._videos[place]
        with self._changed:
            while self._begun <= place:
                if not self._begin():
                    self._changed.wait(timeout=1.0)
            while self._begun < min(len(self), place + 1 + FETCHED_AHEAD) and self._begin():
                pass
        return row, self._files.pop(place).result()

    def finished(self, video: Numbered) -> None:
        """Delete the file of a video that is decoded."""
        row, path = video
        with self._changed:
            if self._bytes.pop(row, None) is None:
                return
            self._changed.notify_all()
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Fetch nothing more, and remove the folder."""
        self._is_stopped = True
        self._pool.shutdown(cancel_futures=True)
        self._temporary.cleanup()

    def _begin(self) -> bool:
        """Begin to fetch the next video if there is room for it."""
        row, path = self._videos[self._begun]
        size = objects.bytes_of(path) if isinstance(path, RemotePath) else 0
        used = sum(self._bytes.values())
        if used and used + size > self._most:
            return False
        if isinstance(path, RemotePath):
            self._bytes[row] = size
        self._files[self._begun] = self._pool.submit(self._fetch, row, path)
        self._begun += 1
        return True

    def _fetch(self, row: int, path: Path) -> Path:
        """Bring a video here; one that is not there is found missing by its decoder."""
        if not isinstance(path, RemotePath) or self._is_stopped:
            return path
        local = self._folder / f"{row}{path.suffix}"
        try:
            fetch(path, local)
        except FileNotFoundError:
            return local
        except OSError as error:
            raise InputError(
                f"{local}: a video cannot be written there ({error.strerror or error}); free some space, or name a"
                " larger folder by TMPDIR"
            ) from error
        return local


def fetch(path: RemotePath, local: Path) -> None:
    """Bring an object, or the images of a folder of frames, to this machine, with the time of its last change.

    Raises:
        FileNotFoundError: if there is none
    """
    if path.state is None and not path.is_file():
        local.mkdir()
        images = [each for each in path.iterdir() if each.state is not None]
        objects.side_by_side(lambda image: fetch(image, local / image.name), images)
        return
    state = objects.state_of(path)
    objects.download(path, local)
    if state is not None:
        os.utime(local, ns=(state.modified_ns, state.modified_ns))


def with_states(paths: Sequence[Path]) -> list[Path | None]:
    """Look places up in their buckets: each with its size and time, those on this machine as they are, None: not there.

    What lies side by side is looked up by one listing, not by a request each.
    """
    unknown = [path for path in paths if isinstance(path, RemotePath) and path.state is None]
    parents = {str(path.parent): path.parent for path in unknown}
    listings = objects.side_by_side(lambda parent: list(parent.iterdir()), parents.values())
    found = {str(entry): entry for entries in listings for entry in entries}
    return [found.get(str(path)) if isinstance(path, RemotePath) and path.state is None else path for path in paths]
