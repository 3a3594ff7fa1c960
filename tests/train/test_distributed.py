"""Processes that train together do what one does with the whole batch; run by torchrun, this file is one of them."""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hcl.cli import main
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.system.errors import InputError
from hcl.extract.system.progress import logger
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE
from hcl.train.config import TERMS, TrainConfig
from hcl.train.data.batches import Batch
from hcl.train.distributed import process_group, rank, rank_slice, run_on_main, summed
from hcl.train.encoders.factory import Trainable, make_encoder
from hcl.train.encoders.video_encoder import VideoEncoder
from hcl.train.fitting.checkpoint import load_checkpoint
from hcl.train.fitting.loop import EpochRecord, fit
from hcl.train.fitting.step import Stepper
from hcl.train.runs.run_folder import CONFIG, METRICS, TENSORBOARD
from hcl.train.runs.running import train

Taken = tuple[int, list[dict[str, Tensor]]]
METHODS = ("hcl", "trx")
PROCESSES, CLASSES, VIDEOS, FRAMES, PATCHES, CHANNELS, TEXT = 2, 5, 2, 4, 3, 10, 7
BATCH = CLASSES * VIDEOS
NOT_RANDOM = {"dropout": 0.0, "patch_keep_rate": 1.0}  # random numbers differ by process
SMALL = {"dim": 16, "heads": 2, "mlp_dim": 16, "precision": "float32", "device": "cpu", **NOT_RANDOM}


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


LABELS, TEXTS = torch.arange(CLASSES).repeat_interleave(VIDEOS), random(0, CLASSES, TEXT)


def draw_maps(step: int) -> Tensor:
    return random(1 + step, BATCH, FRAMES, PATCHES, CHANNELS).half()


def some_config(**settings: Any) -> TrainConfig:
    small = {"top_clips": 3, "top_patches": 2, "clip_sizes": (2, 3), "max_grad_norm": 0.0, "start": "random"}
    return TrainConfig(**{**SMALL, **small, **settings})


def some_encoder(config: TrainConfig) -> Trainable:
    shape: dict[str, int | None] = {"channels": CHANNELS, "frames": FRAMES, "patches": PATCHES}
    if config.method == "hcl":
        shape |= {"classes": CLASSES, "text_width": TEXT}
    return make_encoder(config, shape).train()


def make_stepper(**settings: Any) -> Stepper:
    config = some_config(**settings)
    return Stepper(some_encoder(config), config, TEXTS)


def take_step(method: str) -> dict[str, Tensor]:
    """The values and gradients of a step, of which each process embeds its share."""
    stepper = make_stepper(method=method)
    values = stepper.step(3, Batch(draw_maps(0)[rank_slice(BATCH)], LABELS, waited=0.0))
    seen = dict(zip(stepper.names, values, strict=True))
    gradients = {name: parameter.grad for name, parameter in stepper.encoder.named_parameters()}
    return {f"{method} {name}": value for name, value in {**seen, **gradients}.items() if value is not None}


class Source:
    """Batches of which each process has its share."""

    def batches(self, start: int, stop: int) -> Generator[Batch, None, None]:
        for step in range(start, stop):
            yield Batch(draw_maps(step)[rank_slice(BATCH)], LABELS, waited=0.0)


def train_on(folder: Path, **called: Any) -> dict[str, Tensor]:
    """The best weights of a training that begins where the folder's checkpoint ends; the first process validates."""

    def validate(encoder: VideoEncoder) -> float:
        assert rank() == 0
        return float(encoder.projection.weight.abs().sum())

    config = some_config(epochs=3, steps_per_epoch=2, start="maps")
    checkpoint = folder / "checkpoint.pt"
    fitted = fit(some_encoder(config), Source(), config, text=TEXTS, validate=validate, checkpoint=checkpoint, **called)
    return {f"weights {name}": value for name, value in fitted.state.items()}


