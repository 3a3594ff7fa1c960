"""One writer at a time to a place in a bucket: who creates the claim beside it writes, as long as it beats.

The claim is an object that is created on the condition that there is none, which a server must honour: that is tried
first, on a name of its own, and a server that does not is refused. Its holder renews it every few seconds, each time on
the condition that nobody else did. One that was not renewed for long is stale: its holder was killed, or lost the
network. Ages are measured by the server's clock alone.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from hcl.extract.system.errors import InputError
from hcl.extract.system.places import objects
from hcl.extract.system.places.building import finish_copy
from hcl.extract.system.places.failures import again, told
from hcl.extract.system.places.remote_path import RemotePath

Version = dict[str, str]  # as obstore takes it
Condition = Literal["create"] | Version  # that there is no object, or still this version of it
ENDING = ".lock"  # of the claim's name, beside what it is of


@dataclass(frozen=True)
class Pulse:
    """How often a claim is renewed, and how long after the last time it is stale."""

    every: float = 10.0  # seconds
    stale_after: float = 90.0

    def __post_init__(self) -> None:
        if not 0 < self.every < self.stale_after:
            raise ValueError(f"{self.every = } must lie between 0 and {self.stale_after = }")


@contextmanager
def claimed(place: RemotePath, pulse: Pulse | None = None) -> Iterator[Claim]:
    """Hold the claim of a place, and renew it until the block ends; what a killed process left half done is mended.

    Args:
        place: of the cache, store or run
        pulse: how often it is renewed

    Raises:
        InputError: if another process holds it, which the message names, the server does not honour conditions, or the
            claim was lost in the block
    """
    claim = Claim(place.with_name(place.name + ENDING), place, pulse or Pulse())
    claim.take()
    try:
        finish_copy(place)
        yield claim
        claim.check()
    finally:
        claim.release()


class Claim:
    """The claim of one process.

    Args:
        path: of the claim's object
        place: that it is of
        pulse: how often it is renewed
    """

    def __init__(self, path: RemotePath, place: RemotePath, pulse: Pulse) -> None:
        self._path, self._place, self._pulse = path, place, pulse
        self._id = uuid.uuid4().hex
        self._version: Version = {}  # of the object as this process wrote it last
        self._beats = 0
        self._lost = ""  # why it is not held any more
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="claim", daemon=True)

    def take(self) -> None:
        """Create the claim, or take over one that is stale, and begin to renew it.

        Raises:
            InputError: if another process holds it, or the server does not honour conditions
        """
        now = self._server_time()
        self._version = self._written("create") or self._take_over(now)
        if self._holder().get("id") != self._id:
            raise InputError(f"{self._place}: another process claimed it at the same time; run again")
        self._thread.start()

    def check(self) -> None:
        """Make sure that the claim is held.

        Raises:
            InputError: if another process took it over, or it could not be renewed for too long
        """
        if self._lost:
            raise InputError(f"{self._place}: {self._lost}; nothing more is written, run again to resume")

    def release(self) -> None:
        """End the renewal and delete the claim, if it is this process's."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(self._pulse.every)  # without a network it may be long at a request
        if not self._lost:
            with suppress(InputError, FileNotFoundError):  # it will be stale
                if self._holder().get("id") == self._id:
                    self._path.unlink()

    def _server_time(self) -> int:
        """The server's clock in nanoseconds, from an object by which it is tried, too, whether it honours conditions.

        Raises:
            InputError: if it creates an object twice
        """
        trial = self._path.with_name(f"{self._path.name}.{self._id}")
        _put(trial, b"1", "create")
        try:
            second = _put(trial, b"2", "create")
            if second is not None or trial.read_bytes() != b"1":
                raise InputError(
                    f"{self._place}: the server ignores the condition of a create (If-None-Match: *), so that two"
                    " writers could not be told from one; write to a server that honours it (AWS S3, Google Cloud"
                    " Storage, Azure, MinIO), or to a local folder that you then copy"
                )
            state = objects.state_of(trial)
        finally:
            trial.unlink()
        return 0 if state is None else state.modified_ns

    def _take_over(self, now: int) -> Version:
        """Replace a claim that is stale, on the condition that it still is the same.

        Args:
            now: the server's clock, in nanoseconds
        """
        meta = _head(self._path)
        age = (now - int(meta["last_modified"].timestamp()) * 10**9) / 1e9 if meta else 0.0
        who = _name_of(self._holder())
        if age < self._pulse.stale_after:
            raise InputError(
                f"{self._place}: {who} is writing to it; wait until it ends or stop it, then run again (a claim"
                f" that was not renewed for {self._pulse.stale_after:.0f} s is taken over)"
            )
        version = self._written(_version(meta))
        if version is None:
            raise InputError(f"{self._place}: another process took over the claim of {who}; wait until it ends")
        return version

    def _written(self, condition: Condition) -> Version | None:
        """Write the claim on a condition; give its version, None if the condition does not hold.

        A request whose answer was lost is repeated, and then met by what it wrote itself.
        """
        version = _put(self._path, self._content(), condition)
        if version is None and self._holder().get("id") == self._id:
            meta = _head(self._path)
            return _version(meta) if meta else None
        return version

    def _beat(self) -> None:
        """Renew the claim until it ends or is lost."""
        missed = 0.0
        while not self._ended.wait(self._pulse.every):
            self._beats += 1
            try:
                version = self._written(self._version)
            except Exception as error:  # of any kind: a thread that ended unseen would let others take the claim
                missed += self._pulse.every
                if missed >= self._pulse.stale_after - 2 * self._pulse.every:
                    self._lost = f"the claim could not be renewed ({error})"
                    return
                continue
            missed = 0.0
            if version is None:
                self._lost = "another process took over the claim, which was not renewed in time"
                return
            self._version = version

    def _holder(self) -> dict[str, Any]:
        """What the claim says of its holder; nothing, if it cannot be understood."""
        try:
            content = json.loads(objects.read(self._path, most=10_000))
        except (FileNotFoundError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _content(self) -> bytes:
        return json.dumps({"id": self._id, "process": os.getpid(), "beat": self._beats}).encode()


def _name_of(holder: dict[str, Any]) -> str:
    """The process that a claim names, if that is what it says."""
    process = holder.get("process")
    return f"process {process} (of this or another machine)" if isinstance(process, int) else "another process"


def _put(path: RemotePath, content: bytes, condition: Condition) -> Version | None:
    """Write an object on a condition; give its version, None if the condition does not hold."""
    obstore, store = objects.reached(path)
    from obstore.exceptions import AlreadyExistsError, NotSupportedError, PreconditionError

    try:  # a request whose answer was lost is repeated: it then meets what it wrote itself, which the caller looks for
        answer = again(lambda: obstore.put(store, path.key, content, mode=condition), path, path.scheme)
    except (AlreadyExistsError, PreconditionError, FileNotFoundError):
        return None
    except NotSupportedError:
        raise InputError(f"{path}: the server takes no conditions, so that two writers could meet") from None
    return _version(answer)


def _version(answer: Any) -> Version:
    """What a condition must name of an object as a server has it: S3 and Azure go by the tag, Google by the version."""
    return {name: answer[name] for name in ("e_tag", "version") if answer.get(name) is not None}


def _head(path: RemotePath) -> Any:
    """What the server says of an object; None if there is none."""
    obstore, store = objects.reached(path)
    try:
        with told(path, path.scheme):
            return obstore.head(store, path.key)
    except FileNotFoundError:
        return None
