"""Reports hold what people and programs ask for."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hcl.extract.system.errors import InputError
from hcl.match.config import EpisodeConfig, EvaluationConfig
from hcl.match.evaluation.evaluation import Evaluation, evaluate, evaluate_seeds
from hcl.match.reports.plots import write_plots
from hcl.match.reports.report import as_json, as_text, most_confused, over_runs, spread_over, write_json, write_text

CONFIG, PLAN = EpisodeConfig(episodes=30), EvaluationConfig(shots=(1, 3))


@pytest.fixture
def store(tmp_path: Path, write_embeddings: Callable[..., Path]) -> Path:
    return write_embeddings(tmp_path / "store.zarr")


@pytest.fixture
def found(store: Path) -> Evaluation:
    return evaluate(store, CONFIG, PLAN)


def test_the_report_holds_what_programs_ask_for(found: Evaluation, store: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "report.json", as_json(found))
    read = json.loads((tmp_path / "report.json").read_text())
    assert set(read["levels"]["global+temporal+spatial"]) == {"accuracy", "ci95", "bootstrap95"}
    assert len(read["levels"]) == 7 and 0 <= read["baseline"]["accuracy"] <= 100
    assert [outcome["shot"] for outcome in read["outcomes"]] == [1, 3] and read["shot"] == 1
    assert read == json.loads(json.dumps(as_json(evaluate(store, CONFIG, PLAN))))


def test_the_report_names_every_score_class_and_case(found: Evaluation) -> None:
    text = as_text(found)
    for words in ("untrained ResNet", "global + temporal + spatial", "class 3", "true \\ predicted", "## 3-shot"):
        assert words in text


def test_a_class_that_was_never_asked_has_no_accuracy(store: Path) -> None:
    found = evaluate(store, EpisodeConfig(n_way=2, episodes=1))
    values = as_json(found)["per_class"]
    assert sum(value is None for value in values.values()) == 4 and "not asked" in as_text(found)


def test_the_most_confused_classes_come_first(found: Evaluation) -> None:
    outcome = found.outcomes[0]
    pairs = most_confused(found, outcome)
    shares = 100 * outcome.confusion / outcome.confusion.sum(axis=1, keepdims=True)
    np.fill_diagonal(shares, 0)
    assert [share for *_, share in pairs] == pytest.approx(sorted(shares[shares > 0], reverse=True)[:10])
    for true, predicted, share in pairs:
        places = found.class_names.index(true), found.class_names.index(predicted)
        assert share == pytest.approx(shares[places])


def test_several_runs_have_a_mean_and_a_standard_deviation(store: Path) -> None:
    runs = evaluate_seeds(store, CONFIG, [0, 1, 2], PLAN)
    values = [run.outcomes[1].accuracies["global"].accuracy for run in runs]
    assert spread_over(values) == pytest.approx((*values, np.mean(values), np.std(values, ddof=1)))
    text = over_runs(runs)
    assert "seed 2" in text and f"{np.mean(values):.2f}" in text and "3-shot" in text


def test_reports_that_cannot_be_written_are_input_errors(found: Evaluation, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name another file with --json"):
        write_json(tmp_path / "nowhere" / "report.json", as_json(found))
    with pytest.raises(InputError, match="name another file with --markdown"):
        write_text(tmp_path / "nowhere" / "report.md", "", "--markdown")


def test_pictures_are_png_files_of_every_case(found: Evaluation, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    files = write_plots(tmp_path / "plots", found)
    assert {file.name for file in files} == {
        "accuracy.png",
        *(f"{what}-{shot}-shot.png" for what in ("classes", "confusion") for shot in (1, 3)),
    }
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="name another folder with --plot"):
        write_plots(tmp_path / "file", found)


def test_without_matplotlib_the_remedy_is_named(
    found: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match="--plot needs matplotlib: pip install matplotlib"):
        write_plots(tmp_path, found)
