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
    return {
        "ViT": (transformers.ViTModel(transformers.ViTConfig(**vit())), 1),
        "DeiT": (transformers.DeiTModel(transformers.DeiTConfig(**vit())), 2),
        "DINOv2": (transformers.Dinov2Model(transformers.Dinov2Config(**vit())), 1),
        "DINOv2 with registers": (transformers.Dinov2WithRegistersModel(registers), 4),
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
    resized = {} if size == 32 or "DINOv2" in family else {"interpolate_pos_encoding": True}
    with torch.inference_mode():
        expected = tower(pixel_values=pixels, **resized).last_hidden_state[:, before:]
    torch.testing.assert_close(backbone(frames(3, size)).float(), expected, rtol=2e-3, atol=2e-3)


def test_maps_of_a_convolutional_model(
    frames: Callable[..., Tensor], lively: Callable[..., Any], tmp_path: Path
) -> None:
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    model = lively(transformers.ResNetModel(config))
    model.save_pretrained(tmp_path / "model")
    backbone = load_backbone(str(tmp_path / "model"), size=48, precision="float32", device=CPU)
    assert (backbone.identity.grid, backbone.identity.channels) == ((6, 6), 16)
    pixels = ((frames(2, 48) / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        maps = model(pixel_values=pixels).last_hidden_state
    expected = torch.stack([maps[:, :, i, j] for i in range(6) for j in range(6)], dim=1)
    torch.testing.assert_close(backbone(frames(2, 48)).float(), expected, rtol=2e-3, atol=2e-3)


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
    with pytest.raises(InputError, match="resnet51: cannot be had .*give resnet50-v1"):
        load_backbone("resnet51", size=32, device=CPU)
