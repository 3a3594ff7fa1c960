"""Maps of samples are those of the backbone, and each picture goes through it once."""

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
import torch

from hcl.classify.spotting import mapping
from hcl.classify.spotting.mapping import map_samples
from hcl.extract.backbones.backbone import Backbone, load_backbone
from hcl.extract.config import ExtractConfig
from hcl.extract.decoding.sampling import Grid, Sample, TimedFrame, sample_stream
from hcl.extract.decoding.worker import Decoded


@pytest.fixture(scope="module")
def backbone(small_config: ExtractConfig) -> Backbone:
    return load_backbone("resnet18", small_config.weights, size=64, precision="float32", device=torch.device("cpu"))


def pictures(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 255, (count, 64, 64, 3), dtype=np.uint8))


def samples(images: list[np.ndarray], rate: float, grids: list[Grid], *, motion: bool) -> list[Sample]:
    frames = (TimedFrame(k, k / rate, lambda image=image: image) for k, image in enumerate(images))
    messages = sample_stream(frames, grids, motion=motion, is_brightened=False, last=lambda: 1 / rate)
    return [message for message in messages if isinstance(message, Sample)]


@pytest.mark.parametrize("motion", [True, False])
@pytest.mark.parametrize("rate", [2.0, 10.0])
def test_maps_are_those_of_each_picture_and_none_is_mapped_twice(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch, motion: bool, rate: float
) -> None:
    mapped: list[np.ndarray] = []
    whole = mapping.map_videos

    def counting(decoded: Iterable[Decoded], *rest: object) -> Iterator[object]:
        def counted() -> Iterator[Decoded]:
            for each in decoded:
                mapped.append(each.images[0, 0, 0])
                yield each

        return whole(counted(), *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(mapping, "map_videos", counting)
    given = samples(pictures(12), rate, [Grid(1.0, 4), Grid(2.0, 4)], motion=motion)
    found = list(map_samples(iter(given), backbone, 8))
    assert [(each.grid, each.number) for each in found] == [(each.grid, each.number) for each in given]
    assert len({image.tobytes() for image in mapped}) == len(mapped)
    assert rate > 2 or len(mapped) < sum(len(each.images) for each in given)  # a slow stream shows frames again
    for each, sample in list(zip(found, given, strict=True))[:: max(1, len(given) // 5)]:
        alone = backbone(torch.from_numpy(np.ascontiguousarray(sample.images))).numpy()  # (I, P, C)
        np.testing.assert_allclose(each.maps, np.concatenate(list(alone), axis=-1), rtol=1e-2, atol=1e-2)


def test_maps_of_no_more_use_are_forgotten(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "RECENT", 4)
    kept, held = mapping._Pictures.finished, []

    def watched(self: mapping._Pictures) -> Iterator[object]:
        yield from kept(self)
        held.append(len(self.maps))

    monkeypatch.setattr(mapping._Pictures, "finished", watched)
    given = samples(pictures(60), 10.0, [Grid(1.0, 8)], motion=True)
    assert len(list(map_samples(iter(given), backbone, 4))) == len(given)
    assert 0 < max(held) < 40 < len(held)
