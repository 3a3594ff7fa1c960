"""Checkpoints: written atomically, and loaded without running code."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import torch

from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.errors import InputError, first_line, lacks_resources, write_errors
from hcl.extract.system.places.location import is_remote


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


def _source(file: Path, content: bytes | None) -> Any:
    """What a checkpoint is read from: its file, or its content where that was read already."""
    return file if content is None else io.BytesIO(content)


def load_checkpoint(file: Path) -> dict[str, Any]:
    """Read a state back, on the CPU.

    Raises:
        InputError: if it is damaged or holds anything but tensors, numbers and strings
    """
    try:
        content = file.read_bytes() if is_remote(file) else None
        with zipfile.ZipFile(_source(file, content)) as archive:  # torch reads past the checksums that it wrote
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(f"the checksum of {damaged} does not match")
        state: dict[str, Any] = torch.load(_source(file, content), map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise ValueError(f"holds {type(state).__name__}")
    except Exception as error:  # of any kind: unpickling raises what it likes at damage
        if lacks_resources(error) or isinstance(error, InputError):
            raise
        raise InputError(
            f"{file}: damaged or no checkpoint ({first_line(error)}); remove it to train from the start"
        ) from error
    return state
