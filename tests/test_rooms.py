"""Imports run one way, from stage to stage and from room to room; heavy or narrow packages stay where they belong."""

import ast
import configparser
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Who may import whom: each name may import itself and those before it. Rooms are listed within their stage.
STAGES = ("extract", "match", "train", "classify", "cli")
ROOMS = {
    "extract": (
        *("system", "config", "catalog", "video", "decoding", "cache", "hub", "backbones", "demo"),
        *("pipeline", "commands"),
    ),
    "match": (
        *("config", "embeddings", "scoring", "fast_scoring", "methods", "store", "episodes", "confidence"),
        *("evaluation", "reports"),
        "commands",
    ),
    "train": (
        *("config", "distributed", "encoders", "data", "losses", "embedding", "fitting", "runs", "adaptation"),
        "studies",
        "commands",
    ),
    "classify": (
        *("config", "embedding", "support", "answers", "pages", "commands", "selftest", "adaptation", "spotting"),
        *("explanation", "app"),
    ),
}
NARROW = {  # where a package may be imported
    "click": {
        *("cli.py", "*/commands.py", "extract/system/options.py", "extract/system/console.py"),
        "extract/system/places/arguments.py",
    },
    "cloup": {"cli.py", "*/commands.py", "extract/system/options.py"},
    "usearch": {"match/store/search/graph_index.py"},
    "zarr": {
        *(
            "extract/system/places/zarr_groups.py",
            "extract/system/places/zarr_store.py",
            "extract/cache/*",
            "match/store/*",
        ),
        "match/evaluation/score_cache.py",
    },
    "obstore": {"extract/system/places/*"},
    "boto3": {"extract/system/places/connecting.py"},
    "decord": {"extract/video/decord_reader.py"},
    "torch.distributed": {"train/distributed.py"},
    "torch.utils.tensorboard": {"train/runs/tracking/trackers.py"},
    "wandb": {"train/runs/tracking/trackers.py"},
    "mlflow": {"train/runs/tracking/trackers.py"},
    "ray": {"extract/pipeline/cluster/connecting.py"},
}
LIGHT = (
    "extract/config.py",
    "extract/pipeline/cluster/config.py",
    "extract/demo/config.py",
    "match/config.py",
    "match/store/search/config.py",
    "train/config.py",
    "train/adaptation/config.py",
    "classify/config.py",
    "classify/spotting/config.py",
    "classify/app/config.py",
    "*/commands.py",
    "*/*/commands.py",
    "*/*/*/commands.py",
    "cli.py",
)
HEAVY = {"torch", "torchvision", "transformers", "zarr", "av", "decord", "numpy", "h5py", "pandas", "matplotlib"}


def source_files(root: Path = ROOT) -> list[Path]:
    """Every Python file of the package, in whatever room."""
    return [
        *(path for path in (root / "__main__.py", root / "__init__.py", root / "cli.py") if path.is_file()),
        *(path for stage in STAGES for path in sorted((root / stage).rglob("*.py"))),
    ]


