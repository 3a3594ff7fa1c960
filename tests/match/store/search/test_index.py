"""The index on disk: it finds the nearest, is of one state of one store, and what is damaged never reaches usearch."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hcl.extract.system.atomic import with_hash
from hcl.extract.system.errors import InputError
from hcl.extract.system.lock import sole_writer
from hcl.match.embeddings import Embeddings
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.search import graph_index, index_folder
from hcl.match.store.search.config import EXACT_VIDEOS, SearchConfig
from hcl.match.store.search.graph_file import LIST_BYTES, NODE_BYTES, GraphShape, check_graph_file
from hcl.match.store.search.index_folder import build_index, open_index
from hcl.match.store.search.nearest import NOWHERE, ExactIndex
from hcl.match.store.search.opening import open_archive
from hcl.match.store.search.source import StoreSource

pytest.importorskip("usearch", reason="the search extra is not installed")
VIDEOS = 40


@pytest.fixture
def own(tmp_path: Path, archive: Path, write_embeddings: Callable[..., Path]) -> StoreSource:
    """A store of the test's own."""
    whole = EmbeddingStore.open(archive).embeddings(np.arange(VIDEOS))
    return StoreSource(EmbeddingStore.open(write_embeddings(tmp_path / "own.zarr", whole)))


@pytest.mark.parametrize("kind", ["f16", "i8"])
@pytest.mark.parametrize("part", [4_000_000, 15])
def test_the_index_finds_what_the_exact_search_finds(
    own: StoreSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, part: int
) -> None:
    monkeypatch.setattr(index_folder, "PART_VIDEOS", part)
    monkeypatch.setattr(graph_index, "VIDEOS_AT_A_TIME", 7)
    build_index(tmp_path / "i", own, kind)
    assert len(list((tmp_path / "i").glob("*.usearch"))) == -(-VIDEOS // part)
    index, queries = open_index(tmp_path / "i", own, kind), own.globals(np.arange(10, 30))
    found, exact = index.nearest(queries, 8), ExactIndex(own).nearest(queries, 8)
    assert found.rows.shape == (20, 8) and (found.rows[:, 0] == np.arange(10, 30)).all()
    shared = [len(set(one) & set(other)) for one, other in zip(found.rows.tolist(), exact.rows.tolist(), strict=True)]
    assert np.mean(shared) > (7.9 if kind == "f16" else 7)  # of 40 videos all candidates are looked at
    np.testing.assert_allclose(found.cosines, exact.cosines, atol=0.02)
    more = index.nearest(queries, VIDEOS + 5)
    assert sorted(more.rows[0].tolist())[-VIDEOS:] == list(range(VIDEOS)) and (more.rows >= NOWHERE).all()


def test_it_is_built_once_and_anew_where_the_store_changed(
    own: StoreSource, write_embeddings: Callable[..., Path], make_embeddings: Callable[..., Embeddings], said: list[str]
) -> None:
    path, config = own.store.path, SearchConfig(index="f16", device="cpu")
    folder = path.with_name("own.zarr.f16-index")
    for _ in range(2):
        open_archive(path, config)
    first = os.stat(folder).st_ino
    assert said == [] and json.loads((folder / "index.json").read_text())["fingerprint"] == own.fingerprint
    write_embeddings(path, make_embeddings(VIDEOS, seed=5))
    changed = StoreSource(EmbeddingStore.open(path))
    with pytest.raises(InputError, match=r"own\.zarr\.f16-index: an index of other embeddings than the store now hol"):
        open_index(folder, changed, "f16")
    open_archive(path, config)
    assert os.stat(folder).st_ino != first and len(said) == 1 and said[0].endswith("; built anew")
    open_index(folder, changed, "f16")
    assert sorted(entry.name for entry in folder.parent.iterdir()) == [
        *("own.zarr", "own.zarr.f16-index", "own.zarr.f16-index.lock", "own.zarr.lock")
    ]


def test_another_folder_may_hold_it(own: StoreSource, tmp_path: Path) -> None:
    (tmp_path / "indexes").mkdir()
    open_archive(own.store.path, SearchConfig(index="i8", device="cpu"), folder=tmp_path / "indexes")
    assert (tmp_path / "indexes" / "own.zarr.i8-index" / "index.json").is_file()
    assert not own.store.path.with_name("own.zarr.i8-index").exists()


@pytest.mark.parametrize("place", [0, 4, 12, -1, -300])
def test_a_flipped_byte_is_damage(own: StoreSource, tmp_path: Path, place: int) -> None:
    build_index(tmp_path / "i", own, "f16")
    file = tmp_path / "i" / "part-0.usearch"
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"part-0\.usearch: damaged \(its SHA-256 is not as written\); remove the fol"):
        open_index(tmp_path / "i", own, "f16")


