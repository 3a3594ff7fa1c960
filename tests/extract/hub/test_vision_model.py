"""Vision models of transformers as backbones: the patches of every family, and what cannot serve."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from hcl.extract.backbones.backbone import load_backbone
from hcl.extract.backbones.resnet import MEAN, STD
from hcl.extract.hub.loading import files_hash
from hcl.extract.hub.vision_model import _normalisation
from hcl.extract.system.errors import InputError

CPU = torch.device("cpu")


def vit(**more: Any) -> Any:
    sizes = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    return sizes | {"image_size": 32, "patch_size": 8} | more


def tiny_models() -> dict[str, tuple[Any, int]]:
    """Each family's smallest model and how many tokens stand before its patches."""
    text = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 9}
    clip = transformers.CLIPConfig(text_config=text, vision_config=vit(), projection_dim=8)
    siglip = transformers.SiglipConfig(text_config=text, vision_config=vit())
    registers = transformers.Dinov2WithRegistersConfig(**vit(num_register_tokens=3))
    dinov3 = transformers.DINOv3ViTConfig(**vit(num_register_tokens=4, num_attention_heads=3))
    return {
        "ViT": (transformers.ViTModel(transformers.ViTConfig(**vit())), 1),
        "DeiT": (transformers.DeiTModel(transformers.DeiTConfig(**vit())), 2),
        "DINOv2": (transformers.Dinov2Model(transformers.Dinov2Config(**vit())), 1),
        "DINOv2 with registers": (transformers.Dinov2WithRegistersModel(registers), 4),
        "DINOv3": (transformers.DINOv3ViTModel(dinov3), 5),
        "CLIP": (transformers.CLIPModel(clip), 1),
        "CLIP's image tower": (transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**vit())), 1),
        "SigLIP": (transformers.SiglipModel(siglip), 0),
    }


