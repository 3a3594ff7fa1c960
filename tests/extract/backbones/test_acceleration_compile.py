"""A compiled backbone gives the maps of the plain one, or is refused."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hcl.extract.backbones.acceleration import compiled
from hcl.extract.backbones.backbone import load_backbone
from hcl.extract.config import ExtractConfig
from hcl.extract.pipeline.extraction import extract
from hcl.extract.system.errors import InputError

CPU = torch.device("cpu")


@pytest.fixture
def without_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace as torch.compile does, but run the graph as it is: no compiler of C++ or of a GPU's code is needed."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))


def broken(network: nn.Module, dynamic: bool) -> nn.Module:
    class Broken(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise RuntimeError("no working compiler\nmore lines")

    return Broken()


def other_maps(network: nn.Module, dynamic: bool) -> nn.Sequential:
    return nn.Sequential(network, nn.Softmax2d())


@pytest.mark.filterwarnings("ignore:Guards may run slower:RuntimeWarning")  # of torch, on Python 3.13.0
@pytest.mark.usefixtures("without_generator")
def test_a_compiled_backbone_gives_the_same_maps() -> None:
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    load = partial(load_backbone, None, size=64, precision="float32", device=CPU)
    plain, found = load(), load(compile_for=2)
    torch.testing.assert_close(found(images), plain(images), rtol=1e-2, atol=1e-2)
    assert found.identity == plain.identity


def test_what_cannot_be_compiled_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Conv2d(3, 4, 1)
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(InputError, match=r"cannot be compiled here \(no working compiler\); leave out --compile"):
        compiled(network, images)


def test_other_maps_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    images: Tensor = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(torch, "compile", other_maps)
    with pytest.raises(InputError, match=r"other maps than the plain one \(cosine .*leave out --compile"):
        compiled(nn.Conv2d(3, 4, 1), images)


def test_compiling_for_a_cpu_is_refused(tmp_path: Path, small_config: ExtractConfig) -> None:
    (tmp_path / "videos" / "nod").mkdir(parents=True)
    (tmp_path / "videos" / "nod" / "0.mp4").touch()
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="--compile is for a GPU"):
        extract(tmp_path / "videos", tmp_path / "c.zarr", replace(small_config, compile=True, split_policy="all-novel"))
    assert not (tmp_path / "c.zarr").exists()
