"""Checkpoints: written atomically, and loaded without running code."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.errors import InputError, first_line, write_errors


def save_checkpoint(file: Path, state: dict[str, Any]) -> None:
    """Write a state of tensors, numbers and strings; the old checkpoint stays until the new one is whole.

    Raises:
        InputError: if it cannot be written
    """
    with write_errors(file, "free some space or name another run"):
        with atomic_file(file) as fresh, fresh.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())


def load_checkpoint(file: Path) -> dict[str, Any]:
    """Read a state back, on the CPU.

    Raises:
        InputError: if it is damaged or holds anything but tensors, numbers and strings
    """
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile, EOFError, OSError, KeyError) as error:
        raise InputError(
            f"{file}: damaged or no checkpoint ({first_line(error)}); remove it to train from the start"
        ) from error
    return state