def imported(path: Path, *, at_start: bool = False) -> set[str]:
    """The modules that a file imports; with `at_start`, only those that are imported when it is."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes: Iterable[ast.AST] = ast.walk(tree)
    if at_start:
        nodes = [node for node in tree.body if not isinstance(node, ast.If)]
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def wrong_imports(root: Path) -> list[str]:
    """Imports against the flow, as "file imports module"."""
    found = []
    for path in source_files(root):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[0] not in STAGES:
            continue
        for name in sorted(imported(path)):
            other = name.split(".")[1:]
            if name.split(".")[0] != "hcl" or not other or other[0] not in STAGES:
                continue
            later_stage = STAGES.index(other[0]) > STAGES.index(parts[0])
            rooms = ROOMS.get(parts[0], ())
            same_stage = other[0] == parts[0] and len(other) > 1 and len(parts) > 1
            later_room = same_stage and parts[1] in rooms and other[1] in rooms
            if later_stage or (later_room and rooms.index(other[1]) > rooms.index(parts[1])):
                found.append(f"{path.relative_to(root).as_posix()} imports {name}")
    return found


def within(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")


def test_imports_run_one_way() -> None:
    assert wrong_imports(ROOT) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("extract/cache/base.py", "from hcl.match.config import HCL"),
        ("match/scoring/deep/nested.py", "from hcl.train import config"),
        ("extract/system/errors.py", "def f():\n    import hcl.extract.video.frames"),
        ("match/scoring/scores.py", "from hcl.match.store import batch"),
        ("train/config.py", "from hcl.cli import main"),
    ],
)
def test_an_import_against_the_flow_is_found(tmp_path: Path, file: str, line: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text("from hcl.extract.system.errors import InputError\n")
    assert wrong_imports(tmp_path) == []
    path.write_text(line + "\n")
    assert len(wrong_imports(tmp_path)) >= 1


@pytest.mark.parametrize("stage", ROOMS)
def test_every_room_has_its_place_in_the_flow(stage: str) -> None:
    names = {path.stem for path in (ROOT / stage).iterdir() if path.name not in ("__init__.py", "__pycache__")}
    assert names == set(ROOMS[stage])


def rooms() -> list[Path]:
    return sorted({path.parent for path in source_files() if path.parent != ROOT})


@pytest.mark.parametrize("room", rooms(), ids=lambda room: room.relative_to(ROOT).as_posix())
def test_a_room_shows_4_to_12_names_and_says_what_happens_there(room: Path) -> None:
    names = [path.name for path in room.iterdir() if path.name != "__pycache__"]
    assert 4 <= len(names) <= 12, sorted(names)
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert len(text) > 60 and "In:" in text and "Out:" in text


def test_every_room_is_installed() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    listed = set(settings["options"]["packages"].split())
    assert listed == {"hcl", *("hcl." + room.relative_to(ROOT).as_posix().replace("/", ".") for room in rooms())}
    assert {path.name for path in ROOT.glob("*.py")} == {
        "__init__.py",
        "__main__.py",
        "cli.py",
    }  # all of it is installed


def declared(*, extras: bool) -> set[str]:
    """The distributions that the project asks for, by their normalised names."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    lists = [settings["options"]["install_requires"]]
    lists += settings["options.extras_require"].values() if extras else []
    lines = [line for text in lists for line in text.splitlines() if line]
    return {re.split(r"[\s><=!~;\[]", line)[0].lower().replace("_", "-") for line in lines}


GIVERS = {"mlflow": ["mlflow-skinny"]}  # of packages that need not be installed and are called otherwise
OF_AN_EXTRA = "classify/app/web"  # a room that the command app alone imports, and says which extra is missing


def test_a_room_of_an_extra_is_imported_where_it_is_used() -> None:
    module = f"hcl.{OF_AN_EXTRA.replace('/', '.')}"
    outside = [path for path in source_files() if ROOT / OF_AN_EXTRA not in path.parents]
    assert not [path for path in outside if any(within(name, module) for name in imported(path, at_start=True))]


@pytest.mark.parametrize("at_start", [True, False])
def test_what_is_imported_is_declared(at_start: bool) -> None:
    """A package of an extra is imported where it is used, never when the module is."""
    known = importlib.metadata.packages_distributions()
    for path in source_files():
        asked_for = declared(extras=not at_start or ROOT / OF_AN_EXTRA in path.parents)
        for name in {module.split(".")[0] for module in imported(path, at_start=at_start)}:
            if name in sys.stdlib_module_names or name in ("hcl", "_typeshed"):
                continue
            givers = {giver.lower().replace("_", "-") for giver in known.get(name, GIVERS.get(name, [name]))}
            assert givers & asked_for, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("package", sorted(NARROW))
def test_narrow_packages_stay_where_they_belong(package: str) -> None:
    users = {path.relative_to(ROOT) for path in source_files() if any(within(n, package) for n in imported(path))}
    strangers = {user.as_posix() for user in users if not any(user.match(place) for place in NARROW[package])}
    assert not strangers


def test_settings_and_commands_import_nothing_heavy() -> None:
    for place in LIGHT:
        for path in ROOT.glob(place):
            assert not {module.split(".")[0] for module in imported(path, at_start=True)} & HEAVY, path


def loads_nothing_of(modules: set[str], code: str) -> bool:
    code += f"; import sys; sys.exit(bool({modules!r} & set(sys.modules)))"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_loads_no_torch() -> None:
    assert loads_nothing_of({"torch", "zarr", "transformers", "av", "numpy"}, "import hcl, hcl.cli")


def test_decoding_workers_load_no_torch() -> None:
    assert loads_nothing_of({"torch", "zarr", "transformers"}, "import hcl.extract.decoding.worker")


def test_no_pickle_is_ever_loaded() -> None:
    for path in source_files():
        text = path.read_text(encoding="utf-8")
        assert "pickle.load" not in text and "allow_pickle=True" not in text and "weights_only=False" not in text
        if "torch.load(" in text:
            assert "weights_only=True" in text, path