@pytest.mark.parametrize("size", [32, 48])
@pytest.mark.parametrize("family", tiny_models())
def test_patch_tokens_of_every_family(
    frames: Callable[..., Tensor], lively: Callable[..., Any], family: str, size: int, tmp_path: Path
) -> None:
    model, before = tiny_models()[family]
    lively(model).save_pretrained(tmp_path / "model")
    mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
    (tmp_path / "model" / "preprocessor_config.json").write_text(json.dumps({"image_mean": mean, "image_std": std}))
    backbone = load_backbone(str(tmp_path / "model"), size=size, precision="float32", device=CPU)
    assert (backbone.identity.grid, backbone.identity.channels) == ((size // 8, size // 8), 12)
    pixels = ((frames(3, size) / 255 - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2)
    tower = getattr(model, "vision_model", model)
    resized = {} if size == 32 or "DINO" in family else {"interpolate_pos_encoding": True}
    with torch.inference_mode():
        expected = tower(pixel_values=pixels, **resized).last_hidden_state[:, before:]
    torch.testing.assert_close(backbone(frames(3, size)).float(), expected, rtol=2e-3, atol=2e-3)


def convolutional_model(family: str) -> Any:
    """Two stages, of which the second gives 16 channels and an eighth of the side."""
    if family == "ConvNeXt":
        sizes = {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2}
        return transformers.ConvNextModel(transformers.ConvNextConfig(**sizes))
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    return transformers.ResNetModel(config)


@pytest.mark.parametrize("family", ["ResNet", "ConvNeXt"])
def test_maps_of_a_convolutional_model(
    frames: Callable[..., Tensor], lively: Callable[..., Any], family: str, tmp_path: Path
) -> None:
    model = lively(convolutional_model(family))
    model.save_pretrained(tmp_path / "model")
    backbone = load_backbone(str(tmp_path / "model"), size=48, precision="float32", device=CPU)
    assert (backbone.identity.grid, backbone.identity.channels) == ((6, 6), 16)
    pixels = ((frames(2, 48) / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        maps = model(pixel_values=pixels).last_hidden_state
    expected = torch.stack([maps[:, :, i, j] for i in range(6) for j in range(6)], dim=1)
    torch.testing.assert_close(backbone(frames(2, 48)).float(), expected, rtol=2e-3, atol=2e-3)


def test_maps_that_are_given_as_tokens(
    frames: Callable[..., Tensor], lively: Callable[..., Any], tmp_path: Path
) -> None:
    config = transformers.DINOv3ConvNextConfig(hidden_sizes=[8, 8, 8, 16], depths=[1, 1, 1, 1])
    model = lively(transformers.DINOv3ConvNextModel(config))
    model.save_pretrained(tmp_path / "model")
    backbone = load_backbone(str(tmp_path / "model"), size=96, precision="float32", device=CPU)
    assert (backbone.identity.grid, backbone.identity.channels) == ((3, 3), 16)
    pixels = ((frames(2, 96) / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = model(pixel_values=pixels).last_hidden_state[:, 1:]
    torch.testing.assert_close(backbone(frames(2, 96)).float(), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("size", [32, 48])
@pytest.mark.parametrize("family", ["CLIP", "SigLIP"])
def test_images_are_embedded_as_the_model_does_beside_its_patches(
    frames: Callable[..., Tensor], lively: Callable[..., Any], family: str, size: int, tmp_path: Path
) -> None:
    """By what the model itself compares with texts, of each of more frames than a call takes."""
    model, _ = tiny_models()[family]
    lively(model).save_pretrained(tmp_path / "model")
    backbone = load_backbone(str(tmp_path / "model"), size=size, precision="float32", device=CPU)
    images = frames(11, size)
    maps, embeddings = backbone.map_and_embed(images)
    assert embeddings is not None and backbone.identity.embedding == embeddings.shape[1]
    assert backbone.identity.towers_sha256 == files_hash(tmp_path / "model")
    pixels = ((images / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        own = model.get_image_features(pixel_values=pixels, interpolate_pos_encoding=size != 32)
    torch.testing.assert_close(embeddings.float(), getattr(own, "pooler_output", own), rtol=2e-3, atol=2e-3)
    assert torch.equal(maps, backbone(images)) and not torch.allclose(embeddings[0], embeddings[1])


@pytest.mark.parametrize("family", ["DINOv2", "CLIP's image tower"])
def test_models_without_a_text_tower_embed_no_images(
    frames: Callable[..., Tensor], lively: Callable[..., Any], family: str, tmp_path: Path
) -> None:
    lively(tiny_models()[family][0]).save_pretrained(tmp_path / "model")
    backbone = load_backbone(str(tmp_path / "model"), size=32, precision="float32", device=CPU)
    assert backbone.map_and_embed(frames(1, 32))[1] is None
    assert (backbone.identity.embedding, backbone.identity.towers_sha256) == (0, "")


def tiny_video_model(family: str) -> Any:
    """For clips of 4 frames of 32 pixels, in tubelets of 2 frames and 8 pixels."""
    if family == "VideoMAE":
        return transformers.VideoMAEModel(transformers.VideoMAEConfig(**vit(num_frames=4, use_mean_pooling=False)))
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8}
    predictor = {"pred_hidden_size": 12, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
    config = transformers.VJEPA2Config(**sizes, **predictor, crop_size=32, frames_per_clip=4)
    return transformers.VJEPA2Model(config)


@pytest.mark.parametrize(
    ("family", "count", "size"), [("VideoMAE", 4, 32), ("V-JEPA 2", 4, 32), ("V-JEPA 2", 8, 48), ("V-JEPA 2", 2, 16)]
)
def test_tubelets_are_maps_of_time_steps(
    frames: Callable[..., Tensor], lively: Callable[..., Any], family: str, count: int, size: int, tmp_path: Path
) -> None:
    """The token of step t, row i and column j is the number t h w + i w + j; V-JEPA 2 takes clips of other sizes."""
    model = lively(tiny_video_model(family))
    model.save_pretrained(tmp_path / "model")
    mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
    settings = json.dumps({"image_mean": mean, "image_std": std})
    (tmp_path / "model" / "video_preprocessor_config.json").write_text(settings)
    backbone = load_backbone(str(tmp_path / "model"), size=size, frames=count, precision="float32", device=CPU)
    side, steps = size // 8, count // 2
    assert (backbone.identity.grid, backbone.identity.steps) == ((side, side), steps)
    clips = frames(3 * count, size).reshape(3, count, size, size, 3)
    found = backbone(clips).float()
    if family == "V-JEPA 2":  # as one that was made for clips of this size
        config = transformers.VJEPA2Config.from_pretrained(tmp_path / "model", crop_size=size, frames_per_clip=count)
        model = transformers.VJEPA2Model.from_pretrained(tmp_path / "model", config=config)
    pixels = ((clips / 255 - torch.tensor(mean)) / torch.tensor(std)).movedim(-1, 2)
    with torch.inference_mode():
        options = {} if family == "VideoMAE" else {"skip_predictor": True}
        tokens = model.eval()(pixels, **options).last_hidden_state
    assert tokens.shape[1] == steps * side * side
    for t in range(steps):
        for i in range(side):
            for j in range(side):
                expected = tokens[:, t * side * side + i * side + j]
                torch.testing.assert_close(found[:, t, i * side + j], expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("family", "count", "size", "message"),
    [
        ("VideoMAE", 8, 32, "takes clips of 4 frames of 32 pixels; give --frames 4 --size 32"),
        ("VideoMAE", 4, 48, "takes clips of 4 frames of 32 pixels"),
        ("V-JEPA 2", 5, 32, "its tokens are of 2 frames and 8 pixels; give multiples with --frames and --size"),
        ("V-JEPA 2", 4, 36, "its tokens are of 2 frames and 8 pixels"),
    ],
)
def test_clips_that_a_video_model_does_not_take_are_refused(
    lively: Callable[..., Any], family: str, count: int, size: int, message: str, tmp_path: Path
) -> None:
    lively(tiny_video_model(family)).save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match=message):
        load_backbone(str(tmp_path / "model"), size=size, frames=count, device=CPU)


def test_the_identity_follows_the_weights(lively: Callable[..., Any], tmp_path: Path) -> None:
    model = lively(transformers.ViTModel(transformers.ViTConfig(**vit())))
    for folder in ("one", "two"):
        model.save_pretrained(tmp_path / folder)
    lively(model, seed=1).save_pretrained(tmp_path / "three")
    load = {name: load_backbone(str(tmp_path / name), size=32, device=CPU).identity for name in ("one", "two", "three")}
    assert load["one"].sha256 == load["two"].sha256 != load["three"].sha256


def test_models_that_cannot_serve_are_refused(tmp_path: Path) -> None:
    config = transformers.BertConfig(
        vocab_size=9, **{k: v for k, v in vit().items() if "size" not in k}, hidden_size=12
    )
    transformers.BertModel(config).save_pretrained(tmp_path / "bert")
    with pytest.raises(InputError, match="gives no maps .*take one that gives patch tokens"):
        load_backbone(str(tmp_path / "bert"), size=32, device=CPU)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: transformers cannot load it"):
        load_backbone(str(tmp_path / "empty"), size=32, device=CPU)
    with pytest.raises(InputError, match="brings its own weights; leave out --weights IMAGENET1K_V1"):
        load_backbone(str(tmp_path / "bert"), "IMAGENET1K_V1", size=32, device=CPU)
    with pytest.raises(InputError, match="precision must be one of auto"):
        load_backbone(None, size=32, precision="int8", device=CPU)


def test_a_hub_name_without_a_hub_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="nobody/resnet51: cannot be had .*give resnet50-v1"):
        load_backbone("nobody/resnet51", size=32, device=CPU)


@pytest.mark.parametrize(
    "settings",
    [
        {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]},
        {"image_mean": 0.5, "image_std": 0.25},
        {"image_mean": [0.5] * 3, "image_std": 0.25, "rescale_factor": 1 / 127.5},
        {"image_mean": [100.0, 110.0, 120.0], "image_std": [50.0] * 3, "do_rescale": False},
        {"do_normalize": False},
        {"do_normalize": False, "rescale_factor": 0.01},
        {"do_normalize": False, "do_rescale": False, "rescale_factor": None},
        {"image_mean": [0.1] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 127.5, "rescale_offset": True},
    ],
)
def test_images_are_scaled_as_the_models_processor_does(
    frames: Callable[..., Tensor], tmp_path: Path, settings: dict[str, Any]
) -> None:
    kind = transformers.EfficientNetImageProcessor if "rescale_offset" in settings else transformers.ViTImageProcessor
    given = {name: value for name, value in settings.items() if value is not None}
    given |= {name: [given[name]] * 3 for name in ("image_mean", "image_std") if isinstance(given.get(name), float)}
    processor = kind(do_resize=False, do_center_crop=False, include_top=False, **given)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    found = _normalisation(tmp_path)
    assert found is not None
    mean, deviation = map(torch.tensor, found)
    images = frames(2, 32)
    expected = processor(list(images.permute(0, 3, 1, 2)), return_tensors="pt", input_data_format="channels_first")
    scaled = ((images / 255 - mean) / deviation).permute(0, 3, 1, 2)
    torch.testing.assert_close(scaled, expected["pixel_values"].float(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read .*; download the model again"),
        ("[]", "holds no settings of an image processor"),
        ({"image_mean": [0.5], "image_std": 1}, r"image_mean is \[0.5\], expected one number or three, of R, G and B"),
        ({"image_mean": 0.5, "image_std": ["a", 1, 1]}, "image_std is .*, expected one number or three"),
        ({"image_mean": 0.5, "image_std": 0}, "image_std .* must be above 0"),
        ({"do_normalize": False, "rescale_factor": 0}, "rescale_factor 0 .* must be above 0"),
        ({"do_normalize": False, "rescale_factor": "1/255"}, "rescale_factor is '1/255', expected a number"),
        ({"do_normalize": False, "do_rescale": "no"}, "do_rescale is 'no', expected true or false"),
        ('{"image_mean": NaN, "image_std": 1}', "must be above 0, image_mean .* finite"),
    ],
)
def test_scales_that_cannot_be_are_refused_by_name(tmp_path: Path, content: Any, message: str) -> None:
    file = tmp_path / "preprocessor_config.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError, match=f"preprocessor_config.json.*{message}"):
        _normalisation(tmp_path)
