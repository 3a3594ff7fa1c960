"""Imports run one way, and heavy or narrow packages stay where they belong."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = ("extract", "match", "train", "cli", "__main__")
FILES = [ROOT / "__main__.py", ROOT / "cli.py", *(path for stage in ORDER[:3] for path in (ROOT / stage).glob("*.py"))]
ALLOWED = {
    "click": {"cli.py"},
    "zarr": {"extract/cache.py", "match/store.py", "match/score_file.py"},
    "decord": {"extract/decord_reader.py"},
    "torch.distributed": {"train/distributed.py"},
    "torch.utils.tensorboard": {"train/tensorboard_log.py"},
}
LIGHT = [
    *("extract/config.py", "extract/demo_config.py", "extract/errors.py", "match/config.py"),
    *("train/config.py", "train/crossval_config.py"),
]
HEAVY = {"torch", "torchvision", "transformers", "zarr", "av", "decord", "numpy", "h5py"}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def within(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")


def stage(path: Path) -> int:
    return ORDER.index(path.relative_to(ROOT).parts[0].removesuffix(".py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_run_one_way(path: Path) -> None:
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "hcl" and len(parts) > 1:
            assert ORDER.index(parts[1]) <= stage(path), f"{path.name} imports {name}"


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_narrow_packages_stay_where_they_belong(package: str) -> None:
    users = {path.relative_to(ROOT).as_posix() for path in FILES if any(within(n, package) for n in imported(path))}
    assert users <= ALLOWED[package]


@pytest.mark.parametrize("name", LIGHT)
def test_settings_import_nothing_heavy(name: str) -> None:
    assert not {module.split(".")[0] for module in imported(ROOT / name)} & HEAVY


def test_help_loads_no_torch() -> None:
    code = "import sys, hcl.cli; sys.exit(bool({'torch', 'zarr', 'transformers', 'av'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_pickle_is_ever_loaded() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert "pickle.load" not in text and "allow_pickle=True" not in text and "weights_only=False" not in text
        if "torch.load(" in text:
            assert "weights_only=True" in text, path
