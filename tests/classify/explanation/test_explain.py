"""hcl explain from end to end: of a run with and without texts, untrained, of one support and of a set; mistakes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hcl.classify.answers.matcher import PairScores
from hcl.classify.explanation.explain import PAPER_SUM, WEIGHTED, levels_of_pair, ranked_by_level
from hcl.cli import main
from hcl.extract.config import ExtractConfig


def hcl(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, small_config: ExtractConfig, small_extraction: None) -> None:
    """The folder where the weights lie, of which the run's cache speaks; an extraction is a small one."""
    monkeypatch.chdir(Path(small_config.weights).parent)


@pytest.mark.usefixtures("here", "text_model")
def test_the_page_of_a_match_stands_alone_in_a_browser(
    small_videos: Path, trained_run: Path, tmp_path: Path, stands_alone: Callable[[Path], None]
) -> None:
    pair = small_videos / "novel" / "clap2" / "0.mp4", small_videos / "novel" / "wave2" / "1.mp4"
    given = ("--run", trained_run, "--workers", 1, "--text-model", "none")
    assert hcl("explain", *pair, *given, "--out", tmp_path / "match.html").exit_code == 0
    stands_alone(tmp_path / "match.html")


@pytest.mark.usefixtures("here", "text_model")
def test_a_match_of_a_run_as_page_and_as_picture(small_videos: Path, trained_run: Path, tmp_path: Path) -> None:
    pair = small_videos / "novel" / "clap2" / "0.mp4", small_videos / "novel" / "wave2" / "1.mp4"
    out = tmp_path / "match.html"
    told = hcl("explain", *pair, "--run", trained_run, "--out", out, "--workers", 1, "--text-model", "small bert")
    assert told.exit_code == 0, told.output
    page = out.read_text(encoding="utf-8")
    assert "of class wave2" in page and "Semantic attention of wave2" in page and "Clip pair 2" in page
    assert "by level" not in page and page.count("<symbol") == 8
    out = tmp_path / "match.png"
    told = hcl("explain", *pair, "--run", trained_run, "--out", out, "--workers", 1, "--text-model", "none")
    assert told.exit_code == 0 and out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("here")
def test_a_set_shows_the_most_similar_support_of_each_level(small_videos: Path, tmp_path: Path) -> None:
    shutil.copytree(small_videos / "novel", tmp_path / "shelf")
    query, out = tmp_path / "shelf" / "clap2" / "0.mp4", tmp_path / "match.html"
    assert hcl("explain", query, tmp_path / "shelf", "--out", out, "--workers", 1).exit_code == 0
    page = out.read_text(encoding="utf-8")
    assert "most similar support by level" in page and "Nothing was trained" in page and "Semantic" not in page
    assert f"Support: clap2{'/'}0.mp4" not in page  # the query itself is among the supports
    assert "weighted sum of all levels: " in page
    kept = tmp_path / "kept.support"
    assert hcl("index", tmp_path / "shelf", "--out", kept, "--workers", 1).exit_code == 0
    again = tmp_path / "again.html"
    assert hcl("explain", query, kept, "--out", again, "--workers", 1).exit_code == 0
    assert again.read_text(encoding="utf-8") == page
    for path in (tmp_path / "shelf").rglob("[123].mp4"):
        path.write_bytes(path.read_bytes() + b"!")
    told = hcl("explain", query, kept, "--out", again, "--workers", 1)
    assert told.exit_code == 2 and "changed since it was indexed; index it anew" in told.output
    shutil.rmtree(tmp_path / "shelf" / "jump2")
    shutil.rmtree(tmp_path / "shelf" / "wave2")
    for name in ("1", "2", "3"):
        (tmp_path / "shelf" / "clap2" / f"{name}.mp4").unlink()
    told = hcl("explain", query, kept, "--out", again, "--workers", 1)
    assert told.exit_code == 2 and "the video of this support is not there" in told.output


def test_each_level_and_sum_has_its_most_similar_support() -> None:
    levels = np.array([[[0.1, 0.9, 0.3, 0.0], [0.8, 0.1, 0.2, 0.0], [0.2, 0.3, 0.9, 9.0]]])
    names, total = ("global", "temporal", "spatial", "motion"), np.array([[1.0, 2.0, 3.0]])
    scores = PairScores(names, levels, np.empty((1, 3, 0)), total)
    trained = ("global", "temporal", "spatial")
    found = ranked_by_level(scores, trained, [0, 1, 2], is_weighed=True)
    assert [(name, row) for name, row, _ in found] == [
        ("global", 1),
        ("temporal", 0),
        ("spatial", 2),
        (PAPER_SUM, 2),
        (WEIGHTED, 2),
    ]
    assert found[3][2] == pytest.approx(1.4)
    assert [row for _, row, _ in ranked_by_level(scores, ("global",), [0, 2], is_weighed=False)] == [2, 2]
    assert [name for name, _ in levels_of_pair(scores, ("global",), 0, is_weighed=False)] == [
        "global",
        "motion",
        PAPER_SUM,
    ]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["VIDEO", "VIDEO", "--out", "a.pdf"], "--out a.pdf: name a file that ends in .html or .png"),
        (["VIDEO", "VIDEO", "--out", "none/a.png"], "there is no folder none; make it, or name another file"),
        (["none.mp4", "VIDEO", "--out", "a.png"], "none.mp4: no such video; name a file, or a folder of frames"),
        (["VIDEO", "none.mp4", "--out", "a.png"], "none.mp4: no such video, folder or support set"),
        (["VIDEO", "VIDEO", "--out", "a.png", "--run", "nowhere"], "nowhere: no such file or folder; expected a run"),
        (["VIDEO", "VIDEO", "--out", "a.png", "--clip-pairs", "0"], "--clip-pairs must be at least 1"),
        (["BROKEN", "VIDEO", "--out", "a.png"], "the file is empty (0 bytes); name another video"),
        (["VIDEO", "BROKEN", "--out", "a.png"], "the file is empty (0 bytes)"),
    ],
)
def test_mistakes_get_one_line(small_videos: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "broken.mp4").touch()
    names = {"VIDEO": small_videos / "novel" / "clap2" / "0.mp4", "BROKEN": tmp_path / "broken.mp4"}
    told = hcl("explain", *(names.get(each, each) for each in arguments), "--workers", 1)
    assert told.exit_code == 2 and len(told.output.strip().splitlines()) == 1, told.output
    assert message in told.output


@pytest.mark.usefixtures("here")
def test_a_run_of_a_baseline_has_no_levels_to_show(trained_cache: Path, small_videos: Path, tmp_path: Path) -> None:
    from hcl.train.runs.running import train

    settings = {"method": "protonet", "dim": 16, "heads": 2, "mlp_dim": 16, "epochs": 1, "steps_per_epoch": 1}
    settings |= {"val_episodes": 5, "device": "cpu", "precision": "float32"}
    train(trained_cache, run=tmp_path / "run", preset="quick", settings=settings, latest=False)
    video = small_videos / "novel" / "clap2" / "0.mp4"
    for command in (["explain", video, video, "--out", tmp_path / "a.png"], ["spot", video, "--support", small_videos]):
        told = hcl(*command, "--run", tmp_path / "run")
        assert told.exit_code == 2 and "a run of method protonet" in told.output and "\n" not in told.output.strip()
