"""Search an archive from Python: opened once, asked often; and the functions that do it in one call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from hcl.classify.answers.searching.queries import Asked, Query, resolve_queries
from hcl.classify.answers.searching.query_embedder import QueryEmbedder
from hcl.classify.answers.searching.results import Hit, NearDuplicate, SearchResult
from hcl.classify.embedding.videos import BrokenVideo, Video
from hcl.extract.config import ExtractConfig
from hcl.extract.system.errors import InputError
from hcl.match.embeddings import Embeddings
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.search.config import SearchConfig
from hcl.match.store.search.near_duplicates import near_duplicates as find_pairs
from hcl.match.store.search.nearest import NOWHERE
from hcl.match.store.search.opening import open_archive
from hcl.match.store.search.two_stages import Found

AT_A_TIME = 32  # queries for which the first stage goes over the videos once


class Searcher:
    """Finds the videos of an embedding store that are like others.

        with Searcher("runs/latest") as searcher:
            for hit in searcher.search(["new.mp4"])[0].hits:
                print(hit.path, hit.score)

    Args:
        store: an embedding store, or a run
        run: whose encoder embeds queries that are no videos of the store; None: the one that the store names
        index_folder: that holds the index on disk; None: beside the store
        workers: decoding processes; 0: one per core
        weights: of the backbone, where those that the run names are a file that is not there
        settings: fields of `SearchConfig`

    Raises:
        InputError: if the store, the index or a setting cannot be used
    """

    def __init__(
        self,
        store: str | Path | EmbeddingStore,
        *,
        run: str | Path | None = None,
        index_folder: Path | None = None,
        workers: int = 0,
        weights: str = ExtractConfig.weights,
        **settings: Any,
    ) -> None:
        try:
            self.config = SearchConfig(**settings)
        except TypeError as error:
            raise InputError(f"no such setting of a search: {error}") from error
        self.archive = open_archive(store, self.config, folder=index_folder)
        self.store, self._run = self.archive.store, run
        self._extraction = ExtractConfig(workers=workers, weights=weights)
        self._embedder: QueryEmbedder | None = None

    def search(self, queries: Sequence[Asked]) -> list[SearchResult]:
        """Find the videos that are most similar to each query; a query of the store does not find itself.

        Args:
            queries: each a path or a row of the store, a file, a folder of videos, or frames (T, H, W, 3) uint8 RGB

        Returns:
            one result a video, in order; one that cannot be read has its error

        Raises:
            InputError: if a query is none of these, or what embeds them is not at hand
        """
        asked = resolve_queries(queries, self.store)
        results: list[SearchResult] = []
        for start in range(0, len(asked), AT_A_TIME):
            results += self._search(asked[start : start + AT_A_TIME])
        return results

    def near_duplicates(self) -> list[NearDuplicate]:
        """Find the pairs of stored videos that are alike, the most similar first.

        Raises:
            InputError: with semantic attention, by which a copy would not score 1
        """
        if self.config.semantic_attention:
            raise InputError("near-duplicates are found without semantic attention; leave it out")
        config = self.config
        pairs = find_pairs(self.archive.stages, threshold=config.threshold, neighbours=config.neighbours)
        numbers = {group: number for number, group in enumerate(dict.fromkeys(pairs.groups.tolist()), start=1)}
        columns = pairs.rows.tolist(), pairs.levels.tolist(), pairs.total.tolist(), pairs.groups.tolist()
        return [
            NearDuplicate.of(self.store.videos, rows, total, levels, group=numbers[group])
            for rows, levels, total, group in zip(*columns, strict=True)
        ]

    def close(self) -> None:
        """End the decoding processes; the next video starts others."""
        if self._embedder is not None:
            self._embedder.embedder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _search(self, asked: Sequence[Query]) -> list[SearchResult]:
        """Embed a few queries, search for all of them at once, and keep their order."""
        ready = self._embedded(asked)
        whole = [number for number, each in enumerate(ready) if isinstance(each, _Ready)]
        try:
            found = self.archive.stages.search(
                [each.embeddings for each in ready if isinstance(each, _Ready)],
                top=self.config.top,
                short_list=self.config.short_list_for(len(self.store.videos)),
                without=[NOWHERE if (row := asked[number].row) is None else row for number in whole],
            )
        except ValueError as error:
            raise InputError(
                f"{self.store.path}: queries are embedded otherwise than its videos ({error}); name the run that made"
                " it with --run"
            ) from error
        of_query = dict(zip(whole, found, strict=True))
        return [
            SearchResult(query.name, self._hits(of_query[number], each.content))
            if isinstance(each, _Ready)
            else SearchResult(query.name, error=each.reason)
            for number, (query, each) in enumerate(zip(asked, ready, strict=True))
        ]

    def _embedded(self, asked: Sequence[Query]) -> list[_Ready | BrokenVideo]:
        """The embeddings of each query, read or made, or why there are none."""
        videos = [query.video for query in asked if query.video is not None]
        made = self._made(videos) if videos else iter(())
        return [next(made) if query.row is None else self._stored(query.row) for query in asked]

    def _stored(self, row: int) -> _Ready:
        embeddings = self.archive.stages.source.embeddings(np.array([row]))
        return _Ready(embeddings, self.store.videos.content[row])

    def _made(self, videos: Sequence[Video]) -> Iterator[_Ready | BrokenVideo]:
        if self._embedder is None:
            device = self.config.device
            self._embedder = QueryEmbedder(self.store, self._run, extraction=self._extraction, device=device)
        for result in self._embedder.embedder.embed(videos):
            if isinstance(result, BrokenVideo):
                yield result
            else:
                yield _Ready(self._embedder.embeddings(result.batch), result.content)

    def _hits(self, found: Found, content: str) -> tuple[Hit, ...]:
        columns = zip(found.rows.tolist(), found.total.tolist(), found.levels.tolist(), strict=True)
        return tuple(
            Hit.of(self.store.videos, row, total, levels, rank=rank, content=content)
            for rank, (row, total, levels) in enumerate(columns, start=1)
        )


@dataclass(frozen=True)
class _Ready:
    """A query whose embeddings are there."""

    embeddings: Embeddings  # of one video
    content: str  # SHA-256 of its source


def search(
    store: str | Path | EmbeddingStore, query: Asked, *, run: str | Path | None = None, **settings: Any
) -> SearchResult:
    """Find the videos of an embedding store that are most similar to one video.

    Args:
        store: an embedding store, or a run
        query: a path or a row of the store, a video file, or frames (T, H, W, 3) uint8 RGB
        run: whose encoder embeds a query that is no video of the store; None: the one that the store names
        settings: fields of `hcl.match.store.search.config.SearchConfig`, such as top=20, short_list=200, index="exact"

    Raises:
        InputError: if anything of it cannot be used, or the video cannot be read
    """
    with Searcher(store, run=run, **settings) as searcher:
        results = searcher.search([query])
    if len(results) != 1:
        raise InputError(f"{query}: {len(results)} videos; search for one, or take hcl.Searcher for several")
    if results[0].error:
        raise InputError(f"{results[0].query}: {results[0].error}")
    return results[0]


def near_duplicates(store: str | Path | EmbeddingStore, **settings: Any) -> list[NearDuplicate]:
    """Find the pairs of videos of an embedding store that are alike, the most similar first.

    Args:
        store: an embedding store, or a run
        settings: fields of `hcl.match.store.search.config.SearchConfig`, such as threshold=0.9, neighbours=20

    Raises:
        InputError: if anything of it cannot be used
    """
    return Searcher(store, **settings).near_duplicates()
