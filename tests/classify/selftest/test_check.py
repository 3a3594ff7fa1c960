"""hcl check on small videos: planted faults are named in text, JSON and page; and the mistakes."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner, Result

from hcl.classify.selftest.check import Check, check
from hcl.classify.selftest.page import make_page, write_check_page
from hcl.classify.selftest.text import as_text
from hcl.cli import main
from hcl.extract.system.errors import InputError

HOSTILE = '<script>alert(1)</script> & "q" \'‮'
pytestmark = pytest.mark.usefixtures("small_extraction")


def hcl(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture
def clips(tmp_path: Path, small_videos: Path) -> Path:
    """Class folders of three videos each."""
    for name in ("clap2", "jump2"):
        (tmp_path / "clips" / name).mkdir(parents=True)
        for copy in (0, 1, 2):
            shutil.copy(small_videos / "novel" / name / f"{copy}.mp4", tmp_path / "clips" / name / f"{copy}.mp4")
    return tmp_path / "clips"


def grey(path: Path, value: int, frames: int = 8) -> None:
    """Write a video of one grey."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(frames):
            image = np.full((48, 64, 3), value, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def test_planted_faults_are_named_everywhere(clips: Path, write_video: Callable[..., Path], tmp_path: Path) -> None:
    shutil.copy(clips / "clap2" / "0.mp4", clips / "clap2" / "copy.mp4")
    grey(clips / "jump2" / "black.mp4", 3)  # no light would make a picture of it
    write_video(clips / "jump2" / "short.mp4", seed=7, frames=2)
    (clips / "jump2" / "broken.mp4").write_bytes(b"no video")
    out, page = tmp_path / "check.json", tmp_path / "check.html"
    told = hcl("check", clips, "--json", out, "--html", page)
    assert told.exit_code == 1, told.output  # one is broken
    found = json.loads(out.read_text())
    assert found["schema"] == "hcl-check" and found["run"] is None
    assert {(each["name"], each["clips"]) for each in found["classes"]} == {("clap2", 3), ("jump2", 5)}
    assert found["leave_one_out"]["asked"] == 8 and not found["leave_one_out"]["groups_apart"]
    assert found["copies"] == ["clap2/copy.mp4"]
    assert {each["path"]: each["reason"][:5] for each in found["silent"]} == {
        "jump2/black.mp4": "black",
        "jump2/short.mp4": "too s",
    }
    assert [each["path"] for each in found["broken"]] == ["jump2/broken.mp4"]
    assert len(found["curve"]) == 5 and found["advice"].startswith(("film more of", "every clip"))
    assert any("no groups are known" in note for note in found["notes"])
    text = page.read_text(encoding="utf-8")
    for name in ("clap2/copy.mp4", "jump2/black.mp4", "jump2/broken.mp4"):
        assert name in told.output and name in text
    assert not re.search(r"""<[^>]*(?:src|href)="(?!data:|#)|url\(|@import""", text)


def test_groups_are_left_out_whole(clips: Path, tmp_path: Path) -> None:
    with (tmp_path / "clips.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label", "group"))
        for name in ("clap2", "jump2"):
            rows.writerows((f"clips/{name}/{copy}.mp4", name, "pq"[copy % 2]) for copy in range(3))
    found = check(tmp_path / "clips.csv")
    assert found.by_group and [each.groups for each in found.classes] == [2, 2]
    assert "each left out with all of its group" in as_text(found)
    assert len(found.curve) == 2  # of p two clips answer for q


@pytest.mark.usefixtures("text_model")
def test_with_a_run_and_from_a_support_set(clips: Path, trained_run: Path, tmp_path: Path, small_videos: Path) -> None:
    given = check(clips, trained_run)
    assert not any("learned from" in note for note in given.notes)
    learned = check(small_videos / "base", trained_run)
    assert any("12 clips were learned from" in note for note in learned.notes)
    assert given.run == str(trained_run) and given.asked == 6
    assert hcl("index", clips, "--run", trained_run, "--out", tmp_path / "x.support").exit_code == 0
    stored = check(tmp_path / "x.support")
    assert (stored.run, stored.right, stored.curve) == (str(trained_run), given.right, given.curve)
    shutil.rmtree(clips)
    assert any("6 clips not where they were" in note for note in check(tmp_path / "x.support").notes)


def test_one_clip_a_class_says_that_nothing_can_be_said(clips: Path) -> None:
    for name in ("clap2", "jump2"):
        for copy in (1, 2):
            (clips / name / f"{copy}.mp4").unlink()
    found = check(clips)
    assert found.asked == 0 and found.to_dict()["leave_one_out"]["accuracy"] is None
    assert "no clip can be left out" in as_text(found) and "film more of clap2, jump2" in as_text(found)
    assert make_page(found, "x").figures == ()


def test_a_hostile_name_is_text(clips: Path, tmp_path: Path) -> None:
    found = check(clips)
    called = Check(**{**found.__dict__, "run": HOSTILE, "advice": f"film more of {HOSTILE}", "copies": (HOSTILE,)})
    write_check_page(tmp_path / "x.html", called, HOSTILE)
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text and "‮" not in text
    assert "‮" not in as_text(called)


def test_the_page_stands_alone_in_a_browser(clips: Path, tmp_path: Path, stands_alone: Callable[[Path], None]) -> None:
    assert hcl("check", clips, "--html", tmp_path / "x.html").exit_code == 0
    stands_alone(tmp_path / "x.html")


MISTAKES = {
    "no such folder": ("nowhere", (), "nowhere: no such folder or manifest"),
    "one class": ("clips/clap2", (), None),
    "no such run": ("clips", ("--run", "nowhere"), "nowhere: no such file or folder; expected a run"),
    "a folder for a page": (
        "clips",
        ("--html", "clips"),
        "clips: a folder, expected a file to write",
    ),
    "a page nowhere": ("clips", ("--html", "no/page.html"), "no folder no"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_one_line(mistake: str, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    support, options, said = MISTAKES[mistake]
    monkeypatch.chdir(clips.parent)
    told = hcl("check", support, *options)
    assert told.exit_code == 2 and (said or "") in told.output and told.output.count("\n") == 1, told.output


def test_one_class_is_refused(clips: Path) -> None:
    shutil.rmtree(clips / "jump2")
    with pytest.raises(InputError, match=r"1 class \(clap2\): a test needs 2 or more to tell apart"):
        check(clips)
