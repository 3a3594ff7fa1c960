"""What the batches hold, and that putting them together ahead changes nothing."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hcl.extract.system.errors import InputError
from hcl.train.data.batches import BatchPrefetcher
from hcl.train.data.class_augmentation import VERSIONS, ClassAugmentation
from hcl.train.data.device_storage import NumberedViews
from hcl.train.data.map_storage import choose_storage
from hcl.train.data.sampler import ClassBalancedSampler

MakePrefetcher = Callable[..., BatchPrefetcher]
MakeSampler = Callable[..., ClassBalancedSampler]
MakeReader = Callable[..., Any]


@pytest.mark.parametrize("map_storage", ["auto", "host", "disk", "device"])
@pytest.mark.parametrize("num_workers", [1, 3])
def test_batches_hold_the_maps_of_their_videos_in_order(
    prefetcher: MakePrefetcher,
    numbered_maps: MakeReader,
    sampler: MakeSampler,
    labels: NDArray[np.int64],
    map_storage: str,
    num_workers: int,
) -> None:
    reader = numbered_maps()
    batches = list(prefetcher(reader, map_storage=map_storage, num_workers=num_workers).batches(2, 9))
    assert len(batches) == 7
    for step, batch in enumerate(batches, start=2):
        videos = sampler().samples(step)
        expected = np.broadcast_to((videos + 100).reshape(-1, 1, 1, 1), (6, *reader.shape))
        np.testing.assert_array_equal(batch.maps.numpy(), expected)
        np.testing.assert_array_equal(batch.labels.numpy(), labels[videos])
        assert batch.maps.dtype == torch.float16 and batch.waited >= 0


@pytest.mark.parametrize("map_storage", ["disk", "device"])
def test_a_share_of_a_batch_has_its_own_maps_and_all_labels(
    prefetcher: MakePrefetcher,
    numbered_maps: MakeReader,
    sampler: MakeSampler,
    labels: NDArray[np.int64],
    map_storage: str,
) -> None:
    reader, share = numbered_maps(), slice(2, 4)
    batches = list(prefetcher(reader, map_storage=map_storage, num_workers=1, share=share).batches(0, 5))
    for step, batch in enumerate(batches):
        videos = sampler().samples(step)
        assert batch.maps[:, 0, 0, 0].tolist() == (videos[share] + 100).tolist()
        np.testing.assert_array_equal(batch.labels.numpy(), labels[videos])
    assert len(reader.reads) == (5 * 2 if map_storage == "disk" else len(labels))


@pytest.mark.parametrize("map_storage", ["host", "disk", "device"])
def test_a_step_draws_a_view_of_each_of_its_videos_and_the_same_wherever_it_begins(
    prefetcher: MakePrefetcher,
    numbered_maps: MakeReader,
    sampler: MakeSampler,
    labels: NDArray[np.int64],
    map_storage: str,
) -> None:
    whole = list(prefetcher(numbered_maps(), views=2, map_storage=map_storage).batches(0, 30))
    seen = set()
    for step, batch in enumerate(whole):
        values = batch.maps[:, 0, 0, 0].long().numpy()
        views, rows = np.divmod(values, 1000)
        np.testing.assert_array_equal(rows, sampler().samples(step) + 100)
        np.testing.assert_array_equal(views, sampler().views(step, 2))
        assert (batch.maps == batch.maps[:, :1, :1, :1]).all()
        seen |= set(values.tolist())
    assert len(seen) == 2 * len(labels)  # every view of every video, in time
    later = list(prefetcher(numbered_maps(), views=2, map_storage=map_storage).batches(25, 30))
    for batch, expected in zip(later, whole[25:], strict=True):
        assert torch.equal(batch.maps, expected.maps)


def test_fewer_views_can_be_drawn_from(prefetcher: MakePrefetcher, numbered_maps: MakeReader) -> None:
    only = list(prefetcher(numbered_maps(), views=1).batches(0, 9))
    assert max(float(batch.maps.max()) for batch in only) < 1000


def test_a_reader_that_fails_ends_the_batches(prefetcher: MakePrefetcher, numbered_maps: MakeReader) -> None:
    reader = numbered_maps(broken_after=1, error=InputError("maps of video 3 are damaged; extract again"))
    with pytest.raises(InputError, match="extract again"):
        list(prefetcher(reader).batches(0, 3))


def test_threads_end_with_the_batches_even_when_left_early(
    prefetcher: MakePrefetcher, numbered_maps: MakeReader
) -> None:
    before = threading.active_count()
    batches = prefetcher(numbered_maps(), num_workers=3).batches(0, 50)
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_labels_of_other_versions_are_a_callers_mistake(numbered_maps: MakeReader) -> None:
    labels, device = np.array([0, 0, 1, 1], dtype=np.int64), torch.device("cpu")
    sampler = ClassBalancedSampler(labels, ["a", "b"], classes_per_batch=2, videos_per_class=2, seed=0)
    storage = choose_storage(NumberedViews(numbered_maps(), np.arange(4)), "disk", device)
    with pytest.raises(ValueError, match="differ in videos of 2 versions"):
        augmentation = ClassAugmentation(VERSIONS["hflip"], (1, 3))
        BatchPrefetcher(sampler, storage, device=device, augmentation=augmentation)
