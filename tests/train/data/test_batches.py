"""What the batches hold, that they follow from seed and step alone, and that reading ahead changes nothing."""

import threading
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hcl.extract.system.errors import InputError
from hcl.train.data.batches import BatchSource, ClassDraw, memory_limit
from hcl.train.data.device_maps import DenseMaps, PackedMaps, packed_bytes

SHAPE = (2, 3, 4)


class Reader:
    """Maps that say which row and view they are of, and a count of how often each was read."""

    shape = SHAPE

    def __init__(self, n_views: int = 1) -> None:
        self.n_views = n_views
        self.reads: list[int] = []
        self._lock = threading.Lock()

    def view(self, row: int, view: int, out: NDArray[np.float16] | None = None) -> NDArray[np.float16]:
        with self._lock:
            self.reads.append(row)
        maps = np.empty(SHAPE, dtype=np.float16) if out is None else out
        maps[:] = row + 1000 * view  # both are whole numbers that float16 holds
        return maps


LABELS = np.array([0, 1, 2, 3] * 5, dtype=np.int64)
NAMES = ("run", "jump", "sit", "wave")


def draw(labels: NDArray[np.int64] = LABELS, **settings: Any) -> ClassDraw:
    return ClassDraw(labels, NAMES, **{"classes_per_batch": 3, "videos_per_class": 2, "seed": 0, **settings})


def source(reader: Reader, **settings: Any) -> BatchSource:
    rows = np.arange(len(LABELS)) + 100
    return BatchSource(reader, rows, LABELS, draw(), device=torch.device("cpu"), **settings)


@pytest.mark.parametrize(("classes", "videos"), [(2, 1), (3, 2), (4, 5), (9, 2)])
def test_every_batch_is_balanced_and_without_repetition(classes: int, videos: int) -> None:
    drawn = draw(classes_per_batch=classes, videos_per_class=videos)
    assert drawn.classes_per_batch == min(classes, 4)
    for step in range(20):
        batch = drawn.videos(step)
        assert len(set(batch.tolist())) == len(batch) == min(classes, 4) * videos
        _, counts = np.unique(LABELS[batch], return_counts=True)
        assert (counts == videos).all()


def test_a_step_draws_the_same_whatever_came_before() -> None:
    forwards, backwards = draw(), draw()
    expected = [forwards.videos(step) for step in range(6)]
    for step in reversed(range(6)):
        np.testing.assert_array_equal(backwards.videos(step), expected[step])
    assert any((draw(seed=1).videos(step) != expected[step]).any() for step in range(6))
    assert any((expected[step] != expected[0]).any() for step in range(1, 6))


def test_every_class_and_video_is_drawn_in_time() -> None:
    seen = np.concatenate([draw().videos(step) for step in range(60)])
    assert set(seen.tolist()) == set(range(len(LABELS)))


def test_classes_with_too_few_videos_are_left_out_by_name() -> None:
    labels = np.array([0, 0, 1, 2, 2, 2], dtype=np.int64)
    drawn = draw(labels)
    assert (drawn.left_out, drawn.classes_per_batch) == (("jump", "wave"), 2)
    assert not set(drawn.videos(0).tolist()) & {2}
    with pytest.raises(InputError, match=r"found 1 \(run 2, jump 1, sit 3, wave 0\); .*lower --videos-per-class"):
        draw(labels, videos_per_class=3)


@pytest.mark.parametrize("map_storage", ["auto", "host", "disk", "device"])
@pytest.mark.parametrize("num_workers", [1, 3])
def test_batches_hold_the_maps_of_their_videos_in_order(map_storage: str, num_workers: int) -> None:
    batches = list(source(Reader(), map_storage=map_storage, num_workers=num_workers).batches(2, 9))
    assert len(batches) == 7
    for step, batch in enumerate(batches, start=2):
        videos = draw().videos(step)
        expected = np.broadcast_to((videos + 100).reshape(-1, 1, 1, 1), (6, *SHAPE))
        np.testing.assert_array_equal(batch.maps.numpy(), expected)
        np.testing.assert_array_equal(batch.labels.numpy(), LABELS[videos])
        assert batch.maps.dtype == torch.float16 and batch.waited >= 0


