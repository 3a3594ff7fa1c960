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


STATE = {"weights": torch.arange(300.0), "moments": {"first": torch.ones(7, 3)}, "steps": 12}


def test_a_changed_byte_is_named_or_changes_nothing(tmp_path: Path) -> None:
    """Of the archive's own fields some do not matter; each byte of what is kept has a checksum."""
    file = tmp_path / "checkpoint.pt"
    save_checkpoint(file, STATE)
    whole, named = file.read_bytes(), 0
    for at in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        file.write_bytes(changed)
        try:
            assert str(load_checkpoint(file)) == str(STATE)
        except InputError as error:
            assert str(error).startswith(f"{file}: damaged or no checkpoint (")
            named += 1
    assert named > 1200 / 7  # bytes of the weights alone


def test_a_changed_weight_is_named_with_the_part(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    save_checkpoint(file, STATE)
    value = torch.tensor(123.0).numpy().tobytes()
    file.write_bytes(file.read_bytes().replace(value, torch.tensor(124.0).numpy().tobytes(), 1))
    with pytest.raises(
        InputError, match=r"the checksum of .*data/0 does not match\); remove it to train from the start"
    ):
        load_checkpoint(file)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_checkpoint_that_was_cut_short_is_named(tmp_path: Path, share: float) -> None:
    file = tmp_path / "checkpoint.pt"
    save_checkpoint(file, STATE)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(InputError, match="damaged or no checkpoint"):
        load_checkpoint(file)


def test_a_checkpoint_without_checksums_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    torch.save(STATE, file, _use_new_zipfile_serialization=False)  # a plain pickle has none
    with pytest.raises(InputError, match=r"damaged or no checkpoint \(File is not a zip file\)"):
        load_checkpoint(file)
    computed = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(STATE, file)
    finally:
        torch.serialization.set_crc32_options(computed)
    with pytest.raises(InputError, match=r"the checksum of .* does not match"):
        load_checkpoint(file)
