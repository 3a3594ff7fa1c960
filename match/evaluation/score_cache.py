"""Scores of pairs of videos that are known already, in memory or in a Zarr group for later evaluations.

A pair is scored once, however many episodes compare it, under the same settings.
"""

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from hcl.extract.system.atomic import atomic_folder
from hcl.extract.system.errors import InputError, first_line, write_errors
from hcl.extract.system.lock import sole_writer
from hcl.extract.system.places.zarr_groups import compressors, open_array, open_group, read_rows, seal
from hcl.match.config import LEVELS, ScoreConfig
from hcl.match.store.embedding_store import EmbeddingStore

SCHEMA, VERSION = "hcl-scores", 3
REMEDY = "remove it to score the pairs anew"
ROWS_PER_CHUNK = 2**18


class ScoreCache:
    """Global, temporal and spatial scores of some (query, support) pairs of an embedding store.

    Args:
        videos: how many the store holds
        pairs: (n, 2) int, rows of a query and a support
        scores: (n, 3), of these pairs
    """

    def __init__(
        self,
        videos: int,
        pairs: NDArray[np.integer] | None = None,
        scores: NDArray[np.float32] | None = None,
    ) -> None:
        self._videos = videos
        self._codes = np.empty(0, dtype=np.int64)  # ascending
        self._scores = np.empty((0, len(LEVELS)), dtype=np.float32)
        if pairs is not None and scores is not None:
            self.add(pairs, scores)

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def pairs(self) -> NDArray[np.int64]:
        """(n, 2), of all cached pairs, ascending."""
        return np.stack(np.divmod(self._codes, self._videos), axis=1)

    @property
    def scores(self) -> NDArray[np.float32]:
        """(n, 3), of all cached pairs, in the order of `pairs`."""
        return self._scores

    def add(self, pairs: NDArray[np.integer], scores: NDArray[np.float32]) -> None:
        """Put in the scores (n, 3) of pairs (n, 2) that are not cached yet."""
        codes = np.concatenate((self._codes, self._code(pairs)))
        order = np.argsort(codes, kind="stable")
        self._codes, self._scores = codes[order], np.concatenate((self._scores, scores))[order]

    def contains(self, pairs: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which of the pairs (n, 2) are cached: (n,)."""
        return self.look_up(pairs)[1]

    def look_up(self, pairs: NDArray[np.integer]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Look up pairs (n, 2).

        Returns:
            their scores (n, 3), NaN where a pair is not cached; and which of them are (n,)
        """
        codes = self._code(pairs)
        scores, cached = np.full((len(codes), len(LEVELS)), np.nan), np.zeros(len(codes), dtype=bool)
        if len(self._codes):
            places = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
            cached = self._codes[places] == codes
            scores[cached] = self._scores[places[cached]]
        return scores, cached

    def _code(self, pairs: NDArray[np.integer]) -> NDArray[np.int64]:
        wide = pairs.astype(np.int64)
        return np.asarray(wide[:, 0] * self._videos + wide[:, 1])


def score_settings(store: EmbeddingStore, scoring: ScoreConfig, *, spatial: bool) -> dict[str, Any]:
    """All that the scores of a pair depend on."""
    return {"embeddings": store.identity, **scoring.of_pairs, "spatial": spatial}


def read_scores(path: Path, store: EmbeddingStore, settings: dict[str, Any]) -> ScoreCache:
    """Read the scores of earlier evaluations; none, if there is no such folder yet.

    Raises:
        InputError: if the scores are of other embeddings or settings, of another version, or damaged
    """
    if not path.exists():
        return ScoreCache(len(store.videos))
    group = open_group(path, SCHEMA, VERSION, remedy=REMEDY)
    recorded: Any = group.attrs.get("settings", {})
    then = {"patch_selection": "similarity", **recorded}  # the only one when it was not recorded yet
    differing = [name for name in settings if then.get(name) != settings[name]]
    if differing:
        differences = "; ".join(f"{name} {then.get(name)} there, {settings[name]} now" for name in differing)
        raise InputError(
            f"{path}: scores of other embeddings or settings ({differences}); name another file with --score-cache"
        )
    try:
        arrays = {name: open_array(path, group, name) for name in ("query", "support", "scores")}
        query, support, scores = (read_rows(path, array) for array in arrays.values() if array is not None)
        pairs = np.stack([query, support], axis=1)
        if scores.shape != (len(pairs), len(LEVELS)) or not ((pairs >= 0) & (pairs < len(store.videos))).all():
            raise ValueError(f"scores {scores.shape} of pairs {pairs.shape} among {len(store.videos)} videos")
        return ScoreCache(len(store.videos), pairs, scores)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: damaged ({first_line(error)}); {REMEDY}") from error


def write_scores(path: Path, score_cache: ScoreCache, settings: dict[str, Any]) -> None:
    """Write all scores atomically.

    Raises:
        InputError: if they cannot be written
    """
    rows = max(1, min(len(score_cache), ROWS_PER_CHUNK))
    pairs = score_cache.pairs.astype(np.int32)
    arrays = {
        "query": (pairs[:, 0], ("pair",)),
        "support": (pairs[:, 1], ("pair",)),
        "scores": (score_cache.scores, ("pair", "level")),
    }
    remedy = "name another file with --score-cache"
    with write_errors(path, remedy), sole_writer(path, remedy), atomic_folder(path) as fresh:
        group = zarr.open_group(fresh, mode="w", zarr_format=3)
        for name, (values, axes) in arrays.items():
            chunks = (rows, *values.shape[1:])
            group.create_array(
                name,
                data=values,
                chunks=chunks,
                compressors=compressors(),
                dimension_names=axes,
                config={"write_empty_chunks": True},
            )
        attributes = {"schema": SCHEMA, "version": VERSION, "settings": settings, "levels": list(LEVELS)}
        seal(group, fresh, sorted(arrays), attributes)
