"""An approximate first stage: graphs of usearch on disk, built in parts of bounded memory and viewed, never loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from hcl.extract.system.errors import InputError
from hcl.extract.system.progress import Bar
from hcl.match.scoring.cosines import l2_normalise
from hcl.match.store.search.graph_file import CONNECTIVITY, GraphShape
from hcl.match.store.search.nearest import NOWHERE, Nearest
from hcl.match.store.search.source import SearchSource

EXPANSION_ADD, EXPANSION_SEARCH = 128, 128  # candidates that are looked at; more: better and slower
VIDEOS_AT_A_TIME = 4096  # that are read and added


def usearch_index() -> Any:
    """The class of the package's index.

    Raises:
        InputError: if the package is not installed
    """
    try:
        from usearch.index import Index
    except ImportError as error:
        raise InputError(
            'an index of f16 or i8 needs usearch: pip install "hcl[search]", or compare all videos with --index exact'
        ) from error
    return Index


def write_graph(file: Path, source: SearchSource, shape: GraphShape, bar: Bar) -> None:
    """Build the graph of some videos and write it.

    Args:
        file: to write
        source: of the embeddings
        shape: which videos, and as what their numbers are kept
        bar: that counts videos
    """
    graph = _empty(shape)
    stop = shape.first + shape.count
    for start in range(shape.first, stop, VIDEOS_AT_A_TIME):
        rows = np.arange(start, min(start + VIDEOS_AT_A_TIME, stop))
        graph.add(rows.astype(np.uint64), l2_normalise(source.globals(rows)).numpy())
        bar.update(len(rows))
    graph.save(str(file))


class GraphIndex:
    """Asks graphs on disk; the operating system holds the pages that are visited.

    Args:
        files: that `check_graph_file` let pass, with what they hold
    """

    def __init__(self, files: Sequence[tuple[Path, GraphShape]]) -> None:
        self._graphs = []
        for file, shape in files:
            graph = _empty(shape)
            graph.view(str(file))
            self._graphs.append((graph, shape))

    def nearest(self, queries: Tensor, count: int) -> Nearest:
        """The nearest `count` videos of each of the queries (Q, D), nearly: some may be missing."""
        unit = np.ascontiguousarray(l2_normalise(queries.float()).cpu().numpy())
        found = [_nearest(graph, unit, min(count, shape.count)) for graph, shape in self._graphs]
        rows = np.concatenate([each.rows for each in found], axis=1)
        cosines = np.concatenate([each.cosines for each in found], axis=1)
        order = np.lexsort((rows, -cosines), axis=1)[:, :count]
        return Nearest(np.take_along_axis(rows, order, 1), np.take_along_axis(cosines, order, 1))


def _empty(shape: GraphShape) -> Any:
    return usearch_index()(
        ndim=shape.width,
        metric="cos",
        dtype=shape.kind,
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION_ADD,
        expansion_search=EXPANSION_SEARCH,
    )


def _nearest(graph: Any, unit: Any, count: int) -> Nearest:
    found = graph.search(unit, count)
    rows = np.asarray(found.keys).astype(np.int64).reshape(len(unit), -1)
    cosines = 1 - np.asarray(found.distances, np.float32).reshape(len(unit), -1)
    counts = np.asarray(found.counts).reshape(-1, 1) if hasattr(found, "counts") else np.full((len(unit), 1), count)
    missing = np.arange(rows.shape[1]) >= counts
    return Nearest(np.where(missing, NOWHERE, rows), np.where(missing, np.float32(-2), cosines))
