"""hcl index and hcl classify, as a person uses them: answers, files, exit codes, and the likeliest mistakes."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hcl.classify.config import ClassifyConfig
from hcl.cli import main


def hcl(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture
def shelf(tmp_path: Path, small_videos: Path) -> Path:
    """Class folders of two videos each, and queries beside them."""
    for name in ("clap2", "jump2", "wave2"):
        (tmp_path / "support" / name).mkdir(parents=True)
        for copy in (0, 1):
            shutil.copy(small_videos / "novel" / name / f"{copy}.mp4", tmp_path / "support" / name / f"{copy}.mp4")
        (tmp_path / "queries" / "deep").mkdir(parents=True, exist_ok=True)
        shutil.copy(small_videos / "novel" / name / "2.mp4", tmp_path / "queries" / "deep" / f"{name}.mp4")
    return tmp_path


@pytest.mark.usefixtures("small_extraction")
def test_answers_without_training(shelf: Path) -> None:
    (shelf / "queries" / "broken.mp4").write_bytes(b"no video")
    shutil.copy(shelf / "support" / "jump2" / "0.mp4", shelf / "queries" / "twin.mp4")
    out, table = shelf / "answers.json", shelf / "answers.csv"
    told = hcl("classify", shelf / "queries", "--support", shelf / "support", "--json", out, "--csv", table, "--top", 2)
    assert told.exit_code == 1, told.output  # one is broken
    assert "6 supports of 3 classes: clap2 (2), jump2 (2), wave2 (2)" in told.output
    assert "calibrated on 6 supports, each left out in its turn" in told.output
    assert "twin.mp4: the same video as jump2/0.mp4, which was left out of its scores" in told.output
    document = json.loads(out.read_text())
    assert document["classes"] == ["clap2", "jump2", "wave2"]
    named = {Path(each["query"]).name: each for each in document["queries"]}
    assert named["broken.mp4"]["label"] is None and named["broken.mp4"]["error"] and not named["broken.mp4"]["classes"]
    twin = named["twin.mp4"]
    assert twin["same_as"] == ["jump2/0.mp4"]
    assert {path["path"] for each in twin["classes"] for path in each["supports"]} >= {"jump2/1.mp4"}
    assert not {path["path"] for each in twin["classes"] for path in each["supports"]} & {"jump2/0.mp4"}
    for each in named.values():
        shares = [one["probability"] for one in each["classes"]]
        assert shares == sorted(shares, reverse=True) and (not shares or sum(shares) == pytest.approx(1))
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1 + 2 * 4 and {"global", "temporal", "spatial", "untrained"} <= set(rows[0])
    assert [row["error"] for row in rows if row["error"]] == [named["broken.mp4"]["error"]]


@pytest.mark.usefixtures("small_extraction")
def test_a_support_set_answers_as_its_videos_do_and_can_be_changed(shelf: Path) -> None:
    path = shelf / "x.support"
    made = hcl("index", shelf / "support", "--out", path)
    assert made.exit_code == 0 and "6 videos of 3 classes" in made.output, made.output
    said = [
        hcl("classify", shelf / "queries", "--support", support, "--jsonl") for support in (path, shelf / "support")
    ]
    lines = [[json.loads(line) for line in each.output.splitlines()] for each in said]
    assert [one["label"] for one in lines[0]] == [one["label"] for one in lines[1]] and len(lines[0]) == 3
    for one, other in zip(*lines, strict=True):
        scores = [[each["score"] for each in answer["classes"]] for answer in (one, other)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    shutil.rmtree(shelf / "support" / "wave2")
    removed = hcl("index", "--out", path, "--remove", "wave2", "--remove", "clap2/1.mp4")
    assert removed.exit_code == 0 and "3 videos of 2 classes: clap2 (1), jump2 (2)" in removed.output, removed.output
    added = hcl("index", shelf / "support", "--out", path, "--add")
    assert "4 videos of 2 classes: clap2 (2), jump2 (2)" in added.output, added.output


@pytest.mark.usefixtures("small_extraction", "text_model")
def test_a_run_is_found_by_its_support_set(shelf: Path, trained_run: Path) -> None:
    path, run = shelf / "x.support", shelf / "run"
    shutil.copytree(trained_run, run)
    assert hcl("index", shelf / "support", "--run", run, "--out", path).exit_code == 0
    told = hcl("classify", shelf / "queries", "--support", path)
    assert told.exit_code == 0 and "calibrated on" in told.output
    (run / "encoder.safetensors").rename(run / "kept")
    assert "not trained to its end" in hcl("classify", shelf / "queries", "--support", path).output
    shutil.rmtree(run)
    gone = hcl("classify", shelf / "queries", "--support", path)
    assert gone.exit_code == 2 and "the run of the support set is not there; name it with --run" in gone.output
    assert hcl("classify", shelf / "queries", "--support", path, "--run", trained_run).exit_code == 0


def mistakes(shelf: Path) -> list[tuple[str, list[object]]]:
    """The likeliest mistakes: what each is told, and the command."""
    queries, support, loose = shelf / "queries", shelf / "support", shelf / "loose"
    shutil.copytree(queries / "deep", loose)
    for name in ("empty", "emptier"):
        (shelf / name).mkdir()
    twice = shelf / "twice"
    shutil.copytree(support, twice)
    shutil.copy(twice / "jump2" / "0.mp4", twice / "clap2" / "9.mp4")
    shutil.copytree(support, shelf / "named")
    (shelf / "named" / "jump2").rename(shelf / "named" / "none")
    shutil.copytree(support, shelf / "half")
    for file in (shelf / "half" / "jump2").iterdir():
        file.write_bytes(b"no video")
    (shelf / "unlabelled.csv").write_text("path\nqueries/deep/clap2.mp4\n")
    (shelf / "one.csv").write_text("path,label\nsupport/clap2/0.mp4,clap\nsupport/jump2/0.mp4,jump\n")
    classify = ["classify", queries, "--support"]
    return [
        ("nowhere: no such folder or manifest", [*classify, shelf / "nowhere"]),
        ("no such file or folder; name videos", ["classify", shelf / "no.mp4", "--support", support]),
        ("empty: no videos in it or below", ["classify", shelf / "empty", "--support", support]),
        ("empty: no videos found; the folder is empty", [*classify, shelf / "empty"]),
        ("found 3 videos without class folders, such as", [*classify, loose]),
        ("no column 'label'", [*classify, shelf / "unlabelled.csv"]),
        ("clap2/9.mp4 = jump2/0.mp4: the same video as a support of clap2 and of jump2", [*classify, twice]),
        ("class 'none': so a video is called that is of no class", [*classify, shelf / "named"]),
        ("class 'jump2': none of its videos can be read", [*classify, shelf / "half"]),
        ("cannot be known from 6 clips outside the classes, it takes 19", [*classify, support, "--reject", 0.05]),
        (
            "--reject 0.5: what is of no class is learned by leaving a class out",
            [*classify, shelf / "one.csv", "--reject", 0.5],
        ),
        ("--reject must be a share between 0 and 1", [*classify, support, "--reject", 5]),
        ("--top must be at least 1", [*classify, support, "--top", 0]),
        ("device 'cuda:9' cannot be used", [*classify, support, "--device", "cuda:9"]),
        ("nowhere: no such file or folder; expected a run", [*classify, support, "--run", shelf / "nowhere"]),
        ("nothing to index: name a folder", ["index", "--out", shelf / "x.support"]),
        ("no such support set; make one with: hcl index", ["index", support, "--out", shelf / "y.support", "--add"]),
        (
            "queries: a folder of videos, of which hcl extract makes a cache",
            ["index", support, "--out", queries],
        ),
    ]


@pytest.mark.usefixtures("small_extraction")
def test_the_likeliest_mistakes_are_told_in_one_line(shelf: Path) -> None:
    for message, command in mistakes(shelf):
        told = hcl(*command)
        assert told.exit_code == 2, (message, told.output)
        assert message in told.output.replace("\n", " "), (message, told.output)
        assert len([line for line in told.output.splitlines() if line.startswith("Error")]) == 1, told.output


@pytest.mark.usefixtures("small_extraction", "text_model")
def test_a_support_set_is_not_mixed_with_another_run_or_backbone(shelf: Path, trained_run: Path) -> None:
    path = shelf / "x.support"
    assert hcl("index", shelf / "support", "--out", path).exit_code == 0
    other = hcl("classify", shelf / "queries", "--support", path, "--run", trained_run)
    assert other.exit_code == 2 and re.search("embedded otherwise .*encoder untrained there", other.output)
    assert "a support set already" in hcl("index", path, "--out", shelf / "z.support").output
    assert "a store, not videos" in hcl("classify", path, "--support", path).output
    mixed = hcl("index", shelf / "support", "--out", path, "--add", "--run", trained_run)
    assert mixed.exit_code == 2 and "embedded otherwise" in mixed.output


def test_hostile_names_are_shown_as_text(shelf: Path, small_extraction: None, write_video: Callable[..., Path]) -> None:
    name = "a\n\x1b[2J|=cmd"
    (shelf / "support" / "jump2").rename(shelf / "support" / name)
    table = shelf / "t.csv"
    told = hcl("classify", shelf / "queries", "--support", shelf / "support", "--csv", table, "--jsonl")
    assert told.exit_code == 0 and "\x1b" not in told.output and len(told.output.splitlines()) == 3
    told = hcl("classify", shelf / "queries", "--support", shelf / "support")
    assert "\x1b" not in told.output and "a\\n\\x1b[2J|=cmd" in told.output


def test_a_share_is_checked_when_it_is_named() -> None:
    for wrong in (0, 1, -0.1, float("nan")):
        with pytest.raises(Exception, match="--reject must be a share"):
            ClassifyConfig(reject=wrong)
