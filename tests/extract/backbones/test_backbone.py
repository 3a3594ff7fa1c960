"""Backbones: frozen, exact, independent of the batch, for every family of networks."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from hcl.extract.backbones import fused_cpu as onednn
from hcl.extract.backbones.backbone import Backbone, choose_dtype, cpu_has_bfloat16, load_backbone
from hcl.extract.backbones.fused_cpu import fused_trunk
from hcl.extract.backbones.resnet import MEAN, STD, resnet_trunk
from hcl.extract.backbones.weights import read_weights
from hcl.extract.system.errors import InputError

CPU = torch.device("cpu")


def frames(count: int, size: int, seed: int = 0) -> Tensor:
    return torch.randint(
        0, 256, (count, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def lively(model: nn.Module, seed: int = 0) -> Any:
    """Give every weight, and every batch norm's statistics, a value of its own."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2, generator=generator)
        elif name.endswith(("running_mean", "bias")):
            tensor.normal_(0, 0.1, generator=generator)
        elif tensor.is_floating_point() and tensor.dim() < 2:
            tensor.uniform_(0.5, 1, generator=generator)
        elif tensor.is_floating_point():
            tensor.normal_(0, (2 / max(1, tensor[0].numel())) ** 0.5, generator=generator)
    return model.eval()


def resnet_file(name: str, path: Path) -> Path:
    model = lively(getattr(models, name)())
    state = {key: value for key, value in model.state_dict().items() if not key.startswith("fc.")}
    save_file(state, path / "weights.safetensors", {"architecture": name})
    return path / "weights.safetensors"


def plain_maps(model: Any, images: Tensor) -> Tensor:
    """The definition: normalise each pixel, run torchvision's own network up to layer 4, read patches row by row."""
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    x = ((images / 255 - mean) / std).permute(0, 3, 1, 2)
    x = model.maxpool(model.relu(model.bn1(model.conv1(x))))
    x = model.layer4(model.layer3(model.layer2(model.layer1(x))))
    rows = [x[:, :, i, j] for i in range(x.shape[2]) for j in range(x.shape[3])]
    return torch.stack(rows, dim=1).detach()


@pytest.mark.parametrize(("name", "size"), [("resnet18", 64), ("resnet34", 97), ("resnet50", 64), ("resnet101", 32)])
def test_maps_are_those_of_torchvision(name: str, size: int, tmp_path: Path) -> None:
    path = resnet_file(name, tmp_path)
    backbone = load_backbone(None, str(path), size=size, precision="float32", device=CPU)
    expected = plain_maps(lively(getattr(models, name)()), frames(3, size))
    found = backbone(frames(3, size))
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), expected, rtol=2e-3, atol=2e-3 * expected.abs().max().item())
    assert backbone.identity.name == name
    assert backbone.identity.channels == expected.shape[2]
    assert backbone.identity.grid == (-(-size // 32), -(-size // 32))


def test_version_1_strides_in_the_first_convolution() -> None:
    tensors = {key: value for key, value in lively(models.resnet50()).state_dict().items() if "tracked" not in key}
    tensors = {key: value for key, value in tensors.items() if not key.startswith("fc.")}
    model = lively(models.resnet50())
    for layer in (model.layer2, model.layer3, model.layer4):  # as the paper's residual block is drawn
        layer[0].conv1, old = (
            nn.Conv2d(layer[0].conv1.in_channels, layer[0].conv1.out_channels, 1, 2, bias=False),
            layer[0].conv1,
        )
        layer[0].conv1.weight = old.weight
        planes = layer[0].conv2.in_channels
        layer[0].conv2, old = nn.Conv2d(planes, planes, 3, 1, padding=1, bias=False), layer[0].conv2
        layer[0].conv2.weight = old.weight
    pixels = frames(2, 64)
    images = ((pixels / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
    first = resnet_trunk("resnet50-v1", dict(tensors), shown="")(images)
    torch.testing.assert_close(first.flatten(2).transpose(1, 2), plain_maps(model, pixels), rtol=1e-3, atol=1e-3)
    second = resnet_trunk("resnet50", dict(tensors), shown="")(images)
    assert functional.cosine_similarity(first, second, dim=1).mean() < 0.99


@pytest.fixture(scope="module")
def shipped() -> Backbone:
    return load_backbone(None, "default", size=64, precision="auto", device=CPU)


def test_the_default_is_the_shipped_resnet(shipped: Backbone) -> None:
    assert (shipped.identity.name, shipped.identity.weights) == ("resnet50-v1", "default")
    assert (shipped.identity.channels, shipped.identity.grid) == (2048, (2, 2))


def test_a_backbone_is_frozen(shipped: Backbone) -> None:
    shipped(frames(1, 64))
    assert not shipped.training
    assert not any(parameter.requires_grad for parameter in shipped.parameters())
    found = shipped(frames(1, 64))
    assert not found.requires_grad
    assert not found.is_inference()  # usable in a trainer


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_frame_does_not_depend_on_its_batch(precision: str, tmp_path: Path) -> None:
    backbone = load_backbone("resnet50-v1", "default", size=64, precision=precision, device=CPU)
    batch = frames(11, 64)  # more than are computed together, and no multiple of it
    found = backbone(batch)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    assert torch.equal(backbone(batch[order]), found[order])
    padded = torch.cat([batch[:3], batch.new_zeros(8, 64, 64, 3)])
    assert torch.equal(backbone(padded)[:3], found[:3])


def test_half_precision_stays_close(shipped: Backbone) -> None:
    images = functional.interpolate(frames(4, 8).permute(0, 3, 1, 2).float(), size=64, mode="bilinear")
    pixels = images.permute(0, 2, 3, 1).to(torch.uint8).contiguous()
    exact = load_backbone(None, "default", size=64, precision="float32", device=CPU)(pixels).float()
    rough = load_backbone(None, "default", size=64, precision="bfloat16", device=CPU)(pixels).float()
    assert functional.cosine_similarity(exact, rough, dim=2).mean() > 0.99


def test_auto_is_half_precision_only_where_the_processor_has_it() -> None:
    expected = torch.bfloat16 if cpu_has_bfloat16() else torch.float32
    assert choose_dtype("auto", CPU) == expected
    assert choose_dtype("auto", torch.device("cuda")) == torch.float16
    assert choose_dtype("float32", torch.device("cuda")) == torch.float32


def test_without_fused_operations_the_plain_trunk_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = resnet_trunk("resnet50-v1", read_weights("default", None).tensors, shown="")
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert fused_trunk(trunk, images) is not trunk
    monkeypatch.setattr(onednn, "AGREEMENT", 1.1)
    assert fused_trunk(trunk, images) is trunk
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    assert fused_trunk(trunk, images) is trunk


def test_wrong_frames_are_a_callers_mistake(shipped: Backbone) -> None:
    for wrong in (frames(1, 32), frames(1, 64).float(), frames(1, 64).permute(0, 3, 1, 2)):
        with pytest.raises(ValueError, match=r"expected uint8 \(N, 64, 64, 3\)"):
            shipped(wrong)
    assert shipped(frames(1, 64)[:0]).shape == (0, 4, 2048)


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
def test_patch_tokens_of_every_family(family: str, size: int, tmp_path: Path) -> None:
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


def test_maps_of_a_convolutional_model(tmp_path: Path) -> None:
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


def test_the_identity_follows_the_weights(tmp_path: Path) -> None:
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
