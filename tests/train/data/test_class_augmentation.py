"""Videos are mirrored and reversed rightly, are classes of their own, and stay in training."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE
from hcl.train.data.batches import BatchPrefetcher
from hcl.train.data.class_augmentation import (
    AS_IS,
    BOTH,
    MIRRORED,
    NO_AUGMENTATION,
    REVERSED,
    VERSIONS,
    ClassAugmentation,
    VideoTransform,
    class_versions,
)
from hcl.train.data.device_storage import NumberedViews
from hcl.train.data.map_source import MapSource
from hcl.train.data.map_storage import choose_storage
from hcl.train.data.sampler import ClassBalancedSampler
from hcl.train.runs.fit_run import base_texts
from hcl.train.runs.run_folder import CONFIG, load_encoder, read_config
from hcl.train.runs.running import train

GRID = (2, 3)
IN_ALL_VERSIONS = ClassAugmentation(VERSIONS["both"], GRID)
CPU = torch.device("cpu")
SMALL = {"dim": 16, "heads": 2, "mlp_dim": 16, "epochs": 1, "steps_per_epoch": 2, "val_episodes": 5}


def numbered(videos: int = 2) -> Tensor:
    return torch.arange(videos * 4 * 6 * 5, dtype=torch.float16).view(videos, 4, 6, 5)


def by_loops(maps: Tensor, version: VideoTransform) -> Tensor:
    found = torch.empty_like(maps)
    (rows, columns), frames = GRID, maps.shape[1]
    for frame, row, column in product(range(frames), range(rows), range(columns)):
        from_frame = frames - 1 - frame if version.reversed else frame
        from_column = columns - 1 - column if version.mirrored else column
        found[:, frame, row * columns + column] = maps[:, from_frame, row * columns + from_column]
    return found


@pytest.mark.parametrize("version", VERSIONS["both"])
def test_turning_is_that_of_a_loop_and_undoes_itself(version: VideoTransform) -> None:
    maps = numbered()
    turned = version(maps, GRID)
    assert torch.equal(turned, by_loops(maps, version))
    assert torch.equal(version(turned, GRID), maps)
    assert torch.equal(turned, maps) == (version == AS_IS)


def test_both_ways_are_one_after_the_other_in_either_order() -> None:
    maps = numbered()
    assert torch.equal(BOTH(maps, GRID), MIRRORED(REVERSED(maps, GRID), GRID))
    assert torch.equal(BOTH(maps, GRID), REVERSED(MIRRORED(maps, GRID), GRID))


def test_each_video_of_a_batch_is_turned_in_its_own_way() -> None:
    maps, which = numbered(5), np.array([3, 0, 1, 2, 3])
    found = IN_ALL_VERSIONS.turn(maps.clone(), which)
    for video, number in enumerate(which):
        assert torch.equal(found[video], VERSIONS["both"][number](maps[video : video + 1], GRID)[0])


def test_labels_are_numbered_version_by_version() -> None:
    mirrored = ClassAugmentation(VERSIONS["hflip"], GRID)
    assert mirrored.labels(np.array([0, 2, 1]), 3).tolist() == [0, 2, 1, 3, 5, 4]
    assert mirrored.class_names(("a", "b")) == ("a", "b", "a (hflip)", "b (hflip)")
    assert NO_AUGMENTATION.labels(np.array([0, 2, 1]), 3).tolist() == [0, 2, 1]
    assert [class_versions(3, name) for name in VERSIONS] == [3, 6, 6, 12]


class Reader:
    """Videos that differ in every value."""

    shape = (4, 6, 5)

    def view(self, row: int, view: int, out: NDArray[np.float16] | None = None) -> NDArray[np.float16]:
        maps = numbered(1)[0].numpy() + np.float16(200 * row + 100 * view)
        if out is not None:
            out[:] = maps
        return maps


@pytest.mark.parametrize("map_storage", ["disk", "host", "device"])
def test_batches_hold_the_version_that_the_label_says(map_storage: str) -> None:
    of_videos, versions = np.array([0, 1, 2] * 3, dtype=np.int64), VERSIONS["both"]
    labels = IN_ALL_VERSIONS.labels(of_videos, 3)
    sampler = ClassBalancedSampler(labels, [""] * 12, classes_per_batch=8, videos_per_class=2, seed=0)
    storage = choose_storage(NumberedViews(Reader(), np.arange(9), per_video=2), map_storage, CPU)
    source = BatchPrefetcher(sampler, storage, device=CPU, augmentation=IN_ALL_VERSIONS, share=slice(2, 9))
    seen = set()
    for step, batch in enumerate(source.batches(0, 6)):
        samples = sampler.samples(step)
        assert batch.labels.tolist() == labels[samples].tolist()
        for place, (number, view) in enumerate(zip(samples[2:9], sampler.views(step, 2)[2:9], strict=True)):
            version, row = versions[number // 9], number % 9
            assert labels[number] == of_videos[row] + 3 * (number // 9)
            expected = by_loops(torch.from_numpy(Reader().view(int(row), int(view)))[None], version)[0]
            assert torch.equal(batch.maps[place], expected)
            seen.add(version)
    assert seen == set(versions)


def test_a_run_learns_more_classes_and_embeds_none_of_them(
    make_cache: Callable[..., ZarrCache], tmp_path: Path, said: list[str]
) -> None:
    cache = make_cache(tmp_path / "cache.zarr")
    settings = {**SMALL, "class_augmentation": "both"}
    train(cache.path, run=tmp_path / "run", preset="quick", splits=None, settings=settings, latest=False)
    assert any("3 base classes and 9 mirrored or reversed ones" in line for line in said)
    encoder, config = load_encoder(tmp_path / "run"), read_config(tmp_path / "run")
    assert json.loads((tmp_path / "run" / CONFIG).read_text())["encoder"]["classes"] == 12
    assert encoder.classifier.out_features == 12  # type: ignore[union-attr]
    assert config.base_classes == ("a", "b", "c")
    texts = base_texts(MapSource(cache), config)
    assert texts is not None and texts.shape[0] == 12
    assert torch.equal(texts[:3], texts[9:])
    store = EmbeddingStore.open(tmp_path / "run" / STORE)
    assert set(store.videos.label) == {"d", "e", "f", "g"} and len(store.videos) == 16


def test_names_say_how_a_class_came_about() -> None:
    assert [version.suffix for version in VERSIONS["both"]] == ["", " (hflip)", " (reverse)", " (hflip, reverse)"]
