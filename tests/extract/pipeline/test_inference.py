"""Frames become maps in order, whatever the batch size."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from hcl.extract.backbones.backbone import load_backbone
from hcl.extract.config import ExtractConfig
from hcl.extract.decoding.source import Source
from hcl.extract.decoding.worker import Decoded, Failed
from hcl.extract.pipeline.inference import map_videos
from hcl.extract.pipeline.preparation import choose_backbone


@pytest.mark.parametrize("inputs", [1, 2])
def test_maps_come_in_order_whatever_the_batch_size(config: ExtractConfig, inputs: int) -> None:
    backbone = choose_backbone(config)
    rng = np.random.default_rng(0)
    items: list[Decoded | Failed] = []
    for row in range(5):
        images = rng.integers(0, 255, (1 + row % 2, 3, inputs, 64, 64, 3), dtype=np.uint8)
        source = Source(f"hash {row}", row, 9)
        items.append(Decoded(row, images, 30, "pyav", source) if row != 2 else Failed(row, "broken", source))
    for batch in (1, 4, 64):
        found = list(map_videos(items, backbone, batch))
        assert [record.row for record in found] == [0, 1, 2, 3, 4] and found[2].reason == "broken"
        assert [record.source.content for record in found] == [f"hash {row}" for row in range(5)]
        for item, record in zip(items, found, strict=True):
            if isinstance(item, Decoded) and record.maps is not None:
                views = [record.maps, *(record.views if record.views is not None else ())]
                expected = [  # each image alone; the channels of a frame's images side by side
                    [
                        np.concatenate([backbone(torch.from_numpy(image[None])).numpy()[0] for image in frame], axis=1)
                        for frame in view
                    ]
                    for view in item.images
                ]
                np.testing.assert_allclose(np.stack(views), np.stack(expected), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("inputs", [1, 2])
def test_clips_are_mapped_as_wholes_view_by_view(tmp_path: Path, inputs: int) -> None:
    """Frames and difference images are clips of their own; the channels of a time step stand side by side."""
    sizes = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.VideoMAEConfig(**sizes, image_size=32, patch_size=16, num_frames=4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.VideoMAEModel(config).save_pretrained(tmp_path / "model")
    cpu = torch.device("cpu")
    backbone = load_backbone(str(tmp_path / "model"), size=32, frames=4, precision="float32", device=cpu)
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, 255, (1 + row % 2, 4, inputs, 32, 32, 3), dtype=np.uint8) for row in range(3)]
    for batch in (1, 64):
        found = list(map_videos([Decoded(row, images, 9, "pyav") for row, images in enumerate(drawn)], backbone, batch))
        assert [record.row for record in found] == [0, 1, 2]
        for images, record in zip(drawn, found, strict=True):
            assert record.maps is not None and record.maps.shape == (2, 4, 12 * inputs) and record.embedding is None
            for view, maps in enumerate([record.maps, *(record.views if record.views is not None else ())]):
                alone = [backbone(torch.from_numpy(images[view, :, one])[None]).numpy()[0] for one in range(inputs)]
                np.testing.assert_allclose(maps, np.concatenate(alone, axis=-1), rtol=2e-2, atol=2e-2)
