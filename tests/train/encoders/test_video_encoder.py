"""What the encoder's embeddings are, and what they depend on."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor

from hcl.extract.system.errors import InputError
from hcl.train.config import TrainConfig
from hcl.train.encoders.untrained import ordered_frames
from hcl.train.encoders.video_encoder import VideoEncoder, all_clips

Perturb = Callable[[VideoEncoder], VideoEncoder]
both_starts = pytest.mark.parametrize("start", ["maps", "random"])
FRAMES, PATCHES, CHANNELS, CLASSES, TEXT = 4, 6, 10, 3, 5


def encoder(**settings: Any) -> VideoEncoder:
    config = TrainConfig(**{"dim": 8, "heads": 2, "mlp_dim": 16, "dropout": 0.0, **settings})
    return VideoEncoder(
        config, channels=CHANNELS, frames=FRAMES, patches=PATCHES, classes=CLASSES, text_width=TEXT
    ).eval()


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@both_starts
@pytest.mark.parametrize("sizes", [(1,), (2,), (3, 2), (2, 4)])
def test_shapes_and_the_means_on_the_way_up(sizes: tuple[int, ...], start: str) -> None:
    model = encoder(clip_sizes=sizes, depth=2, start=start)
    embeddings = model(random(0, 5, FRAMES, PATCHES, CHANNELS).half(), random(1, 5, TEXT))
    clips = [clip for size in sizes for clip in combinations(range(FRAMES), size)]
    assert embeddings.clip_frames == tuple(clips)
    assert embeddings.clips.shape == (5, len(clips), 8)
    assert embeddings.patches.shape == (5, FRAMES, PATCHES, 8)
    assert embeddings.class_keys is not None and embeddings.class_keys.shape == (5, 8)
    assert embeddings.patches.dtype == embeddings.clips.dtype == torch.float32
    torch.testing.assert_close(embeddings.global_, embeddings.patches.mean(dim=(1, 2)))
    assert model.logits(embeddings.global_).shape == (5, CLASSES)


@both_starts
def test_a_clip_is_its_mlp_on_its_frames_in_order(start: str, perturb: Perturb) -> None:
    """What starts at the maps adds that to the ordered sum of the frames."""
    model = perturb(encoder(clip_sizes=(2, 3), start=start))
    embeddings = model(random(2, 2, FRAMES, PATCHES, CHANNELS))
    for video in range(2):
        frames = embeddings.patches[video].mean(dim=1)
        for index, clip in enumerate(embeddings.clip_frames):
            of_clip = [frames[frame] for frame in clip]
            expected = model.clip_mlps[str(len(clip))](torch.cat(of_clip))
            if start == "maps":
                expected = expected + ordered_frames(torch.stack(of_clip))
            torch.testing.assert_close(embeddings.clips[video, index], expected)


@both_starts
def test_the_order_of_frames_within_a_clip_matters(start: str) -> None:
    frames = random(3, 1, FRAMES, 8)
    model = encoder(start=start)
    forwards, backwards = model._clips(frames), model._clips(frames.flip(1))
    first, last = model.clip_frames.index((0, 1)), model.clip_frames.index((2, 3))
    assert (forwards[0, first] - backwards[0, last]).abs().max() > 1e-3


@both_starts
def test_positions_tell_frames_and_patches_apart(start: str, perturb: Perturb) -> None:
    """Without them a transformer followed by a mean does not see an order; with them it does."""
    model, maps = perturb(encoder(start=start)), random(4, 2, FRAMES, PATCHES, CHANNELS)
    for position in (model.frame_position, model.patch_position):
        torch.nn.init.normal_(position, generator=torch.Generator().manual_seed(5))
    turned = (maps.flip(1), maps.flip(2))
    assert all((model(maps).global_ - model(other).global_).abs().max() > 1e-3 for other in turned)
    torch.nn.init.zeros_(model.frame_position)
    torch.nn.init.zeros_(model.patch_position)
    for other in turned:
        torch.testing.assert_close(model(other).global_, model(maps).global_)


@both_starts
def test_videos_of_a_batch_do_not_see_each_other(start: str, perturb: Perturb) -> None:
    model, maps = perturb(encoder(start=start)), random(6, 3, FRAMES, PATCHES, CHANNELS)
    torch.testing.assert_close(model(maps).clips[1], model(maps[1:2]).clips[0])


def test_class_keys_are_the_projected_texts() -> None:
    model, text = encoder(), random(7, 4, TEXT)
    assert model.class_projection is not None
    torch.testing.assert_close(model.class_keys(text), text @ model.class_projection.weight.T)
    assert model(random(8, 1, FRAMES, PATCHES, CHANNELS)).class_keys is None


@both_starts
def test_first_weights_follow_from_the_seed_and_leave_the_generator_alone(start: str) -> None:
    state = torch.random.get_rng_state()
    first, again, other = (encoder(seed=seed, start=start) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.blocks[0].feedforward_in.weight, other.blocks[0].feedforward_in.weight)
    assert torch.equal(first.projection.weight, other.projection.weight) == (start == "maps")  # 0 at first
    assert torch.equal(state, torch.random.get_rng_state())


@both_starts
def test_autocast_changes_only_the_rounding(start: str, perturb: Perturb) -> None:
    model, maps = perturb(encoder(start=start)), random(9, 2, FRAMES, PATCHES, CHANNELS).half()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(maps)
    assert rounded.clips.dtype == rounded.patches.dtype == torch.float32
    torch.testing.assert_close(rounded.global_, model(maps).global_, rtol=0.05, atol=0.05)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="the cache has 4; lower --clip-sizes"):
        all_clips(4, (2, 5))
    with pytest.raises(ValueError, match="maps.shape"):
        encoder()(random(10, 2, FRAMES + 1, PATCHES, CHANNELS))
    config = TrainConfig(dim=8)
    without = VideoEncoder(config, channels=CHANNELS, frames=FRAMES, patches=PATCHES, classes=2)
    with pytest.raises(ValueError, match="without text_width"):
        without.class_keys(random(11, 1, TEXT))


def test_the_keys_of_classes_unlike_the_base_classes_are_short() -> None:
    model, base = encoder(), random(30, CLASSES, TEXT) + 2
    novel = torch.cat((base[:1], 2 * base[1:2] - base.mean(dim=0), random(31, 6, TEXT) + 2))
    with torch.no_grad():
        plain = model.class_keys(novel)
        torch.testing.assert_close(plain, novel @ model.class_projection.weight.T)  # type: ignore[union-attr]
        model.remember_texts(base)
        gated, trained = model.class_keys(novel), model.train().class_keys(novel)
    torch.testing.assert_close(trained, plain)  # what is trained on are base classes
    mean = base.mean(dim=0)
    for text, key, found in zip(novel, plain, gated, strict=True):
        cosines = [float(torch.cosine_similarity(text - mean, of_base - mean, dim=0)) for of_base in base]
        torch.testing.assert_close(found, max(0.0, *cosines) ** 3 * key)
    torch.testing.assert_close(gated[:2], plain[:2])  # a base class, and one in its direction from the mean
    with torch.no_grad():
        ungated = encoder(attention_gate="none")
        ungated.remember_texts(base)
        torch.testing.assert_close(ungated.class_keys(novel), plain)
