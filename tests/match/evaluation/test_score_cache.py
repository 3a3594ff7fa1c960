"""Cached scores: what was put in is looked up again, from memory and from a file; others are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from hcl.extract.system.errors import InputError
from hcl.extract.system.lock import sole_writer
from hcl.match.config import ScoreConfig
from hcl.match.embeddings import Embeddings
from hcl.match.evaluation.evaluate import evaluate
from hcl.match.evaluation.score_cache import ScoreCache, read_scores, score_settings
from hcl.match.store.embedding_store import EmbeddingStore

Edit = Callable[[Path, Callable[[dict[str, Any]], object]], None]
Make, Write = Callable[..., Embeddings], Callable[..., Path]


def test_a_cache_gives_back_every_score_and_nan_for_the_rest() -> None:
    rng = np.random.default_rng(0)
    pairs = rng.permutation([(query, support) for query in range(9) for support in range(9)])
    scores = rng.normal(size=(81, 3)).astype(np.float32)
    cache = ScoreCache(9)
    assert np.isnan(cache.look_up(pairs)[0]).all() and not cache.contains(pairs).any()
    for some in np.split(np.arange(60), [7, 8, 31]):
        cache.add(pairs[some], scores[some])
    np.testing.assert_array_equal(cache.contains(pairs), np.arange(81) < 60)
    found, cached = cache.look_up(pairs)
    np.testing.assert_array_equal(cached, np.arange(81) < 60)
    np.testing.assert_array_equal(found[:60], scores[:60])
    assert np.isnan(found[60:]).all()
    again = ScoreCache(9, cache.pairs, cache.scores)
    np.testing.assert_array_equal(again.look_up(pairs[:60])[0], scores[:60])


def read(path: Path, store: Path) -> ScoreCache:
    opened = EmbeddingStore.open(store)
    return read_scores(path, opened, score_settings(opened, ScoreConfig(), spatial=True))


def test_kept_scores_are_not_computed_again(tmp_path: Path, write_embeddings: Write) -> None:
    """Scores that were replaced in the file by others stay what they are, and count in the evaluation."""
    store, file = write_embeddings(tmp_path / "store.zarr"), tmp_path / "scores.zarr"
    first = evaluate(store, episodes=20, score_cache=file)
    again = evaluate(store, episodes=20, score_cache=file)
    assert first.outcomes[0].accuracies == again.outcomes[0].accuracies and first.spread == again.spread
    honest = read(file, store)
    zarr.open_group(file, mode="r+")["scores"][:] = 7 + honest.scores  # type: ignore[index]
    more = evaluate(store, episodes=60, score_cache=file)
    kept = read(file, store)
    assert len(honest) < len(kept) < 30 * 30
    np.testing.assert_array_equal(kept.look_up(honest.pairs)[0], (7 + honest.scores).astype(np.float32))
    assert more.spread["global"][0] > 1


def test_new_pairs_are_scored_beside_the_kept_ones(tmp_path: Path, write_embeddings: Write) -> None:
    store, file = write_embeddings(tmp_path / "store.zarr"), tmp_path / "scores.zarr"
    evaluate(store, episodes=20, score_cache=file)
    more = evaluate(store, episodes=60, score_cache=file)
    assert more.outcomes[0].accuracies == evaluate(store, episodes=60).outcomes[0].accuracies


def test_scores_of_other_embeddings_or_settings_are_refused(
    tmp_path: Path, make_embeddings: Make, write_embeddings: Write
) -> None:
    store, file = write_embeddings(tmp_path / "store.zarr"), tmp_path / "scores.zarr"
    evaluate(store, episodes=3, score_cache=file)
    with pytest.raises(InputError, match=r"top_clips 10 there, 2 now.*name another file with --score-cache"):
        evaluate(store, episodes=3, score_cache=file, top_clips=2)
    with pytest.raises(InputError, match="patch_selection similarity there, salient now"):
        evaluate(store, episodes=3, score_cache=file, patch_selection="salient")
    with pytest.raises(InputError, match="spatial True there, False now"):
        evaluate(store, episodes=3, score_cache=file, spatial=False)
    other = write_embeddings(tmp_path / "other.zarr", make_embeddings(seed=1))
    with pytest.raises(InputError, match="embeddings [0-9a-f]+ there, [0-9a-f]+ now"):
        evaluate(other, episodes=3, score_cache=file)
    evaluate(store, episodes=3, score_cache=file, aggregate="max")  # of no consequence to a pair


def test_scores_from_before_there_were_selections_are_those_of_similarity(
    tmp_path: Path, write_embeddings: Write, edit_attributes: Edit
) -> None:
    store, file = write_embeddings(tmp_path / "store.zarr"), tmp_path / "scores.zarr"
    evaluate(store, episodes=3, score_cache=file)
    edit_attributes(file, lambda attributes: attributes["settings"].pop("patch_selection"))
    evaluate(store, episodes=3, score_cache=file)
    with pytest.raises(InputError, match="patch_selection similarity there, mutual now"):
        evaluate(store, episodes=3, score_cache=file, patch_selection="mutual")


def test_older_scores_are_refused_with_the_remedy(tmp_path: Path, write_embeddings: Write) -> None:
    store, file = write_embeddings(tmp_path / "store.zarr"), tmp_path / "scores.zarr"
    evaluate(store, episodes=3, score_cache=file)
    metadata = json.loads((file / "zarr.json").read_text())
    metadata["attributes"]["version"] = 2
    (file / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(InputError, match="version 2.* this program reads version 3; remove it to score the pairs anew"):
        evaluate(store, episodes=3, score_cache=file)


def test_damaged_scores_and_other_folders_are_refused(tmp_path: Path, write_embeddings: Write) -> None:
    store, file = write_embeddings(tmp_path / "store.zarr"), tmp_path / "scores.zarr"
    with pytest.raises(InputError, match="store.zarr: an embedding store, .*; expected a folder that --score"):
        evaluate(store, episodes=3, score_cache=store)
    with pytest.raises(InputError, match="name another file with --score-cache"):
        evaluate(store, episodes=3, score_cache=store / "zarr.json" / "scores.zarr")
    evaluate(store, episodes=3, score_cache=file)
    chunk = next((file / "scores" / "c").rglob("0"))
    while chunk.is_dir():
        chunk = chunk / "0"
    chunk.write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"scores.zarr: damaged .*; remove it to score the pairs anew"):
        evaluate(store, episodes=3, score_cache=file)


@pytest.mark.parametrize("name", ["query", "support", "scores"])
def test_a_missing_chunk_of_scores_is_damage(tmp_path: Path, write_embeddings: Write, name: str) -> None:
    store, file = write_embeddings(tmp_path / "store.zarr"), tmp_path / "scores.zarr"
    evaluate(store, episodes=3, score_cache=file)
    next(entry for entry in (file / name / "c").rglob("*") if entry.is_file()).unlink()
    with pytest.raises(InputError, match=r"scores.zarr: damaged \(chunk c/0.* is missing\); remove it"):
        evaluate(store, episodes=3, score_cache=file)


def test_scores_of_pairs_that_are_not_in_the_store_are_refused(
    tmp_path: Path, write_embeddings: Write, edit_attributes: Edit
) -> None:
    store, file = write_embeddings(tmp_path / "store.zarr"), tmp_path / "scores.zarr"
    evaluate(store, episodes=3, score_cache=file)
    zarr.open_group(file, mode="r+")["query"][0] = 30  # type: ignore[index]
    with pytest.raises(InputError, match="among 30 videos"):
        evaluate(store, episodes=3, score_cache=file)


def test_scores_are_not_written_while_another_process_writes(tmp_path: Path, write_embeddings: Write) -> None:
    store, file = write_embeddings(tmp_path / "store.zarr"), tmp_path / "scores.zarr"
    with sole_writer(file), pytest.raises(InputError, match=r"scores\.zarr: process \d+ is writing to it; wait"):
        evaluate(store, episodes=3, score_cache=file)
