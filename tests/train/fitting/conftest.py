"""A small world in which a training can learn, on one thread."""

from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hcl.match.scoring.scores import match
from hcl.train.config import TrainConfig
from hcl.train.data.batches import BatchPrefetcher
from hcl.train.data.device_storage import NumberedViews
from hcl.train.data.map_storage import choose_storage
from hcl.train.data.sampler import ClassBalancedSampler
from hcl.train.encoders.geometry import BaseVideo
from hcl.train.encoders.video_encoder import VideoEncoder

FRAMES, PATCHES, CHANNELS, BASE, VAL, VIDEOS, SIGNAL = 3, 4, 24, 12, 5, 6, 8
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Generator[None, None, None]:
    """Threads cost tiny products more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class World:
    """Classes differ in a few channels, frame by frame; videos differ far more in all the others."""

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        self.labels = np.repeat(np.arange(BASE + VAL), VIDEOS).astype(np.int64)
        classes = rng.normal(size=(BASE + VAL, FRAMES, 1, SIGNAL))
        self.values = 0.3 * rng.normal(size=(len(self.labels), FRAMES, PATCHES, CHANNELS))
        self.values += 1.5 * rng.normal(size=(len(self.labels), 1, 1, CHANNELS)) * (np.arange(CHANNELS) >= SIGNAL)
        self.values[..., :SIGNAL] += classes[self.labels]
        self.text = torch.from_numpy(rng.normal(size=(BASE, 5))).float()

    shape = (FRAMES, PATCHES, CHANNELS)

    def view(self, row: int, view: int, out: NDArray[np.float16] | None = None) -> NDArray[np.float16]:
        maps = np.empty(self.shape, np.float16) if out is None else out
        maps[:] = self.values[row]
        return maps

    def source(self, config: TrainConfig) -> BatchPrefetcher:
        rows = np.flatnonzero(self.labels < BASE)
        sampler = ClassBalancedSampler(
            self.labels[rows],
            [f"class {index}" for index in range(BASE)],
            classes_per_batch=config.classes_per_batch,
            videos_per_class=config.videos_per_class,
            seed=config.seed,
        )
        storage = choose_storage(NumberedViews(self, rows), "auto", CPU)
        return BatchPrefetcher(sampler, storage, device=CPU, num_workers=2)

    def base_videos(self) -> Iterator[BaseVideo]:
        for row in np.flatnonzero(self.labels < BASE):
            yield BaseVideo(torch.from_numpy(self.view(int(row), 0))[None], int(self.labels[row]))

    def val_accuracy(self, encoder: VideoEncoder) -> float:
        """Nearest other video among the val classes, by all three levels; chance is 0.17."""
        rows = self.labels >= BASE
        labels = torch.from_numpy(self.labels[rows])
        embeddings = encoder(torch.from_numpy(self.values[rows].astype(np.float16)))
        scores = match(embeddings, embeddings, top_clips=2, top_patches=2).total().fill_diagonal_(-torch.inf)
        return float((labels[scores.argmax(dim=1)] == labels).double().mean())


@pytest.fixture(scope="session")
def world() -> World:
    return World()


@pytest.fixture(scope="session")
def make_config() -> Callable[..., TrainConfig]:
    """A function that makes the settings of a training of seconds, with changes."""

    def make(**changes: Any) -> TrainConfig:
        small = {
            "start": "maps",
            "normalise_maps": False,
            "dim": 16,
            "heads": 2,
            "mlp_dim": 32,
            "top_clips": 2,
            "top_patches": 2,
            "classes_per_batch": 5,
        }
        schedule = {"epochs": 3, "steps_per_epoch": 12, "learning_rate": 0.005, "lr_step_size": 1}
        return TrainConfig(**{**small, **schedule, "precision": "float32", **changes})

    return make


@pytest.fixture(scope="session")
def make_encoder() -> Callable[[TrainConfig], VideoEncoder]:
    """A function that makes the untrained encoder of some settings."""

    def make(config: TrainConfig) -> VideoEncoder:
        return VideoEncoder(config, channels=CHANNELS, frames=FRAMES, patches=PATCHES, classes=BASE, text_width=5)

    return make