@pytest.mark.parametrize("map_storage", ["disk", "device"])
def test_a_share_of_a_batch_has_its_own_maps_and_all_labels(map_storage: str) -> None:
    reader, share = Reader(), slice(2, 4)
    batches = list(source(reader, map_storage=map_storage, num_workers=1, share=share).batches(0, 5))
    for step, batch in enumerate(batches):
        videos = draw().videos(step)
        assert batch.maps[:, 0, 0, 0].tolist() == (videos[share] + 100).tolist()
        np.testing.assert_array_equal(batch.labels.numpy(), LABELS[videos])
    assert len(reader.reads) == (5 * 2 if map_storage == "disk" else len(LABELS))


def test_host_memory_saves_reading_and_its_limit_is_kept() -> None:
    def reads(**settings: Any) -> int:
        reader = Reader()
        list(source(reader, num_workers=1, **settings).batches(0, 30))
        return len(reader.reads)

    video = 2 * int(np.prod(SHAPE))
    everything, nothing, some = reads(map_storage="host"), reads(map_storage="disk"), reads(host_bytes=5 * video)
    assert everything == len(LABELS)
    assert nothing == 30 * 6
    assert everything < some < nothing
    assert reads(host_bytes=0) == nothing


@pytest.mark.parametrize("map_storage", ["host", "disk", "device"])
def test_a_step_draws_a_view_of_each_of_its_videos_and_the_same_wherever_it_begins(map_storage: str) -> None:
    whole = list(source(Reader(2), map_storage=map_storage).batches(0, 30))
    seen = set()
    for step, batch in enumerate(whole):
        drawn = batch.maps[:, 0, 0, 0].long().numpy()
        views, rows = np.divmod(drawn, 1000)
        np.testing.assert_array_equal(rows, draw().videos(step) + 100)
        np.testing.assert_array_equal(views, draw().views(step, 2))
        assert (batch.maps == batch.maps[:, :1, :1, :1]).all()
        seen |= set(drawn.tolist())
    assert len(seen) == 2 * len(LABELS)  # every view of every video, in time
    later = list(source(Reader(2), map_storage=map_storage).batches(25, 30))
    for batch, expected in zip(later, whole[25:], strict=True):
        assert torch.equal(batch.maps, expected.maps)


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 3, 3), (5, 1, 1)])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_packed_maps_are_the_dense_ones(shape: tuple[int, ...], share: float) -> None:
    rng = np.random.default_rng(0)
    views = [(rng.normal(size=shape) * (rng.random(shape) < share)).astype(np.float16) for _ in range(6)]
    views[2][:] = 0
    device = torch.device("cpu")
    dense, packed = (form(iter(views), 6, shape, device) for form in (DenseMaps, PackedMaps))
    assert packed.bytes == sum(packed_bytes(maps) + (-maps.size % 8 > 0) for maps in views)
    for numbers in ([3], [5, 0, 2], [1, 1, 4]):
        assert torch.equal(packed.pick(np.array(numbers)), dense.pick(np.array(numbers)))


def test_maps_that_do_not_fit_the_device_are_packed_there() -> None:
    plain = list(source(Reader(2), map_storage="device").batches(0, 5))
    short = source(Reader(2), map_storage="device", device_bytes=1)
    for batch, expected in zip(short.batches(0, 5), plain, strict=True):
        assert torch.equal(batch.maps, expected.maps)
    assert isinstance(short._on_device, PackedMaps)
    assert not short._fits(packed=True) and source(Reader(2))._fits(packed=True)


def test_fewer_views_can_be_drawn_from_and_more_are_refused() -> None:
    only = list(source(Reader(3), views=1).batches(0, 9))
    assert max(float(batch.maps.max()) for batch in only) < 1000
    with pytest.raises(InputError, match=r"--views 4: the cache holds 3 of each video; .*hcl extract --views"):
        source(Reader(3), views=4)


def test_a_reader_that_fails_ends_the_batches() -> None:
    class Broken(Reader):
        def view(self, row: int, view: int, out: NDArray[np.float16] | None = None) -> NDArray[np.float16]:
            if self.reads:
                raise InputError("maps of video 3 are damaged; extract again")
            return super().view(row, view, out)

    with pytest.raises(InputError, match="extract again"):
        list(source(Broken()).batches(0, 3))


def test_threads_end_with_the_batches_even_when_left_early() -> None:
    before = threading.active_count()
    batches = source(Reader(), num_workers=3).batches(0, 50)
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_memory_limit_is_a_share_of_a_real_machine() -> None:
    assert 2**20 < memory_limit() < 2**50
