"""What an explanation shows; free of heavy imports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hcl.extract.system.errors import InputError
from hcl.extract.system.settings import ADVANCED, check_settings, setting
from hcl.match.config import PATCH_SELECTIONS

SUFFIXES = (".html", ".png")


@dataclass(frozen=True, kw_only=True)
class ExplainConfig:
    """How much of a match is drawn."""

    clip_pairs: int = setting(5, "Matched clip pairs that are joined by lines, the best first.", at_least=1)
    patch_clips: int = setting(2, "Of these, those whose matched patches are drawn.", at_least=0)
    patch_pairs: int = setting(5, "Matched patches that are outlined in each of these, the best first.", at_least=1)
    label: str = setting(
        "",
        "Class of a SUPPORT that is one video, which semantic attention reads.  [default: its folder's name]",
    )
    patch_selection: str | None = setting(
        None,
        "Which patch pairs count in Eq. 4, as of hcl evaluate.  [default: the run's]",
        group=ADVANCED,
        choices=PATCH_SELECTIONS,
    )

    def __post_init__(self) -> None:
        check_settings(self)


def check_target(path: Path) -> None:
    """Refuse a file that is neither a page nor a picture.

    Raises:
        InputError: the message names what it may end in
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out {path}: name a file that ends in {' or '.join(SUFFIXES)}")
    if path.is_dir():
        raise InputError(f"--out {path}: a folder; name a file in it")
    if not path.parent.is_dir():
        raise InputError(f"--out {path}: there is no folder {path.parent}; make it, or name another file")
