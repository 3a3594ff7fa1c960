"""Where maps stay between batches: how often they are read, and what fits where."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from hcl.train.data.batches import BatchPrefetcher
from hcl.train.data.device_storage import DenseStorage, NumberedViews, PackedStorage
from hcl.train.data.map_storage import HostStorage, choose_storage, memory_limit

MakePrefetcher = Callable[..., BatchPrefetcher]
MakeReader = Callable[..., Any]
CPU = torch.device("cpu")


def test_host_memory_saves_reading_and_its_limit_is_kept(prefetcher: MakePrefetcher, numbered_maps: MakeReader) -> None:
    def reads(**settings: Any) -> int:
        reader = numbered_maps()
        list(prefetcher(reader, num_workers=1, **settings).batches(0, 30))
        return len(reader.reads)

    view = 2 * 2 * 3 * 4  # bytes
    everything, nothing, some = reads(map_storage="host"), reads(map_storage="disk"), reads(host_bytes=5 * view)
    assert everything == 20
    assert nothing == 30 * 6
    assert everything < some < nothing
    assert reads(host_bytes=0) == nothing
    assert reads(map_storage="host", host_bytes=0) == everything  # the limit is that of "auto"


def test_what_is_gathered_is_the_callers_to_change(numbered_maps: MakeReader) -> None:
    views = NumberedViews(numbered_maps(), np.arange(3), per_video=2)
    with ThreadPoolExecutor(1) as pool:
        for name in ("host", "disk", "device"):
            storage = choose_storage(views, name, CPU)
            storage.load(pool)
            storage.gather(np.array([5, 0])).zero_()
            assert storage.gather(np.array([5, 0]))[:, 0, 0, 0].tolist() == [1002, 0], name


@pytest.mark.parametrize(
    ("map_storage", "device_bytes", "kind"),
    [
        ("auto", None, HostStorage),  # a CPU has no memory of its own
        ("host", None, HostStorage),
        ("disk", None, HostStorage),
        ("device", None, DenseStorage),
        ("device", 20 * 48, DenseStorage),
        ("device", 20 * 48 - 1, PackedStorage),
    ],
)
def test_maps_that_do_not_fit_the_device_are_packed_there(
    numbered_maps: MakeReader, map_storage: str, device_bytes: int | None, kind: type[Any]
) -> None:
    views = NumberedViews(numbered_maps(), np.arange(20))
    assert isinstance(choose_storage(views, map_storage, CPU, device_bytes=device_bytes), kind)


def test_batches_of_packed_maps_are_those_of_dense_ones(prefetcher: MakePrefetcher, numbered_maps: MakeReader) -> None:
    dense = prefetcher(numbered_maps(), views=2, map_storage="device").batches(0, 5)
    packed = prefetcher(numbered_maps(), views=2, map_storage="device", device_bytes=1).batches(0, 5)
    for batch, expected in zip(packed, dense, strict=True):
        assert torch.equal(batch.maps, expected.maps)


def test_memory_limit_is_a_share_of_a_real_machine() -> None:
    assert 2**20 < memory_limit() < 2**50
