"""The commands of match as a user meets them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hcl.cli import main
from hcl.extract.system.settings import ADVANCED, COMPUTED, INPUT
from hcl.match.evaluation.evaluate import evaluate


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def succeed(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(autouse=True)
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_embeddings: Callable[..., Path]) -> None:
    monkeypatch.chdir(tmp_path)
    write_embeddings(Path("a.zarr"))
    write_embeddings(Path("b.zarr"))


def test_results_are_always_a_list_of_runs() -> None:
    """Each holds what a call from Python gives."""
    succeed("evaluate", "a.zarr", "--episodes", 20, "--json", "one.json")
    succeed("evaluate", "a.zarr", "b.zarr", "--episodes", 20, "--seeds", "3,4", "--json", "four.json")
    one, four = (json.loads(Path(name).read_text())["runs"] for name in ("one.json", "four.json"))
    assert [len(one), len(four)] == [1, 4] and [run["episodes"]["seed"] for run in four] == [3, 4, 3, 4]
    assert one[0] == json.loads(json.dumps(evaluate(Path("a.zarr"), episodes=20).to_dict()))
    assert set(one[0]) == set(four[0]) and four[0]["store"] == "a.zarr"


def test_every_option_reaches_its_setting() -> None:
    options = ("--way", 3, "--shot", "1,2", "--queries", 2, "--episodes", 9, "--seed", 4, "--group-disjoint")
    options += ("--no-spatial", "--aggregate", "all", "--top-clips", 2, "--top-patches", 3)
    options += ("--patch-selection", "moving")
    succeed("evaluate", "a.zarr", *options, "--attention-scale", "paper", "--json", "r.json")
    (found,) = json.loads(Path("r.json").read_text())["runs"]
    expected = evaluate(
        "a.zarr",
        way=3,
        shot=(1, 2),
        queries=2,
        episodes=9,
        seed=4,
        group_disjoint=True,
        spatial=False,
        aggregate=("prototype", "mean", "max"),
        top_clips=2,
        top_patches=3,
        attention_scale="paper",
        patch_selection="moving",
    )
    assert found == json.loads(json.dumps(expected.to_dict()))


def test_options_stand_in_groups_and_all_have_help() -> None:
    for command in ("evaluate", "compare"):
        text = succeed(command, "--help")
        assert text.index(f"{INPUT}:") < text.index(f"{COMPUTED}:") < text.index(f"{ADVANCED}:")
        for parameter in main.commands[command].params:
            assert parameter.param_type_name == "argument" or parameter.help  # type: ignore[attr-defined]


def test_a_method_that_nobody_knows_is_refused_with_the_list() -> None:
    result = run("evaluate", "a.zarr", "--method", "tsn")
    assert result.exit_code == 2 and len(result.output.splitlines()) == 1
    assert "hcl, resnet, protonet, matchingnet, maml" in result.output and "'tsn'" in result.output


def test_a_store_is_scored_by_a_matcher_without_training() -> None:
    assert "| bimhm" in succeed("evaluate", "a.zarr", "--episodes", 20, "--method", "bimhm", "--json", "r.json")
    (found,) = json.loads(Path("r.json").read_text())["runs"]
    assert found["method"] == "bimhm" and [*found["levels"]] == ["bimhm"] and found["baseline"]
    told = run("evaluate", "a.zarr", "--method", "tarn").output
    assert "embeddings of hcl, not of tarn" in told and "one of hcl, resnet, protonet, matchingnet, otam, bimhm" in told


HOSTILE = ("\x1b[2Jclear", "a\nfake line", "<img src=x onerror=alert(1)>", "a | b", "$\\undefined", "plain")


@pytest.fixture
def hostile_store(write_embeddings: Callable[..., Path], edit_attributes: Callable[..., None]) -> Path:
    """A store whose classes, videos, origin and weights have names that do more than name."""
    path = Path("hostile.zarr")
    contents = ("same", "same", *(f"h{row}" for row in range(28)))
    paths = (*("\x1b]0;t\x07.mp4", "<b>\n.mp4"), *(f"v{row}.mp4" for row in range(28)))
    labels = tuple(HOSTILE[row // 5] for row in range(30))
    write_embeddings(path, label=labels, path=paths, content=contents)
    origin = {"run": "\x1b[31mrun\nfake: line", "cache": "<b>"}
    hostile = {"origin": origin, "trained_classes": ["a | b", "a\nfake line"]}
    edit_attributes(path, lambda attributes: attributes.update(hostile))
    return path


def test_what_files_say_is_printed_as_text_alone(hostile_store: Path) -> None:
    store = hostile_store
    shutil.copytree(store, "other.zarr")
    few = ("--way", 3, "--episodes", 20)
    told = {
        "evaluate": succeed("evaluate", store, *few, "--markdown", "one.md", "--keep-trained-classes"),
        "runs": succeed("evaluate", store, *few, "--seeds", "1,2", "--markdown", "two.md"),
        "compare": succeed("compare", store, "other.zarr", *few, "--markdown", "three.md"),
        "info": succeed("info", store, "--verify"),
        "error": run("evaluate", store, "--way", 30).output,
    }
    for name, text in told.items():
        assert "\x1b" not in text and "\x07" not in text and "\nfake" not in text, name
    assert r"\x1b[2Jclear" in told["evaluate"] and r"a\nfake line" in told["evaluate"]
    assert r"\x1b]0;t\x07.mp4 = <b>\n.mp4" in told["evaluate"] and r"\x1b[31mrun\nfake: line" in told["info"]
    assert len(told["error"].splitlines()) == 1 and r"a\nfake line" in told["error"]
    for name in ("one.md", "two.md", "three.md"):
        written = Path(name).read_text()
        assert "<" not in written and "\x1b" not in written and r"a \| b" in written
    assert "&lt;img src=x onerror=alert(1)&gt;" in Path("one.md").read_text()


def test_pictures_take_no_label_for_a_formula(hostile_store: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plot extra is not installed")
    succeed("evaluate", hostile_store, "--way", 3, "--episodes", 20, "--plot", "pictures", "--keep-trained-classes")
    assert len(list(Path("pictures").glob("*.png"))) == 3
