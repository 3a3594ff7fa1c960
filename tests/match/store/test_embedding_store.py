"""The embedding store of every method: what was written comes back, is told from all else, and is refused by name."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hcl.extract.cache.video_table import VideoTable
from hcl.extract.system.errors import InputError
from hcl.match.embeddings import Embeddings
from hcl.match.methods.registry import BASELINES
from hcl.match.store import embedding_store as store_module
from hcl.match.store.batch import AXES, EmbeddedBatch
from hcl.match.store.embedding_store import EmbeddingStore, write_store

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
    names = [name for name in BASELINES[method].arrays if name != "mean_map"]
    arrays = {name: random(place, VIDEOS, *(3, 4)[-len(AXES[name]) + 1 :]) for place, name in enumerate(names)}
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
        store.arrays(BASELINES["trx"].arrays, np.array([0]))


def test_an_older_store_is_refused_with_the_remedy_and_can_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.zarr"
    write(path, "protonet")
    attributes = json.loads((path / "zarr.json").read_text())
    attributes["attributes"]["version"] = 1
    (path / "zarr.json").write_text(json.dumps(attributes))
    with pytest.raises(InputError, match="version 1, this program reads version 2; write the store anew with: hcl emb"):
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
        ({"global": torch.zeros(6, 4)}, r"global \(6, 4\) does not fit"),
        ({"frames": torch.zeros(7, 4)}, r"frames \(7, 4\) does not fit \('video', 'frame', 'embedding'\)"),
        ({"words": torch.zeros(7, 4)}, "words .* does not fit None"),
    ],
)
def test_arrays_that_no_store_knows_are_refused(arrays: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        EmbeddedBatch(arrays, np.zeros((7, 3), np.float32))
    with pytest.raises(ValueError, match="not of HCL: no arrays"):
        EmbeddedBatch({}, np.zeros((7, 3), np.float32)).embeddings()