def levels_at(width: int) -> int:
    return 8 + VIDEOS * 2 * width + 64 + 40


NODES = 2 * VIDEOS  # after the levels
HOSTILE = {  # what a stranger writes, hash and all: place from the start of the levels, bytes, what is told
    "too many neighbours": (NODES + 10, b"\xff\xff\xff\x7f", "a list that is too long"),
    "a neighbour far away": (NODES + 14, b"\xff\xff\xff\x7f", "a neighbour that is no node"),
    "a key beyond the store": (NODES, b"\xff\xff\xff\xff", "keys that are no rows"),
    "another level": (NODES + 8, b"\x07\x00", "a node of another level"),
    "levels out of range": (0, b"\xff\x7f", "levels out of range"),
    "an entry that is no node": (-8, b"\xff\xff\xff\x7f\x00\x00\x00\x00", "an entry that is no node"),
    "more connections": (-32, b"\x11", "another number of neighbours"),
    "a graph of another size": (-40, b"\x29", "a graph of another size"),
    "another metric": (-91, b"c\x0c\x0e\x0e", "another metric"),
    "another format": (-97, b"\x03", "another format"),
    "no index": (-104, b"USEARCH", "no index of usearch"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_strangers_graph_is_refused_before_native_code_follows_it(
    own: StoreSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    place, content, told = HOSTILE[case]
    build_index(tmp_path / "i", own, "f16")
    rewrite(tmp_path / "i", lambda stored: patched(stored, levels_at(own.width) + place, content))
    monkeypatch.setattr(index_folder, "GraphIndex", None)  # would fail if it were asked
    with pytest.raises(InputError, match=rf"damaged \({told}"):
        open_index(tmp_path / "i", own, "f16")


@pytest.mark.parametrize("keep", [0, 5, 400, -1])
def test_a_file_of_another_length_is_refused(own: StoreSource, tmp_path: Path, keep: int) -> None:
    build_index(tmp_path / "i", own, "f16")
    rewrite(tmp_path / "i", lambda stored: stored[:keep])
    with pytest.raises(InputError, match="damaged .*(shorter than its vectors|of another length than its nodes)"):
        open_index(tmp_path / "i", own, "f16")
    rewrite(tmp_path / "i", lambda stored: stored + b"more")
    with pytest.raises(InputError, match="damaged"):
        open_index(tmp_path / "i", own, "f16")


def patched(stored: bytes, place: int, content: bytes) -> bytes:
    return stored[:place] + content + stored[place + len(content) :]


def rewrite(folder: Path, change: Callable[[bytes], bytes]) -> None:
    """Change the graph and prove it whole again, as a hostile writer can."""
    file = folder / "part-0.usearch"
    file.write_bytes(change(file.read_bytes()))
    described = json.loads((folder / "index.json").read_text())
    described["parts"][0]["sha256"] = index_folder._file_hash(file)
    (folder / "index.json").write_text(json.dumps(with_hash(described)))


def test_graphs_of_several_levels_pass_the_check(tmp_path: Path) -> None:
    """A node of level n has n lists more; a thousand videos have some."""
    vectors = torch.randn(1000, 6, generator=torch.Generator().manual_seed(0)).numpy()
    graph = graph_index._empty(shape := GraphShape("f16", 6, 50, 1000))
    graph.add(np.arange(50, 1050, dtype=np.uint64), vectors)
    graph.save(str(tmp_path / "g"))
    assert graph.max_level >= 1
    check_graph_file(tmp_path / "g", shape)
    stored = (tmp_path / "g").read_bytes()
    nodes = len(stored) - 1000 * NODE_BYTES
    levels = np.frombuffer(stored, "<i2", 1000, 8 + 1000 * 12 + 104)
    nodes -= LIST_BYTES * int(levels.sum())
    first = int(np.flatnonzero(levels)[0])
    at = nodes + first * NODE_BYTES + NODE_BYTES  # its list of level 1
    low = int(np.flatnonzero(levels == 0)[0])
    neighbour = np.array([1, low], "<u4").tobytes()  # which has no list of that level
    (tmp_path / "g").write_bytes(patched(stored, at, neighbour))
    with pytest.raises(ValueError, match="a neighbour that is no node"):
        check_graph_file(tmp_path / "g", shape)


DESCRIPTIONS = {
    "no json": ("nonsense", r"index\.json: cannot be read"),
    "a list": ("[]", r"index\.json: cannot be read"),
    "another schema": ('{"schema": "other"}', "no index of hcl search; remove it, or name a folder"),
    "a newer one": ('{"schema": "hcl-search-index", "version": 9}', "use the version of hcl that wrote it"),
    "no parts": ('{"schema": "hcl-search-index", "version": 1}', r"index\.json: damaged; remove the folder"),
}


@pytest.mark.parametrize("case", DESCRIPTIONS)
def test_a_description_that_is_not_as_written_is_refused(own: StoreSource, tmp_path: Path, case: str) -> None:
    content, told = DESCRIPTIONS[case]
    build_index(tmp_path / "i", own, "i8")
    (tmp_path / "i" / "index.json").write_text(content)
    with pytest.raises(InputError, match=told):
        open_index(tmp_path / "i", own, "i8")


def test_what_is_no_index_is_never_replaced(own: StoreSource, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("dear")
    with pytest.raises(InputError, match="notes: no index of hcl search; remove it, or name a folder"):
        build_index(tmp_path / "notes", own, "f16")
    assert (tmp_path / "notes" / "diary.txt").read_text() == "dear"
    with pytest.raises(InputError, match="nowhere: no index of hcl search"):
        open_index(tmp_path / "nowhere", own, "f16")


def test_a_link_out_of_the_folder_is_refused(own: StoreSource, tmp_path: Path) -> None:
    build_index(tmp_path / "i", own, "f16")
    file = tmp_path / "i" / "part-0.usearch"
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="a link out of"):
        open_index(tmp_path / "i", own, "f16")


def test_one_writer_at_a_time(own: StoreSource, tmp_path: Path) -> None:
    with sole_writer(tmp_path / "i"), pytest.raises(InputError, match=r"process \d+ is writing to it"):
        build_index(tmp_path / "i", own, "f16")


def test_without_usearch_one_line_names_the_extra(own: StoreSource, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "usearch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "usearch", None)
    with pytest.raises(InputError, match=r'pip install "hcl\[search\]", or compare all videos with --index exact'):
        open_archive(own.store, SearchConfig(index="f16"))
    open_archive(own.store, SearchConfig(device="cpu"))  # which "auto" does not need


def test_auto_compares_all_up_to_a_million() -> None:
    assert SearchConfig().kind_for(EXACT_VIDEOS) == "exact" and SearchConfig().kind_for(EXACT_VIDEOS + 1) == "f16"
    assert SearchConfig(index="i8").kind_for(3) == "i8" and SearchConfig(index="exact").kind_for(10**9) == "exact"
