"""ruff and mypy have nothing to say; skipped where they are not installed."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str, cwd: Path = ROOT, **environment: str) -> None:
    import os

    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
def test_ruff_is_content() -> None:
    run("ruff", "check", ".")
    run("ruff", "format", "--check", ".")


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_mypy_is_content(tmp_path: Path) -> None:
    """mypy cannot see through an editable install: it is shown the checkout under the package's name."""
    (tmp_path / "hcl").symlink_to(ROOT, target_is_directory=True)
    settings = ["--config-file", str(ROOT / "setup.cfg"), "--cache-dir", str(tmp_path / "cache")]
    run("mypy", *settings, MYPYPATH=str(tmp_path))
