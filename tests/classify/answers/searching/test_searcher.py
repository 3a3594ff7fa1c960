"""A query is found wherever it comes from: a file is embedded as the store's videos were, and finds its own copy."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hcl
from hcl.classify.answers.searching.searcher import Searcher, near_duplicates, search
from hcl.extract.system.errors import InputError
from hcl.match.store.embedding_store import EmbeddingStore

STORED = "novel/wave2/3.mp4"
Settings = dict[str, Any]


@pytest.fixture
def cpu(small_weights: Path) -> Settings:
    return {"device": "cpu", "workers": 1, "weights": str(small_weights)}


@pytest.fixture
def copied(small_videos: Path, tmp_path: Path) -> Path:
    """A stored video under another name."""
    return Path(shutil.copy(small_videos / STORED, tmp_path / "other name.mp4"))


@pytest.mark.parametrize("kind", ["trained", "untrained"])
def test_a_file_finds_its_own_copy_as_the_stored_video_finds_others(
    kind: str, copied: Path, request: pytest.FixtureRequest, cpu: Settings
) -> None:
    store = request.getfixturevalue(f"{kind}_store")
    row = EmbeddingStore.open(store).videos.path.index(STORED)
    with Searcher(store, **cpu) as searcher:
        by_path, by_row, by_file = searcher.search([STORED, row, copied])
    first, *others = by_file.hits
    assert (first.path, first.same_content, first.row) == (STORED, True, row)
    assert min(first.score, first.global_, first.temporal, first.spatial) > 0.999
    assert by_file.query == str(copied) and by_path.query == STORED and by_path.hits == by_row.hits
    assert len(by_path.hits) == len(others) == 11 and not any(hit.same_content for hit in others)
    of_path = {hit.path: hit for hit in by_path.hits}
    for hit in others:
        assert hit.score == pytest.approx(of_path[hit.path].score, abs=3e-3)


def test_the_functions_are_the_librarys_face(trained_store: Path, copied: Path, cpu: Settings) -> None:
    assert hcl.search is search and hcl.near_duplicates is near_duplicates and hcl.Searcher is Searcher
    result = hcl.search(trained_store, copied, top=2, **cpu)
    assert [hit.rank for hit in result.hits] == [1, 2] and result.to_dict()["hits"][0]["path"] == STORED
    pairs = hcl.near_duplicates(trained_store, threshold=-1, neighbours=12, device="cpu")
    assert len(pairs) == 12 * 11 // 2 and pairs[0].score >= pairs[-1].score
    assert {"path_a", "path_b", "group", "score", "same_content"} <= set(pairs[0].to_dict())
    with pytest.raises(InputError, match="no such setting of a search: .*'colour'"):
        hcl.search(trained_store, 0, colour=3)
    with pytest.raises(InputError, match="--top must be at least 1, got 0"):
        hcl.search(trained_store, 0, top=0)
    with pytest.raises(InputError, match="without semantic attention"):
        hcl.near_duplicates(trained_store, semantic_attention=True, device="cpu")


def test_frames_and_folders_are_queries_and_a_broken_video_has_its_reason(
    trained_store: Path, tmp_path: Path, cpu: Settings
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "broken.mp4").write_bytes(b"nothing")
    frames = np.random.default_rng(0).integers(0, 255, (6, 48, 64, 3), dtype=np.uint8)
    with Searcher(trained_store, top=1, **cpu) as searcher:
        broken, drawn, stored = searcher.search([tmp_path / "new", frames, 0])
    assert broken.error and broken.hits == () and drawn.query == "frames" and len(drawn.hits) == 1
    assert stored.hits[0].row != 0
    with pytest.raises(InputError, match=r"broken\.mp4: "):
        search(trained_store, tmp_path / "new" / "broken.mp4", **cpu)
    with pytest.raises(InputError, match="0 videos|2 videos"):
        (tmp_path / "new" / "again.mp4").write_bytes(b"nothing")
        search(trained_store, tmp_path / "new", **cpu)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("nowhere.mp4", r"nowhere\.mp4: no video of the store is called so \(such as .*\), and no file"),
        (12, "row 12: the store has rows 0 to 11"),
        ("99", "row 99"),
    ],
)
def test_what_is_no_query_is_refused(trained_store: Path, query: str | int, told: str) -> None:
    with pytest.raises(InputError, match=told):
        search(trained_store, query, device="cpu")


Edit = Callable[[Path, Callable[[dict[str, Any]], object]], None]


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        ({"run": "/gone"}, "/gone: the run of the store is not there; name it with --run"),
        ({"run": None}, "it does not say which run embedded its videos; name it with --run"),
        ({"encoder_sha256": "0" * 64}, "its encoder is not the one that embedded the store"),
        ({"run": "untrained", "settings": None, "cache": "/gone"}, "its cache /gone is not there"),
        ({"run": "untrained", "settings": {"views": 1}}, "the settings of its maps cannot be read"),
        ({"run": "untrained"}, "queries are embedded otherwise than its videos"),
    ],
)
def test_a_store_whose_run_is_not_at_hand_is_searched_by_its_own_videos_alone(
    trained_store: Path,
    copied: Path,
    tmp_path: Path,
    edit_attributes: Edit,
    origin: dict[str, object],
    told: str,
    cpu: Settings,
) -> None:
    store = Path(shutil.copytree(trained_store, tmp_path / "moved.zarr"))
    edit_attributes(store, lambda attributes: attributes["origin"].update(origin))
    assert len(search(store, 0, **cpu).hits) == 11
    with pytest.raises(InputError, match=told):
        search(store, copied, **cpu)


def test_a_run_that_moved_is_named(
    trained_store: Path, trained_run: Path, copied: Path, tmp_path: Path, edit_attributes: Edit, cpu: Settings
) -> None:
    store = Path(shutil.copytree(trained_store, tmp_path / "moved.zarr"))
    edit_attributes(store, lambda attributes: attributes["origin"].update(run="/gone"))
    assert search(store, copied, run=trained_run, **cpu).hits[0].path == STORED
    origin = json.loads((trained_store / "zarr.json").read_text())["attributes"]["origin"]
    assert origin["test_views"] == 2 and len(origin["encoder_sha256"]) == 64
