"""Calibration and open set of an evaluation, against loops, and as they are shown."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hcl.cli import main
from hcl.extract.cache.video_table import VideoTable
from hcl.extract.system.errors import InputError
from hcl.match.confidence.calibration import probabilities
from hcl.match.confidence.fitting import Temperatures, Threshold
from hcl.match.confidence.open_set import auroc
from hcl.match.embeddings import Embeddings
from hcl.match.episodes.drawing import Episodes
from hcl.match.evaluation.confidence import calibration_of, open_set_of
from hcl.match.evaluation.evaluate import EvaluationRequest, evaluate
from hcl.match.evaluation.results import Evaluation
from hcl.match.evaluation.statistics import QueryCounts, bootstrap_intervals, replicate_weights
from hcl.match.reports.plots import make_figures
from hcl.match.reports.report import as_text
from hcl.match.reports.several_runs import over_runs

Write = Callable[..., Path]
SPLITS = tuple("val" if row < 40 else "novel" for row in range(80))
ASKED = {"way": 3, "shot": (1, 2), "episodes": 40, "calibration": True, "open_set": True, "reject": 0.1}


@pytest.fixture
def path(tmp_path: Path, make_embeddings: Callable[..., Embeddings], write_embeddings: Write) -> Path:
    """8 val and 8 novel classes."""
    return write_embeddings(tmp_path / "store.zarr", make_embeddings(videos=80, signal=0.4), split=SPLITS)


@pytest.fixture
def found(path: Path) -> Evaluation:
    return evaluate(path, **ASKED)  # type: ignore[arg-type]


def test_it_is_measured_where_it_is_asked_for_and_changes_nothing_else(found: Evaluation, path: Path) -> None:
    plain = evaluate(path, way=3, shot=(1, 2), episodes=40)
    for outcome, other in zip(found.outcomes, plain.outcomes, strict=True):
        assert outcome.accuracies == other.accuracies and other.calibration is None is other.open_set
        calibration, open_set = outcome.calibration, outcome.open_set
        assert calibration and calibration.after and open_set and open_set.threshold.value is not None
        reached = outcome.accuracies[outcome.headline]
        assert 100 * calibration.before.reliability.right == pytest.approx(reached.accuracy)
        assert 100 * calibration.after.reliability.right == pytest.approx(reached.accuracy)
        assert open_set.closed_accuracy.accuracy == pytest.approx(reached.accuracy)
        assert calibration.after.log_loss <= calibration.before.log_loss + 0.2
        assert open_set.auroc.accuracy > 50 and set(open_set.at_rate) == {"accuracy", "false accepts", "false rejects"}
        assert f"{outcome.case.k_shot}-shot episodes of 8 val classes, 40 clips" in calibration.fitted_on
        assert open_set.threshold.chosen_on == calibration.fitted_on


def test_plain_types_and_reports_hold_it(found: Evaluation) -> None:
    read = json.loads(json.dumps(found.to_dict()))
    first = read["outcomes"][0]
    assert read["calibration"] == first["calibration"] and len(first["calibration"]["before"]["bins"]) == 10
    assert {"error", "bootstrap95", "said", "right", "brier", "log_loss"} < set(first["calibration"]["after"])
    assert first["open_set"]["reject"] == 0.1 and 0 <= first["open_set"]["false_accepts"]["accuracy"] <= 100
    text = as_text(found)
    assert "temperature fitted on: 3-way 1-shot" in text and "chosen on: 3-way 1-shot" in text
    assert f"{first['open_set']['auroc']['accuracy']:.1f}" in text and "at most 10 % wanted" in text
    assert "open set: AUROC" in over_runs([found, found])
    pytest.importorskip("matplotlib", reason="the plot extra is not installed")
    (above, _) = make_figures(found)["reliability-1-shot"].axes
    calibration = found.outcomes[0].calibration
    assert calibration is not None and calibration.after is not None
    for line, reading in zip(above.lines[1:], (calibration.before, calibration.after), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), 100 * reading.reliability.confidence)
        np.testing.assert_array_equal(line.get_ydata(), 100 * reading.reliability.accuracy)


def test_the_command_line_measures_it(path: Path, tmp_path: Path) -> None:
    options = ["evaluate", str(path), "--way", "3", "--episodes", "20", "--calibration", "--open-set"]
    runner, written = CliRunner(), tmp_path / "r.json"
    told = runner.invoke(main, [*options, "--reject", "0.1", "--json", str(written)])
    assert told.exit_code == 0 and "temperature fitted on" in told.output, told.output
    expected = evaluate(path, **ASKED | {"shot": 1, "episodes": 20})  # type: ignore[arg-type]
    assert json.loads(written.read_text())["runs"][0]["open_set"] == expected.to_dict()["open_set"]
    alone = runner.invoke(main, ["evaluate", str(path), "--reject", "0.1"])
    assert alone.exit_code == 2 and "--reject goes with --open-set" in alone.output
    many = runner.invoke(main, ["evaluate", str(path), "--way", "8", "--episodes", "5", "--open-set"])
    assert many.exit_code == 2 and "lower --way to 7" in many.output


def test_without_val_classes_supports_give_the_temperature_and_no_threshold(path: Path) -> None:
    once, twice = evaluate(path, **ASKED | {"split": "val"}).outcomes  # type: ignore[arg-type]
    assert (
        once.calibration and once.calibration.after is None and "it takes 2 val classes" in once.calibration.fitted_on
    )
    assert twice.calibration and twice.calibration.after and "own supports" in twice.calibration.fitted_on
    for outcome in (once, twice):
        assert outcome.open_set and not outcome.open_set.at_rate and outcome.open_set.auroc.accuracy > 50
        assert "judge themselves" in outcome.open_set.threshold.chosen_on
    with pytest.raises(InputError, match=r"--reject must be above 0 and below 1, got 1\.5"):
        EvaluationRequest.of(open_set=True, reject=1.5)


def random_case(seed: int) -> tuple[VideoTable, Episodes, np.ndarray, np.ndarray]:
    """Videos of 3 classes, episodes of 2 ways and 2 queries, outside queries, and scores of both (E, N * 2 M, N)."""
    rng = np.random.default_rng(seed)
    names = tuple("abc"[row // 6] for row in range(18))
    videos = VideoTable(tuple(map(str, range(18))), names, ("novel",) * 18, tuple("xyz" * 6), ("",) * 18)
    classes = np.stack([rng.permutation(3) for _ in range(25)])
    rows = np.stack([[6 * one + rng.permutation(6)[:3] for one in of] for of in classes])  # (E, 3, 3)
    episodes = Episodes(rows[:, :2, :1], rows[:, :2, 1:])
    outside = 6 * classes[:, 2:, None] + rng.integers(0, 6, (25, 2, 2))
    return videos, episodes, outside, np.round(rng.normal(size=(25, 8, 2)), 1)


def test_open_set_figures_equal_loops() -> None:
    videos, episodes, outside, scores = random_case(0)
    found = open_set_of(scores, episodes, outside, videos, Threshold(0.6, 0.05, "somewhere"))
    inside, beside, right, answered = [], [], 0, 0
    for of_queries in scores.tolist():
        for place, row in enumerate(of_queries):
            name, best = place // 4, max(row)
            if place % 4 < 2:
                inside.append(best)
                right += row.index(best) == name
                answered += row.index(best) == name and best > 0.6
            else:
                beside.append(best)
                answered += best <= 0.6
    assert found.closed_accuracy.accuracy == pytest.approx(100 * right / len(inside))
    assert found.at_rate["accuracy"].accuracy == pytest.approx(100 * answered / (2 * len(inside)))
    assert found.at_rate["false accepts"].accuracy == pytest.approx(100 * np.mean(np.array(beside) > 0.6))
    assert found.at_rate["false rejects"].accuracy == pytest.approx(100 * np.mean(np.array(inside) <= 0.6))
    assert found.auroc.accuracy == pytest.approx(100 * auroc(np.array(inside), np.array(beside)))
    low, high = found.auroc.bootstrap95
    assert low < found.auroc.accuracy < high and found.auroc.ci95 > 0


def test_the_interval_of_auroc_over_episodes_is_about_that_of_drawing_anew() -> None:
    """Scores that are independent everywhere: the spread over 200 redraws is what one draw claims."""
    found = [
        open_set_of(*(scores, episodes, outside, videos), Threshold(None, 0.05, ""))
        for videos, episodes, outside, scores in map(random_case, range(60))
    ]
    spread = 1.96 * np.std([one.auroc.accuracy for one in found])
    assert np.mean([one.auroc.ci95 for one in found]) == pytest.approx(spread, rel=0.3)


def test_calibration_of_some_episodes_is_read_on_these() -> None:
    videos, episodes, _, scores = random_case(1)
    scores = scores[:, :4]
    temperatures = np.linspace(0.5, 2, 10)
    found = calibration_of(scores, episodes, videos, Temperatures(temperatures, "supports"))
    assert found.after and found.temperature == np.median(temperatures)
    assert found.before.reliability.count.sum() == 40 == found.after.reliability.count.sum()
    given = np.concatenate([probabilities(of, float(by)) for of, by in zip(scores, temperatures, strict=False)])
    assert found.after.reliability.said == pytest.approx(given.max(axis=1).mean())
    low, high = found.after.error95
    assert 0 <= low <= high <= 100


def test_resampled_weights_give_the_intervals_of_means() -> None:
    rng = np.random.default_rng(3)
    labels, groups = list("aaaabbbbcccccccc"), list("xxyyxxyyxxxxyyzz")
    rates = rng.random(16)
    weights = replicate_weights(labels, groups, 0)
    np.testing.assert_allclose(np.quantile(weights @ rates / weights.sum(axis=1), 0.5), rates.mean(), atol=0.05)
    ends = 100 * np.quantile(weights @ rates / weights.sum(axis=1), (0.025, 0.975))
    expected = bootstrap_intervals(QueryCounts(rates[None], np.ones(16), labels, groups), 1)[0]
    np.testing.assert_allclose(ends, expected, atol=3)
    assert (weights >= 0).all() and (weights == weights.round()).all()
