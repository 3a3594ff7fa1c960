"""A place in a bucket that is used like a path, so that the code of a store is the same wherever its bytes are.

It has those names of `pathlib.Path` that the stores use. It is no `Path` when the program runs: whatever asks the
operating system for a file is refused in one line, so that no URL is ever taken for a local folder called "s3:".
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from io import BytesIO, TextIOWrapper
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from hcl.extract.system.errors import InputError

if TYPE_CHECKING:
    PathLike = Path  # for the type checker: what takes a path takes either
else:
    PathLike = os.PathLike

KEY_BYTES = 1024  # the longest name of an object that S3 and Google Cloud Storage take


@dataclass(frozen=True)
class ObjectState:
    """What a listing says of an object."""

    bytes: int
    modified_ns: int  # since 1970


@dataclass
class Held:
    """An object that is kept here until all others are uploaded: without it they are no store."""

    key: str
    content: bytes | None = None  # None: it was not written yet


@dataclass(frozen=True)
class State:
    """Those fields of `os.stat_result` that are used."""

    st_size: int
    st_mtime_ns: int
    st_mtime: float


class RemotePath(PathLike):
    """A place in a bucket: an object, or all objects whose names begin with its own and a slash.

    Args:
        scheme: one of SCHEMES
        bucket: its name, nothing else
        parts: of the object's name, by slashes
        state: of the object, where a listing told it
        held: an object that is not uploaded yet, and counts as if it were
    """

    def __init__(
        self,
        scheme: str,
        bucket: str,
        parts: Sequence[str] = (),
        *,
        state: ObjectState | None = None,
        held: Held | None = None,
    ) -> None:
        self.scheme, self.bucket, self.state, self.held = scheme, bucket, state, held
        self._names = tuple(parts)

    @property
    def key(self) -> str:
        """The name of the object in the bucket."""
        return "/".join(self._names)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}" + (f"/{self.key}" if self._names else "")

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __fspath__(self) -> str:
        raise InputError(f"{self}: a URL, expected a local path; copy it to this machine first, or name a local path")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __lt__(self, other: Any) -> bool:
        return str(self) < str(other)

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(RemotePath, state=self.state), (self.scheme, self.bucket, self._names)

    def __truediv__(self, part: Any) -> RemotePath:
        return self._at((*self._names, *parts_of(str(part))))

    def _at(self, parts: Sequence[str], state: ObjectState | None = None) -> RemotePath:
        return RemotePath(self.scheme, self.bucket, parts, state=state, held=self.held)

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.bucket, *self._names)

    @property
    def held_content(self) -> bytes | None:
        """What the object will hold, if it is the one that is not uploaded yet."""
        return self.held.content if self.held is not None and self.held.key == self.key else None

    @property
    def name(self) -> str:
        return self._names[-1] if self._names else self.bucket

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> RemotePath:
        return self._at(self._names[:-1])

    @property
    def parents(self) -> Sequence[RemotePath]:
        """None: nothing in a bucket has to be there for a name below it."""
        return ()

    def with_name(self, name: str) -> RemotePath:
        if not self._names:
            raise InputError(f"{self}: names a bucket alone; name a place in it, such as {self}/{name}")
        return self._at((*self._names[:-1], name))

    def with_suffix(self, suffix: str) -> RemotePath:
        return self.with_name(PurePosixPath(self.name).with_suffix(suffix).name)

    def relative_to(self, other: Any) -> PurePosixPath:  # type: ignore[override]
        return PurePosixPath(self.key).relative_to(other.key)

    def as_posix(self) -> str:
        return str(self)

    def resolve(self, strict: bool = False) -> RemotePath:
        return self

    def absolute(self) -> RemotePath:
        """The place itself."""
        return self

    def is_symlink(self) -> bool:
        return False

    def is_file(self) -> bool:
        from hcl.extract.system.places import objects

        return bool(self._names) and objects.state_of(self) is not None

    def is_dir(self) -> bool:
        """Whether there are objects below; those of a store that is not whole yet do not count."""
        from hcl.extract.system.places import building, objects

        return self.state is None and objects.has_below(self) and not building.is_unfinished(self)

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def stat(self) -> State:  # type: ignore[override]
        """The size and the time of the last change.

        Raises:
            FileNotFoundError: if there is no such object
        """
        from hcl.extract.system.places import objects

        state = objects.state_of(self)
        if state is None:
            raise FileNotFoundError(f"{self}: no such object")
        return State(state.bytes, state.modified_ns, state.modified_ns / 1e9)

    def read_bytes(self) -> bytes:
        from hcl.extract.system.places import objects

        return objects.read(self)

    def read_range(self, start: int, length: int) -> bytes:
        """Read some bytes of the object; raises FileNotFoundError if there is none."""
        from hcl.extract.system.places import objects

        return objects.read_range(self, start, length)

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    def open(self, mode: str = "r", **given: Any) -> Any:  # type: ignore[override]
        """Open the object, which is read whole, for reading."""
        if mode not in ("r", "rb"):
            raise InputError(f"{self}: a URL, which nothing is written to piece by piece; name a local path")
        content = BytesIO(self.read_bytes())
        return content if mode == "rb" else TextIOWrapper(content, **given)

    def write_bytes(self, data: Any) -> int:
        from hcl.extract.system.places import objects

        objects.write(self, bytes(data))
        return len(data)

    def write_text(self, data: str, encoding: str | None = None, *_: Any, **__: Any) -> int:
        return self.write_bytes(data.encode(encoding or "utf-8"))

    def unlink(self, missing_ok: bool = False) -> None:
        from hcl.extract.system.places import objects

        objects.delete([self])

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: a bucket has no folders, a name with slashes is there once an object has it."""

    def iterdir(self) -> Iterator[RemotePath]:  # type: ignore[override]
        from hcl.extract.system.places import objects

        yield from objects.entries(self)

    def glob(self, pattern: str) -> Iterator[RemotePath]:  # type: ignore[override]
        """The places below that a pattern such as "*/zarr.json" means; "**/*" is every object."""
        from hcl.extract.system.places import objects

        first, _, rest = pattern.partition("/")
        if first == "**":
            yield from objects.below(self)
            return
        literal = not set(first) & set("*?[")
        found = [self / first] if literal else [one for one in self.iterdir() if fnmatchcase(one.name, first)]
        for one in found:
            if rest:
                yield from one.glob(rest)
            elif not literal or one.exists():
                yield one

    def sole_writer(self) -> AbstractContextManager[Any]:
        """As `hcl.extract.system.lock.sole_writer`."""
        from hcl.extract.system.places.claim import claimed

        return claimed(self)

    def built_whole(self) -> AbstractContextManager[RemotePath]:
        """As `hcl.extract.system.atomic.atomic_folder`."""
        from hcl.extract.system.places.building import built_whole

        return built_whole(self)

    def zarr_place(self) -> dict[str, Any]:
        """What zarr opens."""
        from hcl.extract.system.places.zarr_store import zarr_store

        return {"store": zarr_store(self)}

    def read_many(self, names: Sequence[str], most: int | None = None) -> list[bytes]:
        """Read several objects below, side by side; see `hcl.extract.system.places.objects.read_many`."""
        from hcl.extract.system.places import objects

        return objects.read_many([self / name for name in names], most)

    def upload(self, file: Path) -> None:
        """Write the object from a local file."""
        from hcl.extract.system.places import objects

        objects.upload(self, file)

    def remove_all(self) -> None:
        """Delete every object below."""
        from hcl.extract.system.places import objects

        objects.delete(objects.below(self))


def parts_of(key: str) -> tuple[str, ...]:
    """The parts of a name; none of them leads elsewhere.

    Raises:
        InputError: if one is . or .., or the name is too long
    """
    parts = tuple(part for part in key.split("/") if part)
    if {".", ".."} & set(parts):
        raise InputError(f"{key}: a name in a bucket has no . or .. in it; write it out")
    if len(key.encode("utf-8", "surrogateescape")) > KEY_BYTES:
        raise InputError(f"{key[:80]}...: longer than the {KEY_BYTES} bytes that a name in a bucket may have")
    return parts
