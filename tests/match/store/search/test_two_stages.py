"""Two stages find what a search of everything finds, in bounded memory, and never the query itself."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hcl.extract.cache.video_table import Rows
from hcl.match.embeddings import Embeddings
from hcl.match.scoring.scores import match
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.search import nearest, source
from hcl.match.store.search.config import SearchConfig
from hcl.match.store.search.nearest import NOWHERE, ExactIndex
from hcl.match.store.search.opening import open_archive
from hcl.match.store.search.source import StoreSource
from hcl.match.store.search.two_stages import TwoStages

from .conftest import VIDEOS, all_scores


@pytest.mark.parametrize("block_bytes", [source.BLOCK_BYTES, 3 * 64])
@pytest.mark.parametrize("row", [0, 7, 39])
def test_with_everything_on_the_short_list_the_search_is_exhaustive(
    stages: TwoStages, monkeypatch: pytest.MonkeyPatch, block_bytes: int, row: int
) -> None:
    monkeypatch.setattr(source, "BLOCK_BYTES", block_bytes)  # a few videos at a time: the same
    query = stages.source.embeddings(np.array([row]))
    found = stages.search([query], top=VIDEOS, short_list=VIDEOS, without=[row])[0]
    table = all_scores(stages)[row]
    total = table.mean(axis=1)
    others = [other for other in range(VIDEOS) if other != row]
    assert sorted(found.rows.tolist()) == others
    np.testing.assert_allclose(found.levels, table[found.rows], atol=2e-5)
    np.testing.assert_allclose(found.total, total[found.rows], atol=2e-5)
    np.testing.assert_allclose(found.total, np.sort(total[others])[::-1], atol=2e-5)


def test_a_copy_comes_first_and_scores_1_on_every_level(stages: TwoStages) -> None:
    queries = [stages.source.embeddings(np.array([row])) for row in range(5)]
    for row, found in enumerate(stages.search(queries, top=3, short_list=5, without=range(5))):
        assert found.rows[0] == 30 + row and len(found.rows) == 3
        np.testing.assert_allclose(found.levels[0], 1, atol=1e-5)
    first = stages.search(queries[:1], top=2, short_list=2)[0]
    assert set(first.rows.tolist()) == {0, 30}  # a query from elsewhere leaves nothing out


def test_the_short_list_is_what_the_global_embeddings_say(stages: TwoStages) -> None:
    query = stages.source.embeddings(np.array([3]))
    found = stages.search([query], top=4, short_list=4, without=[3])[0]
    by_global = [row for row in np.argsort(-all_scores(stages)[3, :, 0], kind="stable") if row != 3][:4]
    assert set(found.rows.tolist()) == set(by_global)


@pytest.mark.parametrize("counted", [("global",), ("global", "temporal"), ("temporal", "spatial")])
def test_levels_that_do_not_count_do_not_rank(stages: TwoStages, counted: tuple[str, ...]) -> None:
    some = replace(stages, levels=counted)
    query = some.source.embeddings(np.array([1]), patches="spatial" in counted)
    found = some.search([query], top=5, short_list=VIDEOS, without=[1])[0]
    places = [("global", "temporal", "spatial").index(level) for level in counted]
    total = all_scores(stages)[1][:, places].mean(axis=1)
    total[1] = -9
    np.testing.assert_allclose(found.total, np.sort(total)[::-1][:5], atol=2e-5)
    assert np.isnan(found.levels[:, 2]).all() == ("spatial" not in counted)


def nearest_by_loops(globals_: torch.Tensor, query: int, count: int) -> list[tuple[float, int]]:
    unit = [vector / vector.norm() for vector in globals_.double()]
    return sorted((-float(unit[query] @ other), row) for row, other in enumerate(unit))[:count]


@pytest.mark.parametrize("count", [1, 6, VIDEOS, VIDEOS + 5])
@pytest.mark.parametrize("kept", [0, 2**30])
def test_the_exact_index_equals_loops(
    stages: TwoStages, monkeypatch: pytest.MonkeyPatch, count: int, kept: int
) -> None:
    monkeypatch.setattr(source, "BLOCK_BYTES", 7 * 4 * stages.source.width)
    monkeypatch.setattr(nearest, "KEPT_BYTES", kept)
    monkeypatch.setattr(nearest, "QUERIES_AT_A_TIME", 3)
    globals_ = stages.source.globals(np.arange(VIDEOS))
    index = ExactIndex(stages.source)
    for _ in range(2):  # the second time from memory, where it is kept
        found = index.nearest(globals_[:8], count)
        assert found.rows.shape == (8, min(count, VIDEOS))
        for query in range(8):
            expected = nearest_by_loops(globals_, query, count)
            np.testing.assert_allclose(found.cosines[query], [-cosine for cosine, _ in expected], atol=1e-5)
            assert len(set(found.rows[query].tolist())) == min(count, VIDEOS)


class Watched:
    """A source that notes how many videos are read at a time."""

    def __init__(self, inner: StoreSource) -> None:
        self.inner, self.read, self.with_patches = inner, [0], [0]
        self.width, self.video_bytes, self.fingerprint = inner.width, inner.video_bytes, inner.fingerprint

    def __len__(self) -> int:
        return len(self.inner)

    def globals(self, rows: Rows) -> torch.Tensor:
        self.read.append(len(rows))
        return self.inner.globals(rows)

    def embeddings(self, rows: Rows, *, patches: bool = True) -> Embeddings:
        self.with_patches.append(len(rows))
        return self.inner.embeddings(rows, patches=patches)


def test_memory_is_bounded_by_blocks(stages: TwoStages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK_BYTES", 4 * stages.source.video_bytes)
    monkeypatch.setattr(nearest, "KEPT_BYTES", 0)
    watched = Watched(stages.source)  # type: ignore[arg-type]
    searched = replace(stages, source=watched, index=ExactIndex(watched))
    query = stages.source.embeddings(np.array([0]))
    searched.search([query], top=5, short_list=11)
    block = source.BLOCK_BYTES // (4 * stages.source.width)
    assert max(watched.read) <= block and sum(watched.read) == VIDEOS
    assert max(watched.with_patches) == 4 and sum(watched.with_patches) == 1 + 11  # no other patches are read


def test_the_mean_maps_are_not_read(archive: Path) -> None:
    store = EmbeddingStore.open(archive)
    stages = open_archive(store, SearchConfig(device="cpu")).stages
    stages.search([stages.source.embeddings(np.array([0]))], top=5, short_list=5)
    assert "mean_map" not in vars(store) and store.mean_map.shape == (VIDEOS, 16)


def test_semantic_attention_weighs_by_the_stored_video(archive: Path) -> None:
    config = SearchConfig(semantic_attention=True, device="cpu")
    stages = open_archive(archive, config).stages
    whole = stages.source.embeddings(np.arange(VIDEOS))
    query = replace(whole.rows(slice(2, 3)), class_keys=None)
    found = stages.search([query], top=VIDEOS, short_list=VIDEOS)[0]
    np.testing.assert_allclose(found.levels[:, 2], match(query, whole).spatial[0, found.rows], atol=2e-5)


def test_a_query_of_other_shapes_is_refused(stages: TwoStages, make_embeddings: Callable[..., Embeddings]) -> None:
    few = stages.source.embeddings(np.array([0, 1]))
    with pytest.raises(ValueError, match="a query of 2 videos"):
        stages.search([few], top=1, short_list=1)
    one = few.rows(slice(0, 1))
    with pytest.raises(ValueError, match="for videos"):
        stages.search([replace(one, patches=one.patches[:, :, :2])], top=1, short_list=1)


def test_nan_comes_last(stages: TwoStages) -> None:
    assert stages.search([], top=1, short_list=1) == []
    query = stages.source.embeddings(np.array([0]))
    broken = replace(query, global_=query.global_ * torch.nan)
    found = stages.search([broken], top=VIDEOS, short_list=VIDEOS, without=[NOWHERE])[0]
    assert len(found.rows) == VIDEOS and np.isnan(found.total).all()


@pytest.mark.parametrize(
    ("videos", "expected"), [(10, 200), (200_999, 200), (500_000, 500), (10**6, 1000), (10**8, 1000)]
)
def test_the_short_list_grows_with_the_archive(videos: int, expected: int) -> None:
    assert SearchConfig().short_list_for(videos) == expected
    assert SearchConfig(short_list=7).short_list_for(videos) == 7
