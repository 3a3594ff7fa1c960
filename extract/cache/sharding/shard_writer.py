"""The one writer of a shard: it encodes videos as they come, in memory, and writes each file of the shard once.

What it returns says what became of each video. Whoever keeps the cache marks them by that, after the files are there.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from hcl.extract.cache.layout import FinishedVideo, MapRecord
from hcl.extract.cache.quantisation import encode_views
from hcl.extract.cache.sharding.chunk_encoding import encode_chunk
from hcl.extract.cache.sharding.places import Sharding, ShardUnit
from hcl.extract.cache.sharding.shard_file import read_entries, write_shard
from hcl.extract.system.atomic import stays_within
from hcl.extract.system.errors import InputError

RECORDS_AHEAD = 16  # videos that may wait to be encoded


class ShardWriter:
    """Collects the videos of one shard.

    Args:
        sharding: of the cache
        unit: the videos that will come, and those that stay
    """

    def __init__(self, sharding: Sharding, unit: ShardUnit) -> None:
        self.unit, self._sharding = unit, sharding
        self._stored = {row: stored for (row, _), stored in zip(unit.videos, unit.stored, strict=True)}
        self._chunks: dict[str, dict[int, bytes]] = {name: {} for name in sharding.layout.arrays}
        self._finished: dict[int, FinishedVideo] = {}

    @property
    def is_complete(self) -> bool:
        """Whether all videos of the unit came."""
        return len(self._finished) == len(self.unit.videos)

    def add(self, record: MapRecord) -> None:
        """Take a video: encode its maps."""
        error = 0.0
        if record.maps is not None:
            at_place = replace(record, row=self._stored[record.row])
            chunks, error = encode_views(at_place, self._sharding.layout)
            for key, values in chunks.items():
                _, place = self._sharding.place(key)
                self._chunks[key[0]][place] = encode_chunk(values, self._sharding.orders[key[0]])
        self._finished[record.row] = FinishedVideo.of(record, error)

    def write(self) -> tuple[FinishedVideo, ...]:
        """Write the files of the shard, with what stays in it.

        Raises:
            InputError: if what stays cannot be read, or a link leads out of the cache
        """
        if not self.is_complete:
            raise ValueError(f"{len(self._finished)} of {len(self.unit.videos)} videos came")
        rewrite_shard(self._sharding, self.unit.number, self._chunks, self.unit.kept)
        return tuple(self._finished.values())


def rewrite_shard(
    sharding: Sharding, number: int, chunks: dict[str, dict[int, bytes]], kept: Iterable[int] = ()
) -> None:
    """Write the files of a shard anew, with the chunks of some of its videos as they are.

    Args:
        sharding: of the cache
        number: of the shard
        chunks: new ones as they are stored, by array and by place in the shard
        kept: rows in the arrays of the videos whose chunks stay

    Raises:
        InputError: if what stays cannot be read, or a link leads out of the cache
    """
    kept = sorted(kept)
    for name, new in chunks.items():
        file = sharding.file(name, number)
        if not stays_within(sharding.path, file):
            raise InputError(f"{file}: a link out of the cache; remove it, then run again")
        keys = [key for row in kept for key in sharding.layout.chunk_keys(row) if key[0] == name]
        places = frozenset(sharding.place(key)[1] for key in keys)
        try:
            old = read_entries(file, places, sharding.count(name)) if places else {}
        except (ValueError, OSError) as error:
            raise InputError(
                f"{file}: holds the maps of further videos and is damaged ({error}); run hcl extract with --repair"
            ) from error
        write_shard(file, old | new, sharding.count(name))


@dataclass(frozen=True)
class WrittenShard:
    """A shard whose files are there, and what became of its videos."""

    unit: ShardUnit
    videos: tuple[FinishedVideo, ...]


class UnitWriter:
    """Writes shards as soon as their videos came, behind the caller, in a thread of its own.

    Args:
        sharding: of the cache
    """

    def __init__(self, sharding: Sharding) -> None:
        self._sharding = sharding
        self._writers: dict[int, ShardWriter] = {}  # by the rows of the videos that are to come

    def expect(self, *units: ShardUnit) -> None:
        """Announce units, before the first of their videos comes."""
        for unit in units:
            writer = ShardWriter(self._sharding, unit)
            self._writers |= {row: writer for row, _ in unit.videos}

    def write(self, records: Iterable[MapRecord]) -> Iterator[WrittenShard]:
        """Take the videos of the units that are announced, in any order.

        Yields:
            each unit when its files are there

        Raises:
            InputError: if what stays in a shard cannot be read
            OSError: if a shard cannot be written
        """
        waiting: deque[Future[WrittenShard | None]] = deque()
        with ThreadPoolExecutor(1, thread_name_prefix="shards") as thread:
            try:
                for record in records:
                    waiting.append(thread.submit(_put, self._writers.pop(record.row), record))
                    while waiting and (len(waiting) > RECORDS_AHEAD or waiting[0].done()):
                        if written := waiting.popleft().result():
                            yield written
                while waiting:
                    if written := waiting.popleft().result():
                        yield written
            finally:
                for future in waiting:
                    future.cancel()


def _put(writer: ShardWriter, record: MapRecord) -> WrittenShard | None:
    writer.add(record)
    return WrittenShard(writer.unit, writer.write()) if writer.is_complete else None
