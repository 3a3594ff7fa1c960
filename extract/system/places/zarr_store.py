"""What zarr reads and writes a group in a bucket by: its own ObjectStore over obstore's store of the bucket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from zarr.storage import ObjectStore, WrapperStore

from hcl.extract.system.places import objects
from hcl.extract.system.places.building import ROOT
from hcl.extract.system.places.connecting import bucket_store
from hcl.extract.system.places.failures import told
from hcl.extract.system.places.remote_path import Held, RemotePath

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest, Store
    from zarr.core.buffer import Buffer, BufferPrototype


def zarr_store(path: RemotePath) -> Store:
    """What zarr takes for a group that is at a place: all of the names below it.

    A path within a larger store would do as well for reading, but zarr then writes metadata for all that is above it.
    """
    held = path.held if path.held is not None and path.held.key == f"{path.key}/{ROOT}" else None
    return _BucketStore(ObjectStore(bucket_store(path.scheme, path.bucket, path.key or None)), path, held)


class _BucketStore(WrapperStore[Any]):
    """Says in one line what a bucket refuses, and keeps one object back until the group is whole, if it is told to.

    Args:
        store: of the bucket
        place: of the group, for messages
        held: the object that is kept
    """

    def __init__(self, store: Store, place: RemotePath, held: Held | None) -> None:
        super().__init__(store)
        self._place, self._held = place, held

    def _with_store(self, store: Store) -> _BucketStore:
        return _BucketStore(store, self._place, self._held)

    def _kept(self, key: str) -> bytes | None:
        return self._held.content if self._held is not None and key == ROOT else None

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        if (kept := self._kept(key)) is not None:
            return prototype.buffer.from_bytes(kept)
        if byte_range is None:  # repeated as all reading is
            try:
                return prototype.buffer.from_bytes(await asyncio.to_thread(objects.read, self._place / key))
            except FileNotFoundError:
                return None
        with told(self._place, self._place.scheme):
            return await self._store.get(key, prototype, byte_range)  # type: ignore[no-any-return]

    async def exists(self, key: str) -> bool:
        with told(self._place, self._place.scheme):
            return self._kept(key) is not None or await self._store.exists(key)

    async def set(self, key: str, value: Buffer) -> None:
        if self._held is not None and key == ROOT:
            self._held.content = value.to_bytes()
            return
        with told(self._place, self._place.scheme):
            await self._store.set(key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        if not await self.exists(key):
            await self.set(key, value)

    async def delete(self, key: str) -> None:
        with told(self._place, self._place.scheme):
            await self._store.delete(key)

    async def delete_dir(self, prefix: str) -> None:
        with told(self._place, self._place.scheme):
            await self._store.delete_dir(prefix)
