"""Weights: where they may come from, what they must say, and what is refused."""

import io
import pickle
import urllib.error
from collections.abc import Callable
from email.message import Message
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models import resnet18

from hcl.extract.backbones.backbone import resnet
from hcl.extract.backbones.weights import SCALE, SHIPPED, architecture, content_hash, read_weights
from hcl.extract.system.errors import InputError


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {key: value.clone() for key, value in resnet18().state_dict().items()}


def trunk(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if not k.startswith("fc.") and not k.endswith("num_batches_tracked")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resnet50-v1", "resnet50-v1"),
        ("resnet50", "resnet50"),
        ("resnet18", "resnet18"),
        ("ResNet-50 v1: stride 2 stands in the first 1x1 convolution", "resnet50-v1"),
        ("ResNet-50 v1.5", "resnet50"),
        ("ResNet-50", None),  # either
        ("", None),
    ],
)
def test_architecture_is_never_guessed(text: str, expected: str | None) -> None:
    assert architecture(text) == expected


def test_the_shipped_file_says_what_it_is_and_loads() -> None:
    shipped = read_weights("default", None)
    assert shipped.architecture == "resnet50-v1"
    assert {tensor.dtype for tensor in shipped.tensors.values()} == {torch.float32}
    assert shipped.tensors["bn1.running_var"].max() > np.finfo(np.float16).max  # why batch norms stay in float32
    assert SHIPPED.stat().st_size < 25e6
    assert (SHIPPED.parent / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    assert resnet(None, "default").name == "resnet50-v1"
    as_a_file = resnet(None, str(SHIPPED))
    assert (as_a_file.name, as_a_file.sha256) == ("resnet50-v1", resnet("resnet50-v1", "default").sha256)


def test_the_shipped_file_is_refused_as_the_other_resnet() -> None:
    with pytest.raises(InputError, match="holds resnet50-v1, but --backbone says resnet50; use --backbone resnet50-v1"):
        resnet("resnet50", str(SHIPPED))
    with pytest.raises(InputError, match="shipped weights are those of resnet50-v1; give --weights IMAGENET1K_V1"):
        resnet("resnet50", "default")


def test_int8_is_multiplied_by_its_channels_scale(tmp_path: Path) -> None:
    whole, scale = torch.tensor([[[[-127]], [[5]]], [[[0]], [[127]]]], dtype=torch.int8), torch.tensor([0.5, 2.0])
    save_file(
        {"x": whole, "x" + SCALE: scale, "y": scale.clone()}, tmp_path / "w.safetensors", {"architecture": "resnet18"}
    )
    tensors = read_weights(str(tmp_path / "w.safetensors"), None).tensors
    for o in range(2):
        for i in range(2):
            assert tensors["x"][o, i, 0, 0] == float(whole[o, i, 0, 0]) * float(scale[o])
    assert torch.equal(tensors["y"], scale)
    assert set(tensors) == {"x", "y"}


def write_safetensors(state: dict[str, Tensor], path: Path) -> Path:
    save_file(state, path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors")


def write_torch(state: dict[str, Tensor], path: Path) -> Path:
    torch.save(state, path.with_suffix(".pt"))
    return path.with_suffix(".pt")


def write_training(state: dict[str, Tensor], path: Path) -> Path:
    parallel = {"module." + key: value for key, value in state.items()}
    torch.save({"epoch": 3, "arch": "resnet18", "state_dict": parallel}, path.with_suffix(".pth"))
    return path.with_suffix(".pth")


@pytest.mark.parametrize("write", [write_safetensors, write_torch, write_training])
def test_every_kind_of_file_gives_the_same_weights(
    write: Callable[[dict[str, Tensor], Path], Path], state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = write(state, tmp_path / "some weights")
    found = resnet("resnet18", str(path))
    assert found.sha256 == content_hash(trunk(state))
    assert found.weights == path.name


def test_a_training_checkpoint_says_its_architecture(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = write_training(state, tmp_path / "checkpoint")
    assert resnet(None, str(path)).name == "resnet18"
    with pytest.raises(InputError, match="holds resnet18, but --backbone says resnet34"):
        resnet("resnet34", str(path))


def test_a_silent_file_needs_a_user_who_speaks(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = write_safetensors(state, tmp_path / "silent")
    with pytest.raises(InputError, match="does not say which network.*--backbone.*resnet50 .*or resnet50-v1"):
        resnet(None, str(path))


def test_tensors_that_do_not_fit_are_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    lacking = {key: value for key, value in state.items() if key != "layer1.0.bn1.bias"}
    surplus = state | {"layer9.weight": torch.zeros(1)}
    reshaped = state | {"conv1.weight": torch.zeros(64, 1, 7, 7)}
    spoilt = state | {"conv1.weight": torch.full((64, 3, 7, 7), torch.nan)}
    for wrong, match in (
        (lacking, "lacks layer1.0.bn1.bias; .*--backbone"),
        (surplus, "has layer9.weight; .*--backbone"),
        (reshaped, r"conv1.weight has shape \(64, 1, 7, 7\), expected \(64, 3, 7, 7\).*--weights"),
        (spoilt, "conv1.weight holds values that are not finite.*--weights"),
    ):
        with pytest.raises(InputError, match=match):
            resnet("resnet18", str(write_safetensors(wrong, tmp_path / "wrong")))


class Code:
    """What a malicious checkpoint does when unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return pytest.fail, ("code of the file ran",)


def test_code_in_a_torch_file_never_runs(tmp_path: Path) -> None:
    torch.save({"state_dict": Code()}, tmp_path / "evil.pt")
    (tmp_path / "old.pth").write_bytes(pickle.dumps(Code()))
    with pytest.raises(InputError, match="could run code; save its state_dict alone"):
        read_weights(str(tmp_path / "evil.pt"), "resnet18")
    with pytest.raises(InputError, match="save its state_dict alone|not a readable torch file"):
        read_weights(str(tmp_path / "old.pth"), "resnet18")


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"not weights at all"])
def test_broken_files_are_named(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / ("broken" + suffix)
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"broken{suffix}: "):
        read_weights(str(path), "resnet18")


def test_other_contents_are_named(tmp_path: Path) -> None:
    for content in ([1, 2], {"state_dict": 3}, {"conv1.weight": "text"}):
        torch.save(content, tmp_path / "odd.pt")
        with pytest.raises(InputError, match=r"save model.state_dict\(\)"):
            read_weights(str(tmp_path / "odd.pt"), "resnet18")
    (tmp_path / "weights.onnx").write_bytes(b"x")
    with pytest.raises(InputError, match="reads .safetensors, .pt and .pth files, not .onnx"):
        read_weights(str(tmp_path / "weights.onnx"), "resnet18")
    with pytest.raises(InputError, match="no such weights; give default, IMAGENET1K_V1"):
        read_weights(str(tmp_path / "nowhere.pt"), "resnet18")


def test_the_hash_is_of_names_shapes_and_values() -> None:
    one = {"a": torch.arange(6.0).view(2, 3), "b": torch.zeros(1)}
    assert content_hash(one) == content_hash(dict(reversed(one.items())))
    assert content_hash(one) == content_hash({"a": one["a"].t().contiguous().t(), "b": one["b"]})
    others = [{"a": one["a"], "c": one["b"]}, {**one, "a": one["a"].view(3, 2)}, {**one, "b": torch.ones(1)}]
    assert len({content_hash(x) for x in [one, *others]}) == 4


def test_downloads_without_a_network_name_the_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refused)
    with pytest.raises(
        InputError, match="cannot be downloaded .*--weights default .*--weights FILE.*where there is a network"
    ):
        resnet(None, "IMAGENET1K_V2")


def test_a_download_whose_content_is_wrong_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Answer(io.BytesIO):
        def info(self) -> Message:
            return Message()

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", lambda *_, **__: Answer(b"hello"))
    with pytest.raises(InputError, match="cannot be downloaded"):
        resnet("resnet18", "IMAGENET1K_V1")


def test_downloaded_weights_belong_to_torchvisions_networks(
    state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *_, **__: state)
    found = resnet("resnet18", "IMAGENET1K_V1")
    assert (found.name, found.weights, found.sha256) == ("resnet18", "IMAGENET1K_V1", content_hash(trunk(state)))
    with pytest.raises(InputError, match="not for --backbone resnet50-v1; use resnet50"):
        resnet("resnet50-v1", "IMAGENET1K_V1")
    with pytest.raises(InputError, match="has no weights IMAGENET1K_V2.*--weights IMAGENET1K_V1"):
        resnet("resnet18", "IMAGENET1K_V2")
