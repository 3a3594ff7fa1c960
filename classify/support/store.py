"""The support set in a folder: schema hcl-support of cache_schema.md, sealed, and replaced atomically under a lock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hcl.classify.embedding.origin import Origin
from hcl.classify.support.support_set import SupportSet
from hcl.extract.system.errors import InputError, write_errors
from hcl.extract.system.installation import package_version
from hcl.extract.system.lock import sole_writer
from hcl.extract.system.places.location import place_of
from hcl.match.config import HCL
from hcl.match.store.batch import EmbeddedBatch, array_axes
from hcl.match.store.embedding_store import EmbeddingStore, replace_store

SCHEMA, VERSION = "hcl-support", 3
SOURCE = "source"  # a column of texts: where the file of each video is
REMEDY = "name another folder with --out"


def is_support_set(path: str | Path) -> bool:
    """Whether a folder looks like a store, so that it is no folder of videos."""
    return (place_of(path) / "zarr.json").is_file()


def write_support(path: str | Path, support: SupportSet) -> None:
    """Write a support set; one that stands there is replaced.

    Raises:
        InputError: if something else stands there, another process writes to it, or it cannot be written
    """
    path = place_of(path)
    with write_errors(path, REMEDY), sole_writer(path, REMEDY):
        _replace(path, support)


def change_support(path: str | Path, change: Callable[[SupportSet], SupportSet]) -> SupportSet:
    """Read a support set, change it and write it, while no other process does.

    Raises:
        InputError: as `read_support` and `write_support`, or of the change
    """
    path = place_of(path)
    _check_there(path)
    with write_errors(path, REMEDY), sole_writer(path, REMEDY):
        changed = change(read_support(path))
        _replace(path, changed)
    return changed


def read_support(path: str | Path) -> SupportSet:
    """Read a support set; all of it is checked.

    Raises:
        InputError: if there is none, it is something else, of another version or damaged
    """
    path = place_of(path)
    _check_there(path)
    try:
        store = EmbeddingStore.open(path, SCHEMA, VERSION)
        origin = Origin.from_dict(store.attributes.get("origin"), str(path))
        rows = np.arange(len(store.videos))
        names = [name for name in store.names if name != "mean_map" and name in array_axes(HCL)]
        clips = tuple(tuple(int(frame) for frame in clip) for clip in store.attributes["clip_frames"])
        batch = EmbeddedBatch(store.arrays(names, rows), store.mean_map, clips)
        batch.embeddings()  # refuses shapes that do not belong together
        return SupportSet(store.videos, store.texts(SOURCE), batch, origin, _text_model(store.attributes))
    except InputError as error:
        raise InputError(str(error).replace("with: hcl embed", f"with: hcl index SUPPORT --out {path}")) from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: not as a support set is written ({error}); write it anew with: hcl index SUPPORT --out {path}"
        ) from error


def _replace(path: Path, support: SupportSet) -> None:
    attributes = {
        "origin": support.origin.to_dict(),
        "text_model": support.text_model,
        "classes": list(support.class_names),
        "hcl": package_version(),
    }
    replace_store(
        path,
        attributes,
        support.videos,
        [support.batch],
        schema=SCHEMA,
        version=VERSION,
        texts={SOURCE: support.sources},
    )


def _check_there(path: Path) -> None:
    if not path.exists():
        raise InputError(f"{path}: no such support set; make one with: hcl index SUPPORT --out {path}")


def _text_model(attributes: dict[str, Any]) -> dict[str, str] | None:
    named = attributes.get("text_model")
    return None if named is None else {str(name): str(value) for name, value in named.items()}
