"""Stores that are in a bucket whole or not at all: the metadata of a group come last, since without them it is none.

Where a store stands already, the new one is written beside it and copied into its place within the bucket, the metadata
last again. A process that was killed leaves either what the next writer finishes, or what it removes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hcl.extract.system.atomic import UNFINISHED
from hcl.extract.system.errors import InputError
from hcl.extract.system.places import objects
from hcl.extract.system.places.remote_path import Held, RemotePath

ROOT = "zarr.json"  # without it no group is there


@contextmanager
def built_whole(place: RemotePath) -> Iterator[RemotePath]:
    """Give a place for a new store, and let the store appear, or replace the one that stands there, after the block.

    One process at a time: hold the claim.

    Raises:
        InputError: if something else stands there
    """
    is_new = not (place / ROOT).is_file()
    if is_new and place.exists():
        raise InputError(f"{place}: objects are there that are no store; name another place, or remove them")
    building = place if is_new else _beside(place)
    objects.write(_beside(place), b"what is below is not whole yet")
    objects.delete(objects.below(building))
    held = Held((building / ROOT).key)
    yield RemotePath(building.scheme, building.bucket, building.key.split("/"), held=held)
    if held.content is not None:
        objects.write(building / ROOT, held.content)
    if not is_new:
        _move(building, place)
    _beside(place).unlink()


def is_unfinished(place: RemotePath) -> bool:
    """Whether what is below a place is a store that was never whole."""
    return bool(place.key) and _beside(place).is_file() and not (place / ROOT).is_file()


def finish_copy(place: RemotePath) -> None:
    """Finish what a killed process left of a store that was whole beside its place, or remove what was not."""
    beside = _beside(place)
    if (beside / ROOT).is_file():
        _move(beside, place)
        beside.unlink()
    else:
        objects.delete(objects.below(beside))


def _beside(place: RemotePath) -> RemotePath:
    """An object that is there while a store is written; below it, what replaces another store."""
    return place.with_name(place.name + UNFINISHED)


def _move(source: RemotePath, target: RemotePath) -> None:
    """Copy a store into a place: what stands there is no store from the first request to the last."""
    (target / ROOT).unlink()
    objects.delete(objects.below(target))
    length = len(source.key) + 1
    found = [each for each in objects.below(source) if each.key != (source / ROOT).key]
    objects.copy([(each, target / each.key[length:]) for each in found])
    objects.copy([(source / ROOT, target / ROOT)])
    (source / ROOT).unlink()
    objects.delete(objects.below(source))
