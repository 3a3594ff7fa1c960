"""Maps on the device are those that were read, packed or not."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hcl.train.data.device_storage import DenseStorage, NumberedViews, PackedStorage, pack, packed_bytes

CPU = torch.device("cpu")


class GivenMaps:
    """A reader of given maps, one view a video."""

    def __init__(self, maps: NDArray[np.float16]) -> None:
        self.maps, self.shape = maps, maps.shape[1:]

    def view(self, row: int, view: int, out: NDArray[np.float16] | None = None) -> NDArray[np.float16]:
        return self.maps[row]


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 3, 3), (5, 1, 1)])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_packed_maps_are_the_dense_ones(shape: tuple[int, ...], share: float) -> None:
    rng = np.random.default_rng(0)
    maps = (rng.normal(size=(6, *shape)) * (rng.random((6, *shape)) < share)).astype(np.float16)
    maps[2] = 0
    views = NumberedViews(GivenMaps(maps), np.arange(6))
    dense, packed = DenseStorage(views, CPU), PackedStorage(views, CPU)
    with ThreadPoolExecutor(2) as pool:
        dense.load(pool)
        packed.load(pool)
    assert packed.bytes == sum(packed_bytes(of_one) + (-of_one.size % 8 > 0) for of_one in maps)
    for numbers in ([3], [5, 0, 2], [1, 1, 4]):
        assert torch.equal(packed.gather(np.array(numbers)), torch.from_numpy(maps[numbers]))
        assert torch.equal(dense.gather(np.array(numbers)), torch.from_numpy(maps[numbers]))


def test_packing_marks_the_values_that_are_not_zero() -> None:
    mask, values = pack(np.array([[0, 2, 0], [3, 0, 4]], np.float16))
    assert values.tolist() == [2, 3, 4] and mask.tolist() == [0b101010]


@pytest.mark.parametrize("kind", [DenseStorage, PackedStorage])
def test_views_are_read_once_and_not_before_they_are_loaded(kind: type[DenseStorage] | type[PackedStorage]) -> None:
    maps = np.ones((4, 1, 2, 3), np.float16)
    storage = kind(NumberedViews(GivenMaps(maps), np.arange(4)), CPU)
    with pytest.raises(ValueError, match="before load"):
        storage.gather(np.array([0]))
    with ThreadPoolExecutor(1) as pool:
        storage.load(pool)
        maps[:] = 5
        storage.load(pool)
    assert (storage.gather(np.array([0, 3])) == 1).all()
