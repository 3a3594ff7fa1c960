"""Fixtures that several test files share: small real videos, a small backbone and a cache made of them."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import settings
from safetensors.torch import save_file
from torchvision.models import resnet18

from hcl.extract.config import ExtractConfig

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

WriteVideo = Callable[..., Path]


@pytest.fixture(scope="session")
def write_video() -> WriteVideo:
    """A function that writes a small encoded video of moving noise."""

    def write(path: Path, *, seed: int = 0, frames: int = 10) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        picture = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for number in range(frames):
                frame = av.VideoFrame.from_ndarray(np.roll(picture, 3 * number, axis=1), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return write


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a ResNet-18, which say what they are."""
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = resnet18(weights=None)
    save_file(network.state_dict(), path, metadata={"architecture": "resnet18"})
    return path


@pytest.fixture(scope="session")
def small_config(small_weights: Path) -> ExtractConfig:
    """An extraction that takes milliseconds a video."""
    return ExtractConfig(
        size=64, weights=str(small_weights), precision="float32", text_model="none", workers=1, batch_frames=16
    )
