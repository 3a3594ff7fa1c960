"""The batches of a run are those of its base videos, and all that decides is logged."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.train.config import TrainConfig
from hcl.train.data.map_source import MapSource
from hcl.train.fitting.loop import EpochRecord, Fitted
from hcl.train.runs.fit_run import base_batches, warn_if_behind, warn_if_undecided
from hcl.train.runs.running import TrainedRun

MakeCache = Callable[..., ZarrCache]
Train = Callable[..., TrainedRun]


def test_batches_hold_base_videos_and_their_classes(make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr", views=2)
    seen = cache.with_splits({name: "base" if name in "cdg" else "novel" for name in "abcdefg"})
    training = TrainConfig(class_augmentation="none", classes_per_batch=3, videos_per_class=2, views=1)
    rows = seen.rows("base")
    maps = {cache.maps(int(row)).tobytes(): cache.videos.label[row] for row in rows}
    for batch in base_batches(MapSource(seen), training).batches(0, 4):
        labels = [maps[one.numpy().tobytes()] for one in batch.maps]  # each is the canonical view of a base video
        assert labels == ["cdg"[number] for number in batch.labels]


def test_classes_that_cannot_be_drawn_are_logged(make_cache: MakeCache, here: Path, said: list[str]) -> None:
    cache = make_cache(here / "cache.zarr")
    cache.write([MapRecord(row, None, reason="damaged") for row in (0, 1, 2)])
    base_batches(MapSource(cache), TrainConfig(class_augmentation="none"))
    assert any("fewer than 2 videos: a" in line for line in said)
    assert any(line.startswith("2 classes per batch, not 18: there are only 2 ") for line in said)


@pytest.mark.parametrize(("kept", "warned"), [(50.0, True), (60.0, False), (None, False)])
def test_an_encoder_behind_the_maps_it_began_with_is_named(said: list[str], kept: float | None, warned: bool) -> None:
    epochs = tuple(EpochRecord(number, number, 0.1, {}, kept, number == 2) for number in (1, 2))
    warn_if_behind(Fitted({}, 2, epochs), 60.0)
    assert bool(said) == warned
    assert not warned or "(50.0 % against 60.0 %)" in said[0] and "hcl embed CACHE --untrained" in said[0]


@pytest.mark.parametrize(
    ("values", "warned"), [((90.0, 100.0, 100.0), True), ((90.0, 100.0, 95.0), False), ((None, None), False)]
)
def test_val_classes_that_choose_nothing_are_named(
    said: list[str], values: tuple[float | None, ...], warned: bool
) -> None:
    epochs = tuple(EpochRecord(number, number, 0.1, {}, value, False) for number, value in enumerate(values, start=1))
    warn_if_undecided(Fitted({}, 2, epochs))
    assert bool(said) == warned
    assert not warned or "100 % from epoch 2 on" in said[0] and "--train-on val" in said[0]
