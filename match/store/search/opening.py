"""From the path of a store to what searches it, and from what a person calls a stored video to its row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hcl.extract.system.atomic import in_bucket
from hcl.extract.system.device import choose_device
from hcl.extract.system.errors import InputError
from hcl.match.config import ScoreConfig
from hcl.match.store.embedding_store import REMEDY, EmbeddingStore, open_store
from hcl.match.store.search.config import EXACT, SearchConfig
from hcl.match.store.search.graph_index import usearch_index
from hcl.match.store.search.index_folder import index_folder, open_or_build
from hcl.match.store.search.nearest import ExactIndex, Index
from hcl.match.store.search.source import StoreSource
from hcl.match.store.search.two_stages import TwoStages


@dataclass(frozen=True)
class OpenArchive:
    """A store and what searches it."""

    store: EmbeddingStore
    stages: TwoStages
    config: SearchConfig


def open_archive(path: str | Path | EmbeddingStore, config: SearchConfig, *, folder: Path | None = None) -> OpenArchive:
    """Open a store for searching; an index on disk is built where it is asked for and not there.

    Args:
        path: of a run or an embedding store, or an open one
        config: kind of index, device, semantic attention
        folder: that holds the index; None: it is beside the store

    Raises:
        InputError: if the store cannot be read, is of another method, or the index cannot be used
    """
    if config.index not in ("auto", EXACT):
        usearch_index()  # a missing package is told first
    store = open_store(path)
    source = StoreSource(store, attention=config.semantic_attention)
    kind = config.kind_for(len(source))
    device = choose_device(config.device)
    index: Index = ExactIndex(source, device)
    if kind != EXACT:
        if folder is None and in_bucket(store.path):
            raise InputError(f"{store.path}: an index is viewed from the disk of this machine; name --index-folder")
        index = open_or_build(index_folder(store.path, kind, folder), source, kind)
    try:
        scoring = ScoreConfig(**store.attributes.get("scoring", {}))
    except (TypeError, InputError) as error:
        raise InputError(f"{store.path}: its scoring cannot be read ({error}); {REMEDY}") from error
    return OpenArchive(store, TwoStages(source, index, scoring.of_pairs, store.trained_levels, device), config)


def row_of(store: EmbeddingStore, query: str) -> int | None:
    """The row of a stored video that a person names by its path; None if no video has that path."""
    return store.videos.path.index(query) if query in store.videos.path else None


def row_numbered(store: EmbeddingStore, number: int) -> int:
    """A row that a person gave, checked.

    Raises:
        InputError: if there is no such row
    """
    if not 0 <= number < len(store.videos):
        raise InputError(f"row {number}: the store has rows 0 to {len(store.videos) - 1}")
    return number
