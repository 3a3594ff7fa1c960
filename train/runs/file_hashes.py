"""What proves the weights and metrics of a run whole: SHA256SUMS in its folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.errors import InputError

SUMS = "SHA256SUMS"  # as `sha256sum -c` reads it


def write_sums(run: Path, names: tuple[str, ...]) -> None:
    """Record the hashes of those of a run's files that are there."""
    lines = [f"{file_hash(run / name)}  {name}\n" for name in names if (run / name).is_file()]
    with atomic_file(run / SUMS) as fresh:
        fresh.write_text("".join(lines), encoding="utf-8")


def is_recorded(run: Path, name: str) -> bool:
    """Whether the hash of a file is recorded, as it is once a run is trained."""
    sums = run / SUMS
    return sums.is_file() and name in sums.read_text(encoding="utf-8", errors="replace").split()


def check_sum(run: Path, name: str) -> None:
    """Refuse a file of a trained run that is not as it was written.

    Raises:
        InputError: if its hash is not recorded, or is another one
    """
    try:
        lines = (run / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
        found = file_hash(run / name)
    except OSError as error:
        raise InputError(
            f"{error.filename}: cannot be read ({error.strerror}); expected {name} and its hash in {SUMS}: restore the"
            f" file, let the run finish with: hcl train CACHE --run {run}, or train it anew"
        ) from error
    if f"{found}  {name}" not in lines:
        raise InputError(
            f"{run / name}: damaged or changed: its SHA-256 {found[:8]}... is not the one in {SUMS}; restore the file"
            " or train the run anew"
        )


def file_hash(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
