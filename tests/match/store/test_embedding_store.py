"""The embedding store of every method: what was written comes back, is told from all else, and is refused by name."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hcl.extract.cache.video_table import VideoTable
from hcl.extract.system.errors import InputError
from hcl.extract.system.lock import sole_writer
from hcl.match.embeddings import Embeddings
from hcl.match.methods.registry import BASELINES
from hcl.match.store import embedding_store as store_module
from hcl.match.store.batch import EmbeddedBatch, array_axes
from hcl.match.store.embedding_store import EmbeddingStore, open_store, write_store
from hcl.match.store.locate import STORE

MakeEmbeddings = Callable[..., Embeddings]
WriteEmbeddings = Callable[..., Path]
Edit = Callable[[Path, Callable[[dict[str, Any]], object]], None]

VIDEOS, FRAMES = 7, ((0, 1), (0, 2), (1, 2))
LETTERS = tuple("abcdefg")
FACTS = VideoTable(LETTERS, LETTERS, ("val",) * 3 + ("novel",) * 4, ("",) * VIDEOS, LETTERS)


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch_of(method: str) -> EmbeddedBatch:
    """All videos at once."""
    mean_map = random(9, VIDEOS, 6).numpy()
    if method == "hcl":
        parts = (random(0, VIDEOS, 4), random(1, VIDEOS, 3, 4), random(2, VIDEOS, 3, 5, 4).half().float())
        return EmbeddedBatch.of(Embeddings(*parts, FRAMES, random(3, VIDEOS, 4)), mean_map)
    axes = {name: axes for name, axes in BASELINES[method].axes.items() if name != "mean_map"}
    arrays = {name: random(place, VIDEOS, *(3, 4)[-len(axes[name]) + 1 :]) for place, name in enumerate(axes)}
    return EmbeddedBatch.of(arrays, mean_map)


def write(path: Path, method: str, *, size: int = VIDEOS, facts: VideoTable = FACTS) -> EmbeddingStore:
    whole = batch_of(method)
    slices = [slice(start, start + size) for start in range(0, VIDEOS, size)]
    batches = [
        replace(whole, arrays={name: a[some] for name, a in whole.arrays.items()}, mean_map=whole.mean_map[some])
        for some in slices
    ]
    write_store(path, {"origin": {}}, facts, batches, method=method)
    return EmbeddingStore.open(path)


every_method = pytest.mark.parametrize("method", ["hcl", *BASELINES])


@every_method
@pytest.mark.parametrize(("size", "chunk_bytes"), [(VIDEOS, 2**20), (2, 100), (3, 1)])
def test_arrays_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, size: int, chunk_bytes: int
) -> None:
    monkeypatch.setattr(store_module, "CHUNK_BYTES", chunk_bytes)
    store, whole = write(tmp_path / "s.zarr", method, size=size), batch_of(method)
    assert store.method == method and set(store.names) == {*whole.arrays, "mean_map"}
    assert store.axes == {name: tuple(array_axes(method)[name]) for name in store.names}
    rows = np.array([5, 0, 5, 6])
    found = store.arrays(store.names, rows)
    for name, array in whole.arrays.items():
        torch.testing.assert_close(found[name].float(), array[rows], rtol=0, atol=0)
    np.testing.assert_array_equal(found["mean_map"], whole.mean_map[rows])
    if method == "hcl":
        assert torch.equal(store.embeddings(rows).clips, whole.embeddings().clips[rows])


@every_method
def test_the_identity_is_of_the_content_alone(tmp_path: Path, method: str) -> None:
    identity = write(tmp_path / "a.zarr", method).identity
    assert len(identity) == 64
    assert write(tmp_path / "b.zarr", method, size=2).identity == identity
    for field in ("path", "label", "split"):
        other = replace(FACTS, **{field: ("base", *getattr(FACTS, field)[1:])})
        assert write(tmp_path / "c.zarr", method, facts=other).identity != identity
    same = replace(FACTS, content=("other",) * VIDEOS)
    assert write(tmp_path / "c.zarr", method, facts=same).identity == identity


def test_one_value_of_one_array_changes_the_identity(tmp_path: Path) -> None:
    whole, seen = batch_of("trx"), set()
    for name in (None, *whole.arrays):
        arrays = {key: array.clone() for key, array in whole.arrays.items()}
        if name is not None:
            arrays[name].view(-1)[-1] += 1
        write_store(tmp_path / "s.zarr", {}, FACTS, [replace(whole, arrays=arrays)], method="trx")
        seen.add(EmbeddingStore.open(tmp_path / "s.zarr").identity)
    assert len(seen) == 5


def test_another_method_is_refused_by_name(tmp_path: Path) -> None:
    store = write(tmp_path / "s.zarr", "otam")
    with pytest.raises(InputError, match="a store of method otam, not of hcl; evaluate it with --method otam"):
        store.embeddings(np.array([0]))
    with pytest.raises(InputError, match="no array 'keys_2' in this store of method otam; train the method"):
        store.arrays(tuple(BASELINES["trx"].axes), np.array([0]))


def test_an_older_store_is_refused_with_the_remedy_and_can_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.zarr"
    write(path, "protonet")
    attributes = json.loads((path / "zarr.json").read_text())
    attributes["attributes"]["version"] = 3
    (path / "zarr.json").write_text(json.dumps(attributes))
    with pytest.raises(InputError, match="version 3.* this program reads version 4; .* anew with: hcl embed"):
        EmbeddingStore.open(path)
    assert write(path, "protonet").method == "protonet"


@pytest.mark.parametrize("missing", ["clips", "mean_map", "label"])
def test_a_missing_array_is_named(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "s.zarr"
    write(path, "hcl")
    (path / missing / "zarr.json").unlink()
    with pytest.raises(InputError, match=f"array '{missing}' is missing; the store is damaged"):
        EmbeddingStore.open(path).embeddings(np.array([0]))


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"frames": torch.zeros(7, 4)}, r"frames \(7, 4\) does not fit \('video', 'frame', 'embedding'\)"),
        ({"words": torch.zeros(7, 4)}, "words .* does not fit None: correct the method's axes or its head"),
    ],
)
def test_arrays_that_the_method_does_not_declare_are_refused(
    tmp_path: Path, arrays: dict[str, Tensor], told: str
) -> None:
    batch = EmbeddedBatch(arrays, np.zeros((7, 3), np.float32))
    with pytest.raises(InputError, match=told):
        write_store(tmp_path / "s.zarr", {}, FACTS, [batch], method="otam")
    assert not (tmp_path / "s.zarr").exists()


def test_arrays_of_other_videos_are_refused() -> None:
    with pytest.raises(ValueError, match=r"global \(6, 4\) does not fit"):
        EmbeddedBatch({"global": torch.zeros(6, 4)}, np.zeros((7, 3), np.float32))
    with pytest.raises(ValueError, match="not of HCL: no arrays"):
        EmbeddedBatch({}, np.zeros((7, 3), np.float32)).embeddings()


def test_damage_is_named(tmp_path: Path, write_embeddings: WriteEmbeddings) -> None:
    path = write_embeddings(tmp_path / "s.zarr")
    (path / "patches" / "c" / "2" / "0" / "0" / "0").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"array 'patches' is damaged.*hcl embed"):
        EmbeddingStore.open(path).embeddings(np.arange(5))


def test_a_store_is_replaced_only_by_a_store(
    tmp_path: Path, make_embeddings: MakeEmbeddings, write_embeddings: WriteEmbeddings
) -> None:
    path = write_embeddings(tmp_path / "s.zarr")
    write_embeddings(path, make_embeddings(10), label=("a",) * 10)
    assert len(EmbeddingStore.open(path).videos) == 10
    (tmp_path / "notes").mkdir()
    with pytest.raises(InputError, match="an empty folder; expected a run or an embedding store"):
        write_embeddings(tmp_path / "notes")


def test_patches_beyond_half_precision_are_refused(
    tmp_path: Path, make_embeddings: MakeEmbeddings, write_embeddings: WriteEmbeddings
) -> None:
    few = make_embeddings(10)
    huge = replace(few, patches=few.patches * 1e6, class_keys=None)
    with pytest.raises(InputError, match="pass the range of float16"):
        write_embeddings(tmp_path / "s.zarr", huge)
    assert not (tmp_path / "s.zarr").exists()


def test_patches_are_kept_in_half_precision(
    tmp_path: Path, make_embeddings: MakeEmbeddings, write_embeddings: WriteEmbeddings
) -> None:
    given = make_embeddings()
    found = EmbeddingStore.open(write_embeddings(tmp_path / "s.zarr")).embeddings(np.array([3, 1]))
    assert found.clip_frames == given.clip_frames and found.patches.dtype == torch.float16
    for name in ("global_", "clips", "patches", "class_keys"):
        torch.testing.assert_close(getattr(found, name).float(), getattr(given, name)[[3, 1]], rtol=0, atol=0)


def test_a_store_is_opened_by_itself_its_path_or_its_run(tmp_path: Path, write_embeddings: WriteEmbeddings) -> None:
    store = open_store(write_embeddings(tmp_path / "run" / STORE))
    assert open_store(store) is store
    for place in (tmp_path / "run", str(tmp_path / "run"), str(tmp_path / "run" / STORE)):
        assert open_store(place).identity == store.identity
    with pytest.raises(
        InputError,
        match="no such file or folder; expected a run or an embedding store",
    ):
        open_store(str(tmp_path / "nowhere"))


@every_method
def test_a_missing_chunk_is_damage_not_zeros(tmp_path: Path, method: str) -> None:
    store = write(tmp_path / "s.zarr", method)
    for name in (*store.names, "path", "group"):
        chunk = next(entry for entry in (store.path / name / "c").rglob("*") if entry.is_file())
        content = chunk.read_bytes()
        chunk.unlink()
        with pytest.raises(InputError, match=rf"array '{name}' is damaged \(chunk c/.* is missing\); write the store"):
            EmbeddingStore.open(store.path).arrays(store.names, np.arange(VIDEOS))
        chunk.write_bytes(content)
    EmbeddingStore.open(store.path).arrays(store.names, np.arange(VIDEOS))


@pytest.mark.parametrize(
    "change",
    [
        lambda attributes: attributes.update(method="otam"),
        lambda attributes: attributes.update(identity="0" * 64),
        lambda attributes: attributes["clip_frames"][0].reverse(),
        lambda attributes: attributes.pop("arrays"),
        lambda attributes: attributes.pop("metadata_sha256"),
    ],
    ids=["method", "identity", "clips", "arrays", "hashes"],
)
def test_changed_attributes_are_noticed(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = write(tmp_path / "s.zarr", "hcl").path
    document = json.loads((path / "zarr.json").read_text())
    change(document["attributes"])
    (path / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(
        InputError, match="the attributes in its zarr.json are damaged or were changed; write the store"
    ):
        EmbeddingStore.open(path)


@pytest.mark.parametrize("arrays", [None, 3, {"global": None}, {"global": 7}])
def test_attributes_of_the_wrong_kind_are_named(tmp_path: Path, arrays: object, edit_attributes: Edit) -> None:
    path = write(tmp_path / "s.zarr", "hcl").path
    edit_attributes(path, lambda attributes: attributes.update(arrays=arrays))
    with pytest.raises(InputError, match=r"s\.zarr: not as an embedding store is written \(.*\); write the store anew"):
        EmbeddingStore.open(path)


def test_two_writers_of_one_store_do_not_meet(tmp_path: Path) -> None:
    with sole_writer(tmp_path / "s.zarr"), pytest.raises(InputError, match=r"process \d+ is writing to it; wait"):
        write(tmp_path / "s.zarr", "hcl")
    assert write(tmp_path / "s.zarr", "hcl").names