def drop_out() -> Tensor:
    """The embeddings of videos that are the same in every process, with dropout: (b, T * P, D)."""
    stepper, seen = make_stepper(dropout=0.5), list[Tensor]()
    stepper.encoder.norm.register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
    stepper.step(3, Batch(draw_maps(0)[: BATCH // PROCESSES], LABELS, waited=0.0))
    return seen[0]


def rank_of_torchrun() -> int:
    return int(os.environ["RANK"])


def refuse() -> None:
    raise InputError("no")


def take_part(folder: Path) -> None:
    """What each process does; the second one fails at the end, while the first one waits for it."""
    logger.setLevel(logging.INFO)
    with pytest.raises(SystemExit if rank_of_torchrun() else InputError), process_group():
        tensors = {name: value for method in METHODS for name, value in take_step(method).items()}
        with pytest.raises(
            InputError, match="9 videos cannot be shared evenly by 2 .*--classes-per-batch, --videos-pe"
        ):
            rank_slice(9)
        tensors |= train_on(folder) | {"dropout": drop_out()}
        save_file(tensors, folder / f"{rank()}.safetensors")
        run_on_main(refuse)
    for group in range(3):
        time.sleep(rank_of_torchrun() / 2)  # the first one comes early and must not find what the last group left
        assert logger.isEnabledFor(logging.INFO)
        with process_group():
            assert logger.isEnabledFor(logging.INFO) == (rank() == 0)
            assert summed(torch.ones(1)).item() == PROCESSES
            (folder / f"joined-{rank()}-{group}").touch()
    with process_group():
        if rank():
            raise InputError("the second process fails")
        summed(torch.zeros(1))


def torchrun(*command: str) -> "subprocess.CompletedProcess[str]":
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(PROCESSES)]
    return subprocess.run([*start, *command], capture_output=True, text=True, timeout=120, check=False)


def stop(record: EpochRecord) -> None:
    """End the process at the end of the first epoch; the encoder as it began comes before that."""
    if record.epoch:
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Taken:
    """The exit code of two processes, and what each saw; one process began their training."""
    folder = tmp_path_factory.mktemp("taken")
    with pytest.raises(KeyboardInterrupt):
        train_on(folder, on_epoch=stop)
    assert load_checkpoint(folder / "checkpoint.pt")["steps"] == 2
    done = torchrun(__file__, str(folder))
    files = [folder / f"{number}.safetensors" for number in range(PROCESSES)]
    assert all(file.is_file() for file in files), done.stderr
    return done.returncode, [load_file(file) for file in files]


@pytest.mark.parametrize("method", METHODS)
def test_losses_and_gradients_are_those_of_one_process(method: str, taken: tuple[int, list[dict[str, Tensor]]]) -> None:
    alone = take_step(method)
    assert len(alone) > 15
    assert method != "hcl" or {f"hcl {name}" for name in ("total", *TERMS, "gradient_norm")} <= alone.keys()
    for found in taken[1]:
        torch.testing.assert_close({name: found[name] for name in alone}, alone, rtol=1e-4, atol=1e-6)


def test_processes_resume_from_a_checkpoint_of_one(taken: Taken, tmp_path: Path) -> None:
    alone = train_on(tmp_path)
    for found in taken[1]:
        torch.testing.assert_close({name: found[name] for name in alone}, alone, rtol=1e-3, atol=1e-5)


def test_processes_draw_dropout_of_their_own(taken: Taken) -> None:
    first, second = (found["dropout"] for found in taken[1])
    assert not torch.isclose(first, second).all(dim=-1).any()


def test_processes_join_several_groups_and_the_main_one_alone_logs(
    taken: Taken, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = next(tmp_path_factory.getbasetemp().glob("taken*"))
    assert len(list(folder.glob("joined-*"))) == 3 * PROCESSES


def test_a_process_that_fails_ends_the_others(taken: Taken) -> None:
    assert taken[0] != 0


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / METRICS).read_text(encoding="utf-8").splitlines()]


def assert_same_run(found: Path, expected: Path) -> None:
    """The same files, and the same figures and embeddings to rounding."""
    assert {entry.name for entry in found.iterdir()} == {entry.name for entry in expected.iterdir()}
    assert len(list((found / TENSORBOARD).iterdir())) == 1
    assert (found / CONFIG).read_text() == (expected / CONFIG).read_text()
    for now, then in zip(metrics(found), metrics(expected), strict=True):
        assert now.pop("terms") == pytest.approx(then.pop("terms"), rel=1e-4)
        assert now == then
    stores = [EmbeddingStore.open(run / STORE) for run in (found, expected)]
    assert stores[0].videos == stores[1].videos and len(stores[0].videos) == 16
    arrays = [store.arrays(store.names, np.arange(16)) for store in stores]
    torch.testing.assert_close(arrays[0], arrays[1], rtol=2e-3, atol=2e-3)


def test_a_run_is_that_of_one_process(
    make_cache: Callable[..., ZarrCache], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_cache(tmp_path / "cache.zarr")
    settings = {**SMALL, "epochs": 2, "steps_per_epoch": 4, "val_episodes": 20}
    train(Path("cache.zarr"), run=Path("one"), preset="quick", splits=None, settings=settings)
    given = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    done = torchrun(__file__, "--", "train", "cache.zarr", "--run", "two", "--preset", "quick", *given)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("two: trained, 16 ") and len(set(lines)) == len(lines)
    assert "\r" not in done.stderr and done.stderr.count("epoch 1:") == 1  # one process tells it
    assert_same_run(Path("two"), Path("one"))


if __name__ == "__main__":
    if "train" in sys.argv:
        logging.basicConfig(level=logging.INFO)
        main(sys.argv[1:])
    take_part(Path(sys.argv[1]))
