"""Checkpoints are whole, and loading one runs no code."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hcl.extract.system.errors import InputError
from hcl.train.config import TrainConfig
from hcl.train.encoders.video_encoder import VideoEncoder
from hcl.train.fitting.checkpoint import load_checkpoint, save_checkpoint

World = Any
MakeConfig = Callable[..., TrainConfig]
MakeEncoder = Callable[..., VideoEncoder]


class Malice:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("malice"),)


def test_loading_a_checkpoint_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"steps": Malice()}, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match="no checkpoint"):
        load_checkpoint(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "malice").exists()


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    save_checkpoint(file, {"steps": 1})
    file.with_name(f"checkpoint.pt.{os.getpid()}.new").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        save_checkpoint(file, {"steps": 2})
    assert load_checkpoint(file) == {"steps": 1}
