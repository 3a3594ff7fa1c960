"""Embeddings straight from maps."""

from collections.abc import Callable

import pytest
import torch

from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.train.encoders.untrained import Untrained, untrained_embeddings
from hcl.train.runs.running import TrainedRun

MakeCache = Callable[..., ZarrCache]
Train = Callable[..., TrainedRun]


def test_untrained_clips_know_the_order_of_frames() -> None:
    maps = torch.rand(1, 2, 3, 2048, generator=torch.Generator().manual_seed(0))
    forward, backward = untrained_embeddings(maps).clips[0, 0], untrained_embeddings(maps.flip(1)).clips[0, 0]
    frames = maps.mean(dim=2)[0]
    same = (frames * frames).sum()
    swapped = (frames[0] * frames[1]).sum() * 2
    assert float(forward @ forward / same) == pytest.approx(1, abs=0.1)
    assert float(forward @ backward / swapped) == pytest.approx(1, abs=0.1)


def test_a_video_of_one_frame_can_be_embedded_untrained() -> None:
    found = untrained_embeddings(torch.rand(2, 1, 3, 8))
    assert found.clip_frames == ((0,),) and found.clips.shape == (2, 1, 8)


@pytest.mark.parametrize("is_centred", [False, True])
def test_what_moves_is_known_as_what_is_seen(is_centred: bool) -> None:
    """Of the difference images as if they were the frames of another cache."""
    maps = torch.rand(3, 4, 5, 12, generator=torch.Generator().manual_seed(0))  # six channels an image
    mean = maps.mean(dim=(0, 1, 2))
    means = (mean, mean + 0.1, mean / 5) if is_centred else ()
    found = Untrained(*means, inputs=2).known(maps)
    first, second = (
        Untrained(*(mean[half] for mean in means)).known(maps[..., half]) for half in (slice(6), slice(6, 12))
    )
    pooled = maps.double().pow(3).mean(dim=2).pow(1 / 3)
    seen = pooled.mean(dim=1) - (means[1] if is_centred else 0)
    torch.testing.assert_close(found["untrained"], seen[:, :6].float())
    spread = (pooled.square().mean(dim=1) - pooled.mean(dim=1).square()).sqrt() - (means[2] if is_centred else 0)
    torch.testing.assert_close(found["untrained_change"], spread[:, :6].float())
    frames = maps.mean(dim=2)[..., :6]
    torch.testing.assert_close(found["untrained_motion"], (frames - frames.mean(dim=1, keepdim=True)).flatten(1))
    assert set(first) == set(second) == {"untrained", "untrained_motion", "untrained_change"}
    renamed = {name.replace("untrained", "untrained_difference"): vectors for name, vectors in second.items()}
    assert found.keys() == (first | renamed).keys()
    for name, vectors in (first | renamed).items():
        torch.testing.assert_close(found[name], vectors)
