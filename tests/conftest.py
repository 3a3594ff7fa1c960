"""Fixtures that several test files share: small real videos, a small backbone and a cache made of them."""

import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import zarr
from hypothesis import settings
from safetensors.torch import save_file
from torchvision.models import resnet18

from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.video_table import VideoTable
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.videos import Video
from hcl.extract.config import ExtractConfig
from hcl.extract.decoding.source import Source
from hcl.extract.system.places.remote_path import RemotePath
from hcl.extract.system.places.zarr_groups import seal, sealed_arrays
from hcl.match.embeddings import Embeddings
from hcl.match.store.batch import EmbeddedBatch
from hcl.match.store.embedding_store import write_store

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

WriteVideo = Callable[..., Path]

MEMORY, ROOM = Path("/dev/shm"), 4 * 2**30  # several times the half GiB that a run has left in the end
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM:
    # The tests write and delete a hundred thousand small files, on which a disk spends a tenth of their time.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))  # where pytest has its temporary folders


@pytest.fixture(autouse=True)
def ordinary_priority() -> Iterator[None]:
    """Give the test process its ordinary priority back: to root, the encoder SVT-AV1 gives the highest realtime one.

    All that the process started later would have it, too, and leave other processes a twentieth of the machine.
    """
    yield
    if sys.platform == "linux" and os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture(scope="session")
def write_video() -> WriteVideo:
    """A function that writes a small encoded video of moving noise."""

    def write(path: Path, *, seed: int = 0, frames: int = 10, light: float = 1.0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        picture = (light * rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)).astype(np.uint8)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for number in range(frames):
                frame = av.VideoFrame.from_ndarray(np.roll(picture, 3 * number, axis=1), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return write


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """The lines that hcl logs while the test runs, as they come."""
    lines: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    caplog.set_level(logging.INFO, "hcl")
    handler = Collect()
    logging.getLogger("hcl").addHandler(handler)
    yield lines
    logging.getLogger("hcl").removeHandler(handler)


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
        frames=4, size=64, weights=str(small_weights), precision="float32", text_model="none", workers=1, batch_size=16
    )


@pytest.fixture(scope="session")
def make_embeddings() -> Callable[..., Embeddings]:
    """A function that draws embeddings with a class signal of some strength; each class has 5 videos in a row."""

    def make(videos: int = 30, signal: float = 1.0, seed: int = 0) -> Embeddings:
        generator = torch.Generator().manual_seed(seed)
        classes = torch.arange(videos) // 5
        centres = torch.randn(6, 16, generator=generator)[classes % 6]
        noisy = [torch.randn(videos, *shape, 16, generator=generator) for shape in ((), (3,), (3, 4))]
        shaped = [centres.reshape(videos, *(1,) * (part.ndim - 2), 16) for part in noisy]
        global_, clips, patches = (part + signal * centre for part, centre in zip(noisy, shaped, strict=True))
        keys = torch.randn(videos, 16, generator=generator)
        return Embeddings(global_, clips, patches.half().float(), ((0, 1), (0, 2), (1, 2)), keys)

    return make


@pytest.fixture(scope="session")
def write_embeddings(make_embeddings: Callable[..., Embeddings]) -> Callable[..., Path]:
    """A function that writes such embeddings, or given ones, into a store; facts of the videos can be replaced."""

    def write(path: Path, found: Embeddings | None = None, /, **facts: tuple[str, ...]) -> Path:
        found = make_embeddings() if found is None else found
        count = len(found)
        known = {
            "path": tuple(f"v{row}.mp4" for row in range(count)),
            "label": tuple(f"class {row // 5}" for row in range(count)),
            "split": ("novel",) * count,
            "group": tuple(f"g{row % 2}" for row in range(count)),
            "content": tuple(f"hash{row}" for row in range(count)),
        }
        batch = EmbeddedBatch.of(found, found.patches.mean(dim=(1, 2)).numpy())
        write_store(path, {"origin": {}}, VideoTable(**known | facts), [batch])
        return path

    return write


@pytest.fixture(scope="session")
def edit_attributes() -> Callable[[Path, Callable[[dict[str, Any]], object]], None]:
    """A function that edits the attributes of a store and proves them whole again, as a hostile writer can."""

    def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
        document = json.loads((path / "zarr.json").read_text())
        change(document["attributes"])
        (path / "zarr.json").write_text(json.dumps(document))
        group = zarr.open_group(path, mode="r+")
        seal(group, path, sealed_arrays(group), {}, growing=document["attributes"]["schema"] == "hcl-cache")

    return edit


@pytest.fixture(scope="session")
def seven_splits() -> dict[str, str]:
    """The split of each class of the caches that `make_cache` makes, unless other classes are asked for."""
    return {"a": "base", "b": "base", "c": "base", "d": "val", "e": "val", "f": "novel", "g": "novel"}


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, object, Callable[[Path], object]], None]:
    """A function that makes a folder; what it made of the same description before is copied, at a tenth of the cost."""
    made: dict[str, Path] = {}

    def copy(path: Path, description: object, make: Callable[[Path], object]) -> None:
        if (known := repr(description)) not in made:
            fresh = tmp_path_factory.mktemp("made") / path.name
            make(fresh)
            made[known] = fresh
        shutil.copytree(made[known], path)

    return copy


@pytest.fixture(scope="session")
def make_cache(
    seven_splits: dict[str, str], made_once: Callable[[Path, object, Callable[[Path], object]], None]
) -> Callable[..., ZarrCache]:
    """A function that makes a cache of drawn maps with a class signal, four videos a class; settings can be changed."""

    def make(path: Path, **given: Any) -> ZarrCache:
        given = {"splits": seven_splits} | given
        if isinstance(path, RemotePath):
            return write_cache(path, **given)
        made_once(path, given, lambda fresh: write_cache(fresh, **given))
        return ZarrCache.open(path, mode="r+")

    return make


def write_cache(
    path: Path,
    *,
    splits: dict[str, str],
    text: bool = True,
    seed: int = 0,
    views: int = 1,
    content: str = "h",
    **changed: object,
) -> ZarrCache:
    """Write a cache as `make_cache` makes it."""
    settings = {
        "backbone": "resnet50-v1",
        "weights_sha256": "w",
        "frames": 4,
        "size": 64,
        "grid": [2, 2],
        "channels": 12,
    }
    settings |= {"split_origin": "given"} | changed
    cache = ZarrCache.create(path, settings, shape=(4, 4, 12), views=views)
    rng = np.random.default_rng(seed)
    if text:
        cache.set_text_model(np.zeros((0, 5), np.float32), {"model": "small bert", "sha256": "abc"})
    vectors = rng.normal(size=(len(splits), 5)).astype(np.float32) if text else None
    cache.add_classes(splits, {name: name for name in splits}, vectors)
    videos = [Video(f"{name}/{copy}.mp4", Path("x"), name, group=f"p{copy}") for name in splits for copy in range(4)]
    cache.add_videos(videos)
    signal = {name: rng.normal(size=12) for name in splits}
    drawn = [(signal[video.label] + rng.normal(size=(views, 4, 4, 12))).astype(np.float16) for video in videos]
    cache.write(
        [
            MapRecord(row, maps[0], source=Source(f"{content}{row}"), views=maps[1:] if views > 1 else None)
            for row, maps in enumerate(drawn)
        ]
    )
    return cache
