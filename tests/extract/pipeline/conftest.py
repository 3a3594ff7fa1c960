"""Small real videos of three classes, and how they are extracted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hcl.extract.config import ExtractConfig


@pytest.fixture
def videos(tmp_path: Path, write_video: Any) -> Path:
    """A folder of three classes with three videos each."""
    for number, name in enumerate(("clap", "jump", "nod")):
        for copy in range(3):
            write_video(tmp_path / "videos" / name / f"{copy}.mp4", seed=10 * number + copy)
    return tmp_path / "videos"


@pytest.fixture
def config(small_config: ExtractConfig) -> ExtractConfig:
    """An extraction whose classes are all novel."""
    return replace(small_config, split_policy="all-novel")
