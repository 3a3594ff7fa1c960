"""What a training step sees: parts of the maps, in their places, and all of them otherwise."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from hcl.extract.system.errors import InputError
from hcl.train.config import TrainConfig
from hcl.train.encoders.trunk import Augmentation, normalised, random_places
from hcl.train.encoders.video_encoder import VideoEncoder

Perturb = Callable[[VideoEncoder], VideoEncoder]
both_starts = pytest.mark.parametrize("start", ["maps", "random"])
MAPS = torch.randn(5, 3, 8, 40, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("share", "kept"), [(0.5, 4), (0.01, 1), (0.9, 7), (1.0, 8)])
def test_patches_are_drawn_without_repetition(share: float, kept: int) -> None:
    places = random_places(150, 8, share, torch.device("cpu"))
    assert places.shape == (150, kept)
    assert all(len(set(row)) == kept for row in places.tolist())
    assert set(places.flatten().tolist()) == set(range(8))


def test_kept_patches_are_those_at_their_places() -> None:
    maps, places = Augmentation(patch_keep_rate=0.5, channel_dropout=0.0)(MAPS)
    assert places is not None and maps.shape == (5, 3, 4, 40)
    for video, frame, patch in np.ndindex(5, 3, 4):
        torch.testing.assert_close(maps[video, frame, patch], MAPS[video, frame, places[video, patch]])


def test_channels_are_dropped_of_a_whole_video_and_the_mean_stays() -> None:
    maps, places = Augmentation(patch_keep_rate=1.0, channel_dropout=0.25)(torch.ones(200, 3, 8, 40))
    assert places is None and (maps == maps[:, :1, :1]).all()
    assert maps.unique().tolist() == pytest.approx([0, 4 / 3])
    assert maps.mean().item() == pytest.approx(1, abs=0.05)


def test_the_images_of_a_frame_are_normalised_each_for_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    frame, difference = torch.randn(2, 3, 4, 5, generator=generator), 7 * torch.rand(2, 3, 4, 5, generator=generator)
    found = normalised(torch.cat((frame, difference), dim=-1), inputs=2)
    for half, image in ((found[..., :5], frame), (found[..., 5:], difference)):
        centred = image - image.mean(dim=-1, keepdim=True)
        expected = centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()
        torch.testing.assert_close(half, expected)
        torch.testing.assert_close(normalised(image, inputs=1), expected)


def test_nothing_happens_outside_training() -> None:
    augmentation = Augmentation(patch_keep_rate=0.5, channel_dropout=0.5).eval()
    maps, places = augmentation(MAPS)
    assert maps is MAPS and places is None


@both_starts
def test_an_encoder_gives_a_kept_patch_its_own_position(start: str, perturb: Perturb) -> None:
    config = TrainConfig(dim=16, heads=2, depth=0, dropout=0.0, patch_keep_rate=0.5, start=start)
    encoder = perturb(VideoEncoder(config, channels=40, frames=3, patches=8, classes=2))
    whole = encoder.eval()(MAPS).patches
    torch.manual_seed(3)
    some = encoder.train()(MAPS).patches
    torch.manual_seed(3)
    _, places = encoder.augment(MAPS)
    assert some.shape == (5, 3, 4, 16)
    torch.testing.assert_close(some, whole.gather(2, places[:, None, :, None].expand(-1, 3, -1, 16)))


@both_starts
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("dim", [16, 48])
def test_motion_is_the_projected_difference_from_the_mean_over_frames(
    dim: int, normalise: bool, start: str, perturb: Perturb, fit_geometry: Callable[[VideoEncoder, Tensor], None]
) -> None:
    """What an encoder that starts at the maps projects are rotated ones, the first D axes of which are added."""
    config = TrainConfig(dim=dim, heads=2, depth=0, dropout=0.0, motion=True, normalise_maps=normalise, start=start)
    encoder = perturb(VideoEncoder(config, channels=40, frames=3, patches=8, classes=2)).eval()
    fit_geometry(encoder, MAPS)
    maps, added = MAPS, torch.zeros(())
    if normalise:
        maps = (MAPS - MAPS.mean(dim=-1, keepdim=True)) / (MAPS.var(dim=-1, correction=0, keepdim=True) + 1e-5).sqrt()
    if encoder.geometry is not None and encoder.gain is not None:
        maps = (maps - encoder.geometry.mean) @ encoder.geometry.axes
        added = torch.cat((maps, torch.zeros(5, 3, 8, 40)), dim=-1)[..., :dim]
        added = added * (1 + 100 * encoder.gain).clamp(min=0)  # gains below 0 turn an axis off
    assert encoder.motion_projection is not None
    change = (maps - maps.mean(dim=1, keepdim=True)) @ encoder.motion_projection.weight.T
    plain = maps @ encoder.projection.weight.T + encoder.projection.bias + added
    expected = encoder.norm(plain + change + encoder.frame_position + encoder.patch_position)
    torch.testing.assert_close(encoder(MAPS).patches, expected, rtol=1e-4, atol=1e-5)


@both_starts
def test_a_still_video_has_no_motion(start: str, perturb: Perturb) -> None:
    config = TrainConfig(dim=16, heads=2, depth=0, dropout=0.0, motion=True, start=start)
    encoder = perturb(VideoEncoder(config, channels=40, frames=3, patches=8, classes=2)).eval()
    still = MAPS[:, :1].expand(-1, 3, -1, -1)
    before = encoder(still).patches
    torch.nn.init.zeros_(encoder.motion_projection.weight)
    torch.testing.assert_close(encoder(still).patches, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch_keep_rate": 0.0}, "--patch-keep-rate must be above 0 and at most 1"),
        ({"patch_keep_rate": 1.5}, "--patch-keep-rate must be above 0 and at most 1"),
        ({"channel_dropout": 1.0}, "--channel-dropout must be at least 0 and below 1"),
        ({"channel_dropout": -0.1}, "--channel-dropout must be at least 0 and below 1"),
        ({"label_smoothing": 1.0}, "--label-smoothing must be at least 0 and below 1"),
    ],
)
def test_impossible_shares_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainConfig(**settings)  # type: ignore[arg-type]
