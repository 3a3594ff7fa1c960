"""Classes by their names alone: a CLIP's image and text towers, from videos to a row of an evaluation."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from click.testing import CliRunner
from PIL import Image
from transformers import BertTokenizer

from hcl.cli import main
from hcl.extract.backbones.resnet import MEAN, STD
from hcl.extract.cache.formats import convert, open_cache
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.video.reading import read_frames
from hcl.match.episodes.drawing import Episodes
from hcl.match.evaluation.evaluate import evaluate
from hcl.match.evaluation.known_levels import zero_shot_scores
from hcl.match.store.embedding_store import EmbeddingStore

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] clap jump nod".split()
CLASSES = ("clap", "jump", "nod")
FRAMES = 3


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.output


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP with random weights."""
    folder = tmp_path_factory.mktemp("towers") / "clip"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    text = {**sizes, "vocab_size": len(WORDS), "max_position_embeddings": 12, "eos_token_id": 3}
    vision = {**sizes, "image_size": 32, "patch_size": 8, "initializer_range": 1.0}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=6)
        model = transformers.CLIPModel(config)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, write_video: Any, clip: Path) -> Path:
    """A cache by that CLIP of three videos of three classes."""
    folder = tmp_path_factory.mktemp("zero shot")
    for number, name in enumerate(CLASSES):
        for copy in range(3):
            write_video(folder / "videos" / name / f"{copy}.mp4", seed=10 * number + copy)
    sizes = ("--size", 32, "--frames", FRAMES, "--precision", "float32", "--workers", 1, "--views", 2)
    towers = ("--backbone", clip, "--text-model", clip, "--split-policy", "all-novel")
    run("extract", folder / "videos", folder / "cache.zarr", *sizes, *towers)
    return folder / "cache.zarr"


def own_features(clip: Path, cache: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """What transformers gives: the frames' embeddings (V, T, E) and those of the classes' texts (K, E)."""
    model, tokenizer = transformers.CLIPModel.from_pretrained(clip).eval(), BertTokenizer.from_pretrained(clip)
    videos, images = open_cache(cache).videos, []
    with torch.inference_mode():
        for name in videos.path:
            shown = read_frames(cache.parent / "videos" / name, FRAMES).images
            resized = torch.from_numpy(small(shown)) / 255
            pixels = ((resized - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
            own = model.get_image_features(pixel_values=pixels)
            images.append(getattr(own, "pooler_output", own))
        texts = [model.get_text_features(**tokenizer(name, return_tensors="pt")) for name in CLASSES]
    return torch.stack(images), torch.cat([getattr(own, "pooler_output", own) for own in texts])


def small(images: np.ndarray) -> np.ndarray:
    return np.stack([np.asarray(Image.fromarray(one).resize((32, 32), Image.Resampling.BILINEAR)) for one in images])


def test_frames_are_embedded_as_transformers_does_and_a_store_has_their_mean(clip: Path, cache: Path) -> None:
    images, texts = own_features(clip, cache)
    opened = open_cache(cache)
    found = np.stack([opened.image_embedding(row) for row in range(9)])
    np.testing.assert_allclose(found, images.numpy(), rtol=5e-3, atol=5e-3)
    convert(cache, cache.parent / "cache.h5")
    again = open_cache(cache.parent / "cache.h5")
    assert np.array_equal(again.image_embedding(4), found[4]) and again.layout == opened.layout
    run("embed", cache, "--untrained", "--out", cache.parent / "store.zarr", "--device", "cpu")
    result = evaluate(cache.parent / "store.zarr", way=3, shot=(1, 2), episodes=40)
    np.testing.assert_allclose(
        result.store.arrays(["image_embedding"], np.arange(9))["image_embedding"],
        images.mean(dim=1),
        rtol=1e-2,
        atol=1e-2,
    )
    queries, supports = result.scored.query.reshape(40, 3), result.scored.support[:, :, 0]
    labels = result.store.videos.label
    for outcome in result.outcomes:  # no shot matters
        for episode, (asked, given) in enumerate(zip(queries, supports, strict=True)):
            for place, query in enumerate(asked):
                mean = sum(images[query]) / FRAMES
                cosines = [
                    float(torch.cosine_similarity(mean, texts[CLASSES.index(labels[row])], dim=0)) for row in given
                ]
                assert outcome.predictions["zero_shot"].reshape(40, 3)[episode, place] == int(np.argmax(cosines))


def test_of_one_frame_the_order_of_classes_is_that_of_the_models_logits(
    clip: Path, cache: Path, tmp_path: Path
) -> None:
    run("embed", cache, "--untrained", "--out", tmp_path / "s.zarr", "--device", "cpu")
    store = EmbeddingStore.open(tmp_path / "s.zarr")
    images, texts = own_features(clip, cache)
    scale = transformers.CLIPModel.from_pretrained(clip).logit_scale.exp().item()
    unit = texts / texts.norm(dim=-1, keepdim=True)
    mean = images.mean(dim=1)
    logits = scale * (mean / mean.norm(dim=-1, keepdim=True)) @ unit.T  # CLIPModel.forward, of the mean embedding
    episodes = Episodes(np.array([[[0], [3], [6]]]), np.array([[[1, 2], [4, 5], [7, 8]]]))
    found = zero_shot_scores(store, episodes)
    np.testing.assert_allclose(scale * found[0], logits[[1, 2, 4, 5, 7, 8]].numpy(), rtol=2e-2, atol=2e-2)


def test_the_row_says_that_it_uses_names_and_is_there_only_where_both_towers_are_one_models(
    cache: Path, tmp_path: Path
) -> None:
    run("embed", cache, "--untrained", "--out", tmp_path / "s.zarr", "--device", "cpu")
    printed = run("evaluate", tmp_path / "s.zarr", "--way", 3, "--episodes", 5, "--json", tmp_path / "r.json")
    assert "zero-shot: names of the classes, no supports" in printed
    (told,) = json.loads((tmp_path / "r.json").read_text())["runs"]
    assert "zero_shot" in told and "zero_shot" not in told["levels"]
    other = tmp_path / "other.zarr"
    shutil.copytree(cache, other)
    opened = ZarrCache.open(other, mode="r+")
    opened.set_text_model(np.ones((3, 6), np.float32), {"model": "another", "sha256": "abc"})
    run("embed", other, "--untrained", "--out", tmp_path / "t.zarr", "--device", "cpu")
    assert "zero-shot" not in run("evaluate", tmp_path / "t.zarr", "--way", 3, "--episodes", 5)
