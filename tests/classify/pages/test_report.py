"""The report of runs of every kind, and what is said where something is missing."""

import builtins
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hcl.classify.pages.content import level_rows
from hcl.classify.pages.page import render
from hcl.classify.pages.parts import ReportRequest
from hcl.classify.pages.report import make_page, write_report
from hcl.cli import main
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.system.errors import InputError
from hcl.match.evaluation.evaluate import EvaluationRequest, evaluate
from hcl.match.reports.report import score_name
from hcl.match.store.locate import SET_STORES

pytest.importorskip("jinja2", reason="the report extra is not installed")

MAXIMUM = 5_000_000  # bytes
LOADS = re.compile(r"""<[^>]*(?:src|href)="(?!data:|#)|url\(|@import""")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


def test_the_command_writes_one_small_file_with_everything(hostile_run: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    result = run(hostile_run, "--out", page, "--episodes", 20, "--shot", "1,2", "--seeds", "0,1")
    assert result.exit_code == 0 and f"{page}: " in result.output, result.output
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < MAXIMUM and list(tmp_path.iterdir()) == [page]
    for title in ("Accuracy by level", "Classes", "Confusion matrix", "Calibration", "Telling matches", "Map of the"):
        assert title in text
    assert "5-way 1- and 2-shot, 1 query per class, 20 episodes, seeds 0, 1" in text
    assert "Learning curves" in text and "the most accurate one on val classes" in text
    assert text.count("data:image/jpeg;base64,") >= 12 and not LOADS.search(text)


def test_the_numbers_are_those_of_the_evaluation(hostile_run: Path, report_text: Callable[..., str]) -> None:
    text = report_text(hostile_run)
    outcome = evaluate(hostile_run, episodes=20).outcomes[0]
    for name, value in outcome.accuracies.items():
        assert f'<th scope="row">{score_name(name)}</th>' in text
        assert f'data-value="{value.accuracy}">{value.accuracy:.2f}</td>' in text
    assert f'<p class="large">{outcome.accuracies[outcome.headline].accuracy:.1f} %</p>' in text


def test_several_draws_have_mean_and_standard_deviation(hostile_run: Path) -> None:
    outcomes = [evaluate(hostile_run, episodes=20, seed=seed).outcomes[0] for seed in (0, 1)]
    row = level_rows(outcomes)[-1]
    reached = [outcome.accuracies[outcome.headline].accuracy for outcome in outcomes]
    assert row.mean == pytest.approx(sum(reached) / 2)
    assert row.std == pytest.approx(abs(reached[0] - reached[1]) / 2**0.5)
    assert row.accuracy == reached[0] and row.is_headline


@pytest.mark.parametrize("method", ["resnet", "protonet", "otam", "trx"])
def test_baselines_have_a_report(drawn_run: Callable[..., Path], report_text: Callable[..., str], method: str) -> None:
    text = report_text(drawn_run(method=method))
    assert f"method {method}" in text and "Map of the embeddings" in text and "Telling matches" in text
    assert ("Nothing was trained" in text) == (method == "resnet")
    assert "2-way episodes: there are 2 novel classes" in text
    assert "left out: --no-pictures" in text and "spatial" not in text.split("Learning curves")[0]


def test_too_few_classes_are_told_and_the_rest_is_shown(
    drawn_run: Callable[..., Path], report_text: Callable[..., str], seven_splits: dict[str, str]
) -> None:
    one = drawn_run("one", seven_splits | {"g": "base"})
    text = report_text(one)
    assert "no episodes: " in text and "Learning curves" in text and "1 class" in text
    assert "Confusion matrix" not in text
    two = drawn_run("two")
    assert "no episodes: " in report_text(two, way_is_given=True, n_way=3)
    assert "Confusion matrix" in report_text(two)


def test_without_val_classes(
    drawn_run: Callable[..., Path], report_text: Callable[..., str], seven_splits: dict[str, str]
) -> None:
    splits = {name: "base" if split == "val" else split for name, split in seven_splits.items()}
    assert "there were no val classes to choose by" in report_text(drawn_run(splits=splits))


def test_with_held_out_base_classes(drawn_run: Callable[..., Path], report_text: Callable[..., str]) -> None:
    splits = {f"class {number}": "base" if number < 9 else "novel" for number in range(11)}
    text = report_text(drawn_run(splits=splits))
    assert "a first training held out some base classes" in text
    assert "With some base classes held out, which choose, accuracy on val classes" in text


def test_a_run_on_several_sets_has_a_part_for_each(
    tmp_path: Path, make_cache: Callable[..., ZarrCache], report_text: Callable[..., str]
) -> None:
    from hcl.train.runs.running import train

    caches = [tmp_path / "first.zarr", tmp_path / "other set.zarr"]
    make_cache(caches[0])
    make_cache(caches[1], seed=1, content="other")
    settings = {"dim": 16, "heads": 2, "mlp_dim": 16, "epochs": 1, "steps_per_epoch": 2, "val_episodes": 5}
    train(caches, run=tmp_path / "run", preset="quick", settings=settings | {"device": "cpu"}, latest=False)
    assert len(list((tmp_path / "run" / SET_STORES).iterdir())) >= 2
    text = report_text(tmp_path / "run")
    assert "Set <bdi>first</bdi>" in text and "Set <bdi>other set</bdi>" in text
    assert text.count("Confusion matrix") == 2


def test_a_store_without_a_run_has_a_report(
    tmp_path: Path, write_embeddings: Callable[..., Path], report_text: Callable[..., str]
) -> None:
    text = report_text(write_embeddings(tmp_path / "store.zarr"))
    assert "Confusion matrix" in text and "Learning curves" not in text


def test_videos_that_are_gone_are_told_in_place_of_pictures(hostile_run: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    request = ReportRequest(evaluation=EvaluationRequest.of(episodes=10), videos=tmp_path / "nowhere")
    write_report(hostile_run, page, request)
    text = page.read_text(encoding="utf-8")
    assert "the video is not there" in text and "data:image/jpeg" not in text


def test_pictures_can_be_left_out(hostile_run: Path, tmp_path: Path) -> None:
    result = run(hostile_run, "--out", tmp_path / "r.html", "--episodes", 10, "--no-pictures")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "left out: --no-pictures" in text and "data:image/jpeg" not in text


def test_what_is_missing_is_one_line(hostile_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(tmp_path / "nowhere", "--out", tmp_path / "r.html")
    assert result.exit_code == 2 and "nowhere: no such file or folder; expected a run" in result.output
    for out in (tmp_path / "no" / "r.html", tmp_path):
        result = run(hostile_run, "--out", out)
        assert result.exit_code == 2 and "name a file in a folder that is there with --out" in result.output
    before = builtins.__import__

    def without_jinja2(name: str, *rest: Any, **named: Any) -> Any:
        if name == "jinja2":
            raise ImportError(name)
        return before(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without_jinja2)
    with pytest.raises(InputError, match=re.escape('a page needs jinja2: pip install jinja2, or "hcl[report]"')):
        write_report(hostile_run, tmp_path / "r.html")
    assert not list(tmp_path.iterdir())


def test_a_page_is_the_same_each_time(hostile_run: Path) -> None:
    request = ReportRequest(evaluation=EvaluationRequest.of(episodes=10), pictures=False)
    assert render(make_page(hostile_run, request)) == render(make_page(hostile_run, request))
