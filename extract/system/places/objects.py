"""Objects of a bucket: read, written, listed, copied and deleted, several side by side."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from hcl.extract.system.places.connecting import bucket_store
from hcl.extract.system.places.failures import again, told
from hcl.extract.system.places.remote_path import ObjectState, RemotePath

if TYPE_CHECKING:
    from pathlib import Path

    from obstore.store import ObjectStore

SIDE_BY_SIDE = 48  # requests of a process; each waits for the network nearly all of its time
THREADS = "bucket"  # begins the names of the threads
DELETED_AT_ONCE = 1000  # names that S3 takes in one request

Given = TypeVar("Given")
Got = TypeVar("Got")


def reached(path: RemotePath) -> tuple[Any, ObjectStore]:
    """Obstore, and its store of the bucket of a place; where the package is missing, the extra is named."""
    store = bucket_store(path.scheme, path.bucket)
    import obstore

    return obstore, store


def read(path: RemotePath, most: int | None = None) -> bytes:
    """Read an object.

    Args:
        path: of the object
        most: bytes that it may have; None: any number

    Raises:
        FileNotFoundError: if there is none
        ValueError: if it is larger
    """
    if path.held_content is not None:
        return path.held_content
    obstore, store = reached(path)

    def request() -> bytes:
        answer = obstore.get(store, path.key)
        if most is not None and answer.meta["size"] > most:
            raise ValueError(f"object {path.name} of {answer.meta['size']} bytes, expected at most {most}")
        return bytes(answer.bytes())

    found: bytes = again(request, path, path.scheme)
    return found


def read_range(path: RemotePath, start: int, length: int) -> bytes:
    """Read some bytes of an object.

    Raises:
        FileNotFoundError: if there is none
    """
    obstore, store = reached(path)

    def request() -> bytes:
        return bytes(obstore.get_range(store, path.key, start=start, length=length))

    found: bytes = again(request, path, path.scheme)
    return found


def read_many(paths: Sequence[RemotePath], most: int | None = None) -> list[bytes]:
    """Read several objects side by side; raises as `read`."""
    return side_by_side(lambda path: read(path, most), paths)


@cache
def _requests() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix=THREADS)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_requests.cache_clear)  # no thread lives on in a forked process


def side_by_side(work: Callable[[Given], Got], given: Iterable[Given]) -> list[Got]:
    """Do the same with several values in threads that wait for the network; the first error is raised."""
    values = list(given)
    if len(values) < 2 or threading.current_thread().name.startswith(THREADS):  # which would wait for themselves
        return [work(value) for value in values]
    return list(_requests().map(work, values))


def ahead(work: Callable[[Given], Got], given: Sequence[Given]) -> Iterator[Got]:
    """Do the same with many values, in their order, some of them before they are asked for."""
    waiting: deque[Future[Got]] = deque()
    try:
        for number, _ in enumerate(given):
            while len(waiting) < SIDE_BY_SIDE and number + len(waiting) < len(given):
                waiting.append(_requests().submit(work, given[number + len(waiting)]))
            yield waiting.popleft().result()
    finally:
        for each in waiting:
            each.cancel()


def write(path: RemotePath, content: bytes) -> None:
    """Write an object, replacing what stands there."""
    obstore, store = reached(path)

    with told(path, path.scheme):
        obstore.put(store, path.key, content)


def upload(path: RemotePath, file: Path) -> None:
    """Write an object from a local file, in parts if it is large."""
    obstore, store = reached(path)

    with told(path, path.scheme):
        obstore.put(store, path.key, file)


def download(path: RemotePath, file: Path) -> None:
    """Read an object into a local file, block by block.

    Raises:
        FileNotFoundError: if there is none
    """
    obstore, store = reached(path)

    def request() -> None:
        answer = obstore.get(store, path.key)
        with file.open("wb") as stream:
            for block in answer.stream(min_chunk_size=1 << 20):
                stream.write(block)

    again(request, path, path.scheme)


def state_of(path: RemotePath) -> ObjectState | None:
    """The size of an object and when it was changed; None if there is none."""
    if path.state is not None:
        return path.state
    if path.held_content is not None:
        return ObjectState(len(path.held_content), 0)
    obstore, store = reached(path)

    try:
        with told(path, path.scheme):
            return _state(obstore.head(store, path.key))
    except FileNotFoundError:
        return None


def bytes_of(path: RemotePath) -> int:
    """The bytes of an object, or of all objects right below; 0 if there is nothing."""
    state = state_of(path)
    return state.bytes if state is not None else sum(each.state.bytes for each in entries(path) if each.state)


def has_below(path: RemotePath) -> bool:
    """Whether there is any object whose name begins with this one and a slash."""
    return next(below(path, at_a_time=1), None) is not None


def below(path: RemotePath, at_a_time: int = 1000) -> Iterator[RemotePath]:
    """All objects below a place, in the order of their names; those that are held are none."""
    obstore, store = reached(path)

    with told(path, path.scheme):
        for batch in obstore.list(store, prefix=path.key or None, chunk_size=at_a_time):
            for each in batch:
                if each["path"] != path.key:
                    yield path._at(each["path"].split("/"), _state(each))


def entries(path: RemotePath) -> Iterator[RemotePath]:
    """What is right below a place, as in a folder: objects with their state, and what has objects below it."""
    obstore, store = reached(path)

    with told(path, path.scheme):
        found = obstore.list_with_delimiter(store, prefix=path.key or None)
    for name in found["common_prefixes"]:
        yield path._at(name.rstrip("/").split("/"))
    for each in found["objects"]:
        yield path._at(each["path"].split("/"), _state(each))


def copy(pairs: Sequence[tuple[RemotePath, RemotePath]]) -> None:
    """Copy objects within a bucket, side by side, without bringing them here."""

    def one(pair: tuple[RemotePath, RemotePath]) -> None:
        source, target = pair
        obstore, store = reached(source)
        with told(source, source.scheme):
            obstore.copy(store, source.key, target.key)

    side_by_side(one, pairs)


def delete(paths: Iterable[RemotePath]) -> None:
    """Delete objects; one that is not there is no error."""
    waiting = list(paths)
    for start in range(0, len(waiting), DELETED_AT_ONCE):
        some = waiting[start : start + DELETED_AT_ONCE]
        try:
            _delete_at_once(some)
        except FileNotFoundError:  # Google Cloud Storage says so, and the rest of them may stand
            side_by_side(_delete_if_there, some)


def _delete_at_once(paths: Sequence[RemotePath]) -> None:
    obstore, store = reached(paths[0])
    with told(paths[0], paths[0].scheme):
        obstore.delete(store, [each.key for each in paths])


def _delete_if_there(path: RemotePath) -> None:
    with suppress(FileNotFoundError):
        _delete_at_once([path])


def _state(meta: Any) -> ObjectState:
    return ObjectState(int(meta["size"]), int(meta["last_modified"].timestamp()) * 10**9)
