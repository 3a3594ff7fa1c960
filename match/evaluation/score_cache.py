"""Scores of pairs in a Zarr group, for later evaluations of the same embeddings under the same settings."""

from pathlib import Path
from typing import Any

import numpy as np
import zarr

from hcl.extract.system.atomic import atomic_folder
from hcl.extract.system.errors import InputError
from hcl.extract.system.zarr_groups import compressors, open_group
from hcl.match.config import LEVELS, ScoreConfig
from hcl.match.evaluation.score_table import ScoreTable
from hcl.match.store.embedding_store import EmbeddingStore

SCHEMA, VERSION = "hcl-scores", 1
ROWS_PER_CHUNK = 2**18


def score_settings(store: EmbeddingStore, scoring: ScoreConfig, *, spatial: bool) -> dict[str, Any]:
    """All that the scores of a pair depend on."""
    return {"embeddings": store.identity, **scoring.of_pairs, "spatial": spatial}


def read_scores(path: Path, store: EmbeddingStore, settings: dict[str, Any]) -> ScoreTable:
    """Read what is known; nothing, if there is no file yet.

    Raises:
        InputError: if the scores are of other embeddings or settings, or damaged
    """
    if not path.exists():
        return ScoreTable(len(store.videos))
    group = open_group(path, SCHEMA, VERSION)
    then: Any = group.attrs.get("settings", {})
    differing = [name for name in settings if then.get(name) != settings[name]]
    if differing:
        listed = "; ".join(f"{name} {then.get(name)} there, {settings[name]} now" for name in differing)
        raise InputError(
            f"{path}: scores of other embeddings or settings ({listed}); name another file with --score-cache"
        )
    try:
        pairs = np.stack([np.asarray(group[name][:]) for name in ("query", "support")], axis=1)  # type: ignore[index]
        return ScoreTable(len(store.videos), pairs, np.asarray(group["scores"][:]))  # type: ignore[index]
    except (KeyError, ValueError, RuntimeError, OSError) as error:
        raise InputError(f"{path}: damaged ({error}); remove it to score the pairs anew") from error


def write_scores(path: Path, table: ScoreTable, settings: dict[str, Any]) -> None:
    """Write all known scores beside `path`, then put them in its place.

    Raises:
        InputError: if they cannot be written
    """
    rows = max(1, min(len(table), ROWS_PER_CHUNK))
    arrays = {
        "query": (table.pairs[:, 0].astype(np.int32), ("pair",)),
        "support": (table.pairs[:, 1].astype(np.int32), ("pair",)),
        "scores": (table.scores, ("pair", "level")),
    }
    try:
        with atomic_folder(path) as fresh:
            group = zarr.open_group(fresh, mode="w", zarr_format=3)
            group.attrs.update({"schema": SCHEMA, "version": VERSION, "settings": settings, "levels": list(LEVELS)})
            for name, (values, axes) in arrays.items():
                chunks = (rows, *values.shape[1:])
                group.create_array(name, data=values, chunks=chunks, compressors=compressors(), dimension_names=axes)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); name another file with --score-cache"
        ) from error
