"""Caches and embedding stores in a bucket say and hold what they do in a folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcl.extract.cache.edits import Edits
from hcl.extract.cache.formats import convert, open_cache
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.system.errors import InputError
from hcl.extract.system.places.location import place_of
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.search.config import SearchConfig
from hcl.match.store.search.opening import open_archive


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a store by their names."""
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def objects_of(url: str) -> dict[str, bytes]:
    """The objects of a store by their names."""
    place = place_of(url)
    return {each.relative_to(place).as_posix(): each.read_bytes() for each in place.glob("**/*")}


@pytest.mark.each_cloud
def test_a_cache_copied_into_a_bucket_and_back_is_the_same(
    tmp_path: Path, bucket: str, make_cache: Callable[..., ZarrCache]
) -> None:
    local = make_cache(tmp_path / "local.zarr", views=2)
    convert(local.path, f"{bucket}/a/cache.zarr")
    assert objects_of(f"{bucket}/a/cache.zarr") == contents(local.path)
    assert [each.name for each in place_of(f"{bucket}/a").iterdir()] == ["cache.zarr"]  # no claim, no marker is left
    remote = open_cache(f"{bucket}/a/cache.zarr")
    assert remote.identity == local.identity and remote.videos == local.videos
    for row in remote.rows():
        np.testing.assert_array_equal(remote.view(row, 1), local.view(row, 1))
    convert(f"{bucket}/a/cache.zarr", tmp_path / "back.zarr")
    assert contents(tmp_path / "back.zarr") == contents(local.path)


def test_a_cache_is_written_in_a_bucket_as_in_a_folder(
    tmp_path: Path, bucket: str, make_cache: Callable[..., ZarrCache]
) -> None:
    make_cache(tmp_path / "cache.zarr")
    make_cache(place_of(f"{bucket}/cache.zarr"))
    assert objects_of(f"{bucket}/cache.zarr") == contents(tmp_path / "cache.zarr")


@pytest.mark.each_cloud
def test_shards_in_a_bucket_are_those_of_a_folder(
    tmp_path: Path, bucket: str, make_cache: Callable[..., ZarrCache]
) -> None:
    local = make_cache(tmp_path / "local.zarr", views=2)
    convert(local.path, tmp_path / "shards.zarr", shard_videos=3)
    convert(local.path, f"{bucket}/shards.zarr", shard_videos=3)
    assert objects_of(f"{bucket}/shards.zarr") == contents(tmp_path / "shards.zarr")
    remote = open_cache(f"{bucket}/shards.zarr")
    for row in remote.rows():
        np.testing.assert_array_equal(remote.view(row, 1), local.view(row, 1))
    shard = place_of(f"{bucket}/shards.zarr/maps/c/0/0/0/0")
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(InputError, match="the checksum of the shard's index does not match"):
        remote.maps(0)
    made = ZarrCache.open(f"{bucket}/shards.zarr", mode="r+")
    made.edit(Edits(removed=tuple(made.rows()[-4:].tolist())))
    assert len(ZarrCache.open(f"{bucket}/shards.zarr").rows()) == len(local.rows()) - 4


@pytest.mark.each_cloud
def test_an_embedding_store_is_written_and_replaced_in_a_bucket(
    tmp_path: Path, bucket: str, write_embeddings: Callable[..., Path], make_embeddings: Callable[..., Any]
) -> None:
    write_embeddings(tmp_path / "store.zarr")
    place = place_of(f"{bucket}/store.zarr")
    write_embeddings(place)
    assert objects_of(str(place)) == contents(tmp_path / "store.zarr")
    found = EmbeddingStore.open(str(place)).embeddings(np.array([7, 2, 29]))
    expected = EmbeddingStore.open(tmp_path / "store.zarr").embeddings(np.array([7, 2, 29]))
    assert all((found.arrays()[name] == expected.arrays()[name]).all() for name in expected.arrays())
    write_embeddings(place, make_embeddings(20, seed=1))
    assert len(EmbeddingStore.open(place).videos) == 20
    assert [each.name for each in place.parent.iterdir()] == ["store.zarr"]


def test_a_store_in_a_bucket_is_searched_as_in_a_folder(
    tmp_path: Path, bucket: str, write_embeddings: Callable[..., Path]
) -> None:
    place = write_embeddings(place_of(f"{bucket}/store.zarr"))
    here = open_archive(write_embeddings(tmp_path / "store.zarr"), SearchConfig(device="cpu"))
    there = open_archive(place, SearchConfig(device="cpu"))
    queries = here.stages.source.globals(np.arange(4))
    found = [archive.stages.index.nearest(queries, 5).rows for archive in (here, there)]
    np.testing.assert_array_equal(*found)
    pytest.importorskip("usearch", reason="the extra search is not installed")
    with pytest.raises(InputError, match="viewed from the disk of this machine; name --index-folder"):
        open_archive(place, SearchConfig(device="cpu", index="f16"))
