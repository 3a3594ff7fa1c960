"""Methods by name: the shipped ones, and those of other packages, which are checked when they are loaded."""

import importlib
from pathlib import Path

import pytest

from hcl.extract.system.errors import InputError
from hcl.match.config import METHODS
from hcl.match.methods.matcher import has_matcher
from hcl.match.methods.registry import BASELINES, find_method

MODULE = """
class Whole:
    axes = {"middle": ("video", "embedding")}
    pairwise = False

    def class_scores(self, queries, supports):
        return -(queries["middle"][..., :, None, :] - supports["middle"].mean(-2)[..., None, :, :]).abs().sum(-1)

    def make_head(self, frames, width):
        raise NotImplementedError


whole = Whole()


class Partly:
    axes = {"middle": ("video", "embedding")}
    pairwise = False


class Comparing:
    axes = {"middle": ("video", "embedding")}
    pairwise = False

    def make_head(self, frames, width):
        raise NotImplementedError

    def make_matcher(self, frames, width):
        raise NotImplementedError


class Misnamed(Whole):
    axes = {"label": ("video", "embedding")}


class Crooked(Whole):
    axes = {"middle": ("embedding", "video")}


class Empty(Whole):
    axes = {}


class Picky(Whole):
    def __init__(self, wish):
        pass
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module on sys.path, and an entry point to it; of each test another, for Python keeps them."""
    name = f"stranger_{tmp_path.name.strip('_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    info = tmp_path / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[hcl.methods]\nmine = {name}:Whole\notam = {name}:Whole\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return name


def test_a_method_is_found_by_its_place_and_by_its_entry_point(module: str) -> None:
    for name in (f"{module}:Whole", f"{module}:whole", "mine"):
        assert dict(find_method(name).axes) == {"middle": ("video", "embedding")}


def test_every_shipped_method_stands_in_the_reference_with_what_it_needs() -> None:
    page = Path(__file__).parents[3].joinpath("docs/reference/methods.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `")]
    told = {name.strip("` "): row[2:4] for row in rows for name in row[0].split(",")}
    assert tuple(told) == METHODS
    for name, method in BASELINES.items():
        assert told[name] == ["yes" if method.pairwise else "", "yes" if has_matcher(method) else "no"], name


def test_a_method_with_a_matcher_needs_no_scores_beside_it(module: str) -> None:
    assert has_matcher(find_method(f"{module}:Comparing")) and not has_matcher(find_method(f"{module}:Whole"))


def test_the_folder_that_the_program_runs_in_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside_me.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    assert find_method("beside_me:Whole").pairwise is False


def test_shipped_names_come_first(module: str) -> None:
    assert find_method("otam") is BASELINES["otam"] and all(find_method(name) is BASELINES[name] for name in BASELINES)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("nowhere_at_all:Whole", "No module named 'nowhere_at_all'"),
        ("{}:Nobody", "has no attribute 'Nobody'"),
        ("{}:", "has no attribute ''"),
        ("{}:Partly", "it has no class_scores"),
        ("{}:Misnamed", "an array cannot be called 'label'"),
        ("{}:Crooked", "the first axis of array 'middle' must be 'video'"),
        ("{}:Empty", "its axes name no array"),
        ("{}:Picky", "missing 1 required positional argument: 'wish'"),
    ],
)
def test_what_is_no_method_is_refused_in_one_line(module: str, place: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        find_method(place.format(module))
    assert "give it as package.module:Name" in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_name_is_refused_with_the_list(module: str) -> None:
    with pytest.raises(
        InputError, match="must be one of hcl, resnet, protonet, .*, otam, bimhm, .*, strm, mine, an entry"
    ):
        find_method("tsn")
