"""What a person calls a query: a video of the store by its path, files and folders, or a row of the store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hcl.classify.answers.queries import list_queries
from hcl.classify.embedding.videos import Video, name_of
from hcl.extract.catalog.videos import readable
from hcl.extract.system.errors import InputError
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.search.opening import row_numbered, row_of

Asked = Video | int  # a file, a folder of frames, frames, what the store calls a video, or its row


@dataclass(frozen=True)
class Query:
    """One video that is searched with."""

    name: str  # as it is shown
    row: int | None = None  # in the store; None: it is embedded
    video: Video | None = None


def resolve_queries(asked: Sequence[Asked], store: EmbeddingStore) -> list[Query]:
    """Find out what is meant: first a path of the store, then what is there on disk, then a row number.

    Args:
        asked: as a person gives them
        store: that is searched

    Raises:
        InputError: if it is none of these
    """
    return [query for each in asked for query in _resolved(each, store)]


def _resolved(asked: Asked, store: EmbeddingStore) -> list[Query]:
    if isinstance(asked, np.ndarray):
        return [Query("frames", video=asked)]
    if isinstance(asked, int | np.integer):
        return [_of_row(int(asked), store)]
    text = readable(os.fspath(asked))
    row = row_of(store, text)
    if row is not None:
        return [_of_row(row, store)]
    if os.path.exists(asked):
        return [Query(name_of(0, path), video=path) for path in list_queries([Path(asked)])]
    if text.isdecimal():
        return [_of_row(int(text), store)]
    raise InputError(
        f"{text}: no video of the store is called so (such as {store.videos.path[0]}), and no file; name one of these,"
        " or a row number"
    )


def _of_row(row: int, store: EmbeddingStore) -> Query:
    return Query(store.videos.path[row_numbered(store, row)], row=row)
