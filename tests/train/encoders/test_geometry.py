"""What is known of base maps in closed form, against loops and laws, and that an encoder begins as the maps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hcl.match.config import KNOWN_LEVELS
from hcl.match.scoring.cosines import l2_normalise
from hcl.match.scoring.scores import match
from hcl.train.config import TrainConfig
from hcl.train.data.batches import Batch
from hcl.train.encoders.geometry import BaseVideo, Geometry, change_of, motion_of, power_mean
from hcl.train.encoders.untrained import untrained_embeddings
from hcl.train.encoders.video_encoder import VideoEncoder
from hcl.train.encoders.whitening import MOST_DIRECTIONS, SHRINKAGE, WithinClass, choose_shrinkage
from hcl.train.fitting.step import Stepper

FRAMES, PATCHES, CHANNELS = 3, 4, 10
FitGeometry = Callable[[VideoEncoder, Tensor], None]


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def fitted(videos: list[BaseVideo], width: int = 16, inputs: int = 1) -> Geometry:
    _, frames, _, channels = videos[0].maps.shape
    geometry = Geometry(channels=channels, frames=frames, width=width, inputs=inputs)
    geometry.fit(videos)
    return geometry


def some_videos(views: int = 1, *, channels: int = CHANNELS, classes: int = 4) -> list[BaseVideo]:
    """Maps that are far from the origin, and vary more in some channels than in others."""
    maps = random(3, 14, views, FRAMES, PATCHES, channels) * torch.linspace(0.5, 2, channels)
    maps = maps + random(4, 14, 1, 1, 1, channels) + 5 * random(5, channels)
    return [BaseVideo(video, place % classes) for place, video in enumerate(maps)]


@pytest.mark.parametrize("width", [4, 16])
def test_rotated_base_patches_are_centred_uncorrelated_and_of_length_d(width: int) -> None:
    videos = some_videos()
    patches = torch.cat([fitted(videos, width).rotate(maps).flatten(0, 2) for maps, *_ in videos]).double()
    torch.testing.assert_close(patches.mean(dim=0), torch.zeros(CHANNELS).double(), rtol=0, atol=1e-4)
    covariance = patches.T @ patches / len(patches)
    variances = covariance.diagonal()
    torch.testing.assert_close(covariance, variances.diag(), rtol=0, atol=1e-3 * width)
    assert (variances.diff() <= 0).all() and variances.sum().item() == pytest.approx(width, rel=1e-3)


def power_mean_by_loops(patches: Tensor) -> Tensor:
    """(P, C) to (C,): of what is above 0, less that of what is below."""
    found = []
    for channel in patches.double().T.tolist():
        above = sum(value**3 for value in channel if value > 0) / len(channel)
        below = sum(-(value**3) for value in channel if value < 0) / len(channel)
        found.append(above ** (1 / 3) - below ** (1 / 3))
    return torch.tensor(found)


def test_the_power_mean_is_that_of_a_loop_and_lies_between_mean_and_maximum() -> None:
    maps = random(3, 2, FRAMES, PATCHES, CHANNELS)
    expected = torch.stack([torch.stack([power_mean_by_loops(frame) for frame in video]) for video in maps])
    torch.testing.assert_close(power_mean(maps), expected)
    assert power_mean(maps.half()).dtype == torch.float32
    torch.testing.assert_close(power_mean(-2 * maps), -2 * power_mean(maps))
    torch.testing.assert_close(power_mean(torch.full((1, PATCHES, 1), -3.0)), torch.full((1, 1), -3.0))
    positive = maps.abs()
    found, means = power_mean(positive), positive.mean(dim=-2)  # such maps take a shorter way
    torch.testing.assert_close(found[0, 0], power_mean_by_loops(positive[0, 0]))
    assert (found > means).all() and (found < positive.amax(dim=-2)).all()


def spread_by_loops(frames: Tensor) -> Tensor:
    """(T, C) to (C,): the root of the mean squared distance of a channel from its mean."""
    found = []
    for channel in frames.double().T.tolist():
        mean = sum(channel) / len(channel)
        found.append((sum((value - mean) ** 2 for value in channel) / len(channel)) ** 0.5)
    return torch.tensor(found)


def test_change_is_a_spread_that_knows_no_order() -> None:
    frames = random(8, 2, 5, CHANNELS)
    torch.testing.assert_close(change_of(frames), torch.stack([spread_by_loops(video) for video in frames]))
    torch.testing.assert_close(change_of(frames[:, [3, 0, 4, 1, 2]] + 7), change_of(frames))
    torch.testing.assert_close(change_of(-2 * frames), 2 * change_of(frames))
    assert not change_of(frames[:, :1]).any()


@pytest.mark.parametrize("views", [1, 3])
def test_vectors_are_those_of_a_loop(views: int) -> None:
    """Base videos are described by the means of their views, and centred by those of their canonical one."""
    videos = some_videos(views)
    geometry = Geometry(channels=CHANNELS, frames=FRAMES, width=16)
    shrinkage = geometry.fit(videos)
    pooled = [
        torch.stack(
            [torch.stack([power_mean_by_loops(view[frame]) for view in maps]).mean(dim=0) for frame in range(FRAMES)]
        )
        for maps, *_ in videos
    ]
    centre = torch.stack([power_mean_by_loops(frame) for maps, *_ in videos for frame in maps[0]]).mean(dim=0)
    frames_of = [(frames - centre) @ geometry.axes[0] for frames in pooled]
    labels = torch.tensor([label for _, label, _ in videos])
    means = torch.stack([frames.mean(dim=0) for frames in frames_of])
    motions = torch.stack([torch.cat([frame - frames.mean(dim=0) for frame in frames]) for frames in frames_of])
    torch.testing.assert_close(motion_of(torch.stack(frames_of)), motions)
    lengths = [float(((mean - means.mean(dim=0)) ** 2).sum()) for mean in means]
    of_views = [
        torch.stack([spread_by_loops(torch.stack([power_mean_by_loops(frame) for frame in view])) for view in maps])
        for maps, *_ in videos
    ]
    changes = torch.stack([each.mean(dim=0) for each in of_views])
    assert shrinkage == choose_shrinkage([means, changes], labels, [""] * len(videos)) != SHRINKAGE
    asked = random(6, 2, FRAMES, PATCHES, CHANNELS)
    found = geometry.vectors(asked.half())
    assert {name for name in KNOWN_LEVELS if "difference" not in name} == set(found)
    for place, maps in enumerate(asked.half().float()):
        frames = torch.stack([power_mean_by_loops(patches) for patches in maps])
        change = spread_by_loops(frames)
        frames = (frames - centre) @ geometry.axes[0]
        mean, motion = frames.mean(dim=0), torch.cat([frame - frames.mean(dim=0) for frame in frames])
        torch.testing.assert_close(found["untrained"][place], mean / np.mean(lengths) ** 0.5, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found["untrained_motion"][place], motion, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found["untrained_change"][place], change - changes.mean(dim=0), rtol=1e-4, atol=1e-4)
        for name, vector, whitening in (
            ("appearance", mean, WithinClass.of(means, labels).whitening(shrinkage)),
            ("motion", motion - motions.mean(dim=0), WithinClass.of(motions, labels).whitening()),
            ("change", change - changes.mean(dim=0), WithinClass.of(changes, labels).whitening(shrinkage)),
        ):
            length = whitening.shape[1]
            torch.testing.assert_close(
                found[name][place][:length].square().sum(),
                (vector.double() @ whitening).square().sum().float(),
                rtol=1e-3,
                atol=1e-3,
            )
            assert found[name].shape == (2, MOST_DIRECTIONS) and not found[name][:, length:].any()


@pytest.mark.parametrize("views", [1, 3])
def test_differences_have_a_geometry_of_their_own(views: int) -> None:
    """What is known of the frames is as without differences; what is known of these, as if they were the frames.

    Whitened vectors are compared by their inner products: directions that do not vary within a class stand as the
    processor's library has them.
    """
    frames = some_videos(views, classes=3)  # too few to choose the shrinkage, which is one for both
    differences = [video._replace(maps=video.maps.square() - 3) for video in frames]
    both = [
        video._replace(maps=torch.cat((video.maps, other.maps), dim=3))
        for video, other in zip(frames, differences, strict=True)
    ]
    geometry, of_frames, of_differences = fitted(both, inputs=2), fitted(frames, 8), fitted(differences, 8)
    asked = random(6, 20, FRAMES, PATCHES, 2 * CHANNELS)
    found, first = geometry.vectors(asked), of_frames.vectors(asked[..., :CHANNELS])
    second = of_differences.vectors(asked[..., CHANNELS:])
    assert set(found) == set(KNOWN_LEVELS)
    expected = first | {
        "difference": second["appearance"],
        "difference_motion": second["motion"],
        "difference_change": second["change"],
        "untrained_difference": second["untrained"],
        "untrained_difference_motion": second["untrained_motion"],
        "untrained_difference_change": second["untrained_change"],
    }
    for name, vectors in expected.items():
        pair = (found[name], vectors)
        compared = pair if "untrained" in name else [each @ each.T for each in pair]
        torch.testing.assert_close(*compared, rtol=1e-3, atol=1e-3)
    rotated = geometry.rotate(asked)
    assert rotated.shape[-1] == geometry.axis_count == 2 * CHANNELS
    torch.testing.assert_close(rotated[..., ::2], of_frames.rotate(asked[..., :CHANNELS]), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(rotated[..., 1::2], of_differences.rotate(asked[..., CHANNELS:]), rtol=1e-3, atol=1e-3)


def test_patches_that_are_many_are_thinned_out() -> None:
    """The axes of a few patches of each video are near those of all."""
    maps = random(7, 20, 1, 4, 60, 6) * torch.linspace(1, 4, 6)
    geometry = fitted([BaseVideo(video, place % 3) for place, video in enumerate(maps)])
    patches = geometry.rotate(maps).flatten(0, 3)
    assert patches.square().sum(dim=1).mean().item() == pytest.approx(16, rel=0.1)


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("kind", ["alike", "one video", "zero"])
def test_without_variance_nothing_is_nan(kind: str, frames: int) -> None:
    maps = {"alike": random(8, 1, 1, 1, 6).expand(5, frames, 4, 6), "zero": torch.zeros(5, frames, 4, 6)}
    given = maps.get(kind, random(9, 1, frames, 4, 6))
    geometry = fitted([BaseVideo(video[None], place % 2) for place, video in enumerate(given)])
    for values in (*geometry.buffers(), *geometry.vectors(given).values(), *geometry.vectors(given + 1).values()):
        assert values.isfinite().all()


def encoder(**settings: Any) -> VideoEncoder:
    at_maps = {"start": "maps", "normalise_maps": False, "precision": "float32"}
    config = TrainConfig(**{"dim": 16, "heads": 2, "mlp_dim": 16, "dropout": 0.0, **at_maps, **settings})
    return VideoEncoder(config, channels=CHANNELS, frames=FRAMES, patches=PATCHES, classes=4).eval()


@pytest.mark.parametrize("settings", [{}, {"depth": 0}, {"depth": 2, "motion": False}, {"dim": CHANNELS}])
def test_an_encoder_that_learned_nothing_scores_as_the_maps_do(
    settings: dict[str, Any], fit_geometry: FitGeometry
) -> None:
    """Clips, and what they select, have signs by axis: those of the turned maps. All else is as of the raw ones."""
    model, maps = encoder(**settings), torch.cat([maps for maps, *_ in some_videos()])
    fit_geometry(model, maps)
    assert model.geometry is not None
    tops = {"top_clips": 2, "top_patches": 3}
    with torch.no_grad():
        embedded, rotated = model(maps), model.geometry.rotate(maps)
    rotated = torch.nn.functional.pad(rotated, (0, embedded.global_.shape[1] - CHANNELS))
    raw = untrained_embeddings(maps, maps.mean(dim=(0, 1, 2)))
    found, turned, plain = (match(of, of, **tops) for of in (embedded, untrained_embeddings(rotated), raw))
    for level in ("global_", "temporal", "spatial"):
        torch.testing.assert_close(getattr(found, level), getattr(turned, level), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.global_, plain.global_, rtol=1e-3, atol=1e-4)
    patches, raw_patches = (l2_normalise(of.patches.flatten(0, 2)) for of in (embedded, raw))
    torch.testing.assert_close(patches @ patches.T, raw_patches @ raw_patches.T, rtol=1e-3, atol=1e-4)
    assert (found.temporal - plain.temporal).abs().max() > 1e-3


def test_training_changes_every_level(fit_geometry: FitGeometry) -> None:
    model, maps = encoder(), torch.cat([maps for maps, *_ in some_videos()])[:12]
    fit_geometry(model, maps)
    config = TrainConfig(dim=16, heads=2, top_clips=2, top_patches=3, learning_rate=0.01, precision="float32")
    before = match(model(maps), model(maps), top_clips=2, top_patches=3)
    known = model.known(maps)
    stepper = Stepper(model.train(), config, None)
    for step in range(3):
        stepper.step(step, Batch(maps, torch.arange(4).repeat_interleave(3), 0.0))
    with torch.no_grad():
        embedded = model.eval()(maps)
    after = match(embedded, embedded, top_clips=2, top_patches=3)
    for level in ("global_", "temporal", "spatial"):
        assert (getattr(before, level) - getattr(after, level)).abs().max() > 1e-3, level
    torch.testing.assert_close(model.known(maps), known, rtol=0, atol=0)  # what is known does not learn
