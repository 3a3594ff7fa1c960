"""Near-duplicates: the pairs of a loop over all pairs, each once, whichever video comes first, and their groups."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hcl.extract.system.errors import InputError
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.search import levels as levels_module
from hcl.match.store.search import near_duplicates as module
from hcl.match.store.search import source
from hcl.match.store.search.config import SearchConfig
from hcl.match.store.search.near_duplicates import groups_of, near_duplicates
from hcl.match.store.search.opening import open_archive
from hcl.match.store.search.two_stages import TwoStages

from .conftest import VIDEOS, all_scores


def pairs_by_loops(stages: TwoStages, threshold: float) -> dict[tuple[int, int], float]:
    places = [("global", "temporal", "spatial").index(level) for level in stages.levels]
    table = all_scores(stages)[..., places].mean(axis=-1)
    return {
        (one, other): (table[one, other] + table[other, one]) / 2
        for one in range(VIDEOS)
        for other in range(one + 1, VIDEOS)
        if (table[one, other] + table[other, one]) / 2 >= threshold
    }


ALL, SOME, OTHERS = ("global", "temporal", "spatial"), ("global", "temporal"), ("temporal", "spatial")


@pytest.mark.parametrize(("threshold", "counted"), [(0.99, ALL), (0.6, ALL), (0.9, SOME), (-1.0, SOME), (0.8, OTHERS)])
def test_pairs_equal_loops(
    stages: TwoStages, monkeypatch: pytest.MonkeyPatch, threshold: float, counted: tuple[str, ...]
) -> None:
    monkeypatch.setattr(source, "BLOCK_BYTES", 50 * stages.source.video_bytes)
    monkeypatch.setattr(module, "QUERIES_AT_A_TIME", 11)
    some = replace(stages, levels=counted)
    found, expected = near_duplicates(some, threshold=threshold, neighbours=VIDEOS), pairs_by_loops(some, threshold)
    assert len(found.rows) == len(expected) >= 5
    for rows, total in zip(found.rows.tolist(), found.total.tolist(), strict=True):
        assert total == pytest.approx(expected[tuple(rows)], abs=2e-5)
    assert (np.diff(found.total) <= 0).all() and (found.rows[:, 0] < found.rows[:, 1]).all()


def test_copies_and_near_copies_are_told(stages: TwoStages) -> None:
    found = near_duplicates(stages, threshold=0.95, neighbours=5)
    assert {tuple(rows) for rows in found.rows.tolist()} == {(row, row + 30) for row in range(10)}
    assert set(found.groups.tolist()) == set(range(10))
    copies = near_duplicates(stages, threshold=1, neighbours=5)
    assert {tuple(rows) for rows in copies.rows.tolist()} == {(row, row + 30) for row in range(5)}


def test_patches_are_read_only_where_the_other_levels_leave_a_chance(
    stages: TwoStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[np.ndarray] = []
    plain = stages.source.embeddings

    def watched(rows: np.ndarray, *, patches: bool = True) -> object:
        read.extend([rows] if patches else [])
        return plain(rows, patches=patches)

    monkeypatch.setattr(stages.source, "embeddings", watched)
    near_duplicates(stages, threshold=0.95, neighbours=VIDEOS)
    rows = set(np.concatenate(read).tolist())
    assert rows >= {*range(10), *range(30, 40)} and len(rows) < VIDEOS


def test_too_few_neighbours_are_told(stages: TwoStages, said: list[str]) -> None:
    near_duplicates(stages, threshold=0.95, neighbours=VIDEOS)
    assert said == []
    near_duplicates(stages, threshold=0.95, neighbours=1)
    assert len(said) == 1 and " of 40 videos have 1 neighbours or more" in said[0] and "--neighbours" in said[0]


def test_an_index_on_disk_finds_the_same(archive: Path, tmp_path: Path, stages: TwoStages) -> None:
    pytest.importorskip("usearch", reason="the search extra is not installed")
    other = open_archive(archive, SearchConfig(index="i8", device="cpu"), folder=tmp_path).stages
    found, exact = (near_duplicates(each, threshold=0.9, neighbours=12) for each in (other, stages))
    np.testing.assert_array_equal(found.rows, exact.rows)
    np.testing.assert_array_equal(found.levels, exact.levels)


@pytest.mark.parametrize(
    ("pairs", "groups"),
    [
        ([], []),
        ([(3, 5)], [3]),
        ([(3, 5), (7, 9), (1, 5), (9, 8)], [1, 7, 1, 7]),
        ([(4, 5), (6, 7), (5, 6), (0, 7)], [0, 0, 0, 0]),
    ],
)
def test_groups_are_what_pairs_join(pairs: list[tuple[int, int]], groups: list[int]) -> None:
    assert groups_of(np.array(pairs, np.int64).reshape(-1, 2)).tolist() == groups


def test_which_video_is_the_query_does_not_matter(stages: TwoStages) -> None:
    pairs = np.array([(0, 7), (3, 12), (20, 21)])
    settings = {"spatial": True, "device": stages.device}
    one = levels_module.scores_within(stages.source, pairs, stages.settings, **settings)  # type: ignore[arg-type]
    other = levels_module.scores_within(stages.source, pairs[:, ::-1], stages.settings, **settings)  # type: ignore[arg-type]
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_stores_that_cannot_be_searched_are_refused(archive: Path) -> None:
    store = EmbeddingStore.open(archive)
    store.attributes["method"] = "otam"
    with pytest.raises(InputError, match="a store of method otam; hcl search compares the levels of hcl"):
        open_archive(store, SearchConfig())
    store.attributes.update(method="hcl", scoring={"top_clips": "many", "colour": 3})
    with pytest.raises(InputError, match="its scoring cannot be read"):
        open_archive(store, SearchConfig(device="cpu"))
