"""Reports tell in their tables what the evaluation found."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hcl.extract.system.errors import InputError
from hcl.match.episodes.episode_file import read_episodes
from hcl.match.evaluation.evaluate import evaluate
from hcl.match.evaluation.results import Evaluation
from hcl.match.reports.report import (
    UNTRAINED,
    as_text,
    queries_name,
    shots_name,
    write_json,
    write_scored_episodes,
    write_text,
)
from hcl.match.reports.several_runs import over_runs, run_labels, with_details, with_spread

Tables = Callable[[str], list[list[list[str]]]]


def test_the_report_tells_every_score_class_and_confusion_of_every_case(
    evaluation: Evaluation, read_tables: Tables
) -> None:
    tables = read_tables(as_text(evaluation))
    summary, *tables = tables
    assert len(tables) == 2 * 4 and summary[0][1:] == ["1-shot", "3-shot"]
    for row, name in zip(summary[1:], evaluation.outcomes[0].accuracies, strict=True):
        values = [outcome.accuracies[name] for outcome in evaluation.outcomes]
        assert row[1:] == [f"{value.accuracy:.2f} ± {value.ci95:.2f}" for value in values]
    for outcome, (levels, classes, confusion, confused) in zip(
        evaluation.outcomes, (tables[:4], tables[4:]), strict=True
    ):
        names = [UNTRAINED, *(n.replace("+", " + ") for n in outcome.accuracies)]
        del names[1]  # the baseline by its short name
        assert [row[0] for row in levels[1:]] == names
        for row, value in zip(levels[1:], outcome.accuracies.values(), strict=True):
            low, high = value.bootstrap95
            assert row[1:] == [f"{value.accuracy:.2f}", f"± {value.ci95:.2f}", f"{low:.1f} to {high:.1f}"]
        for row, name, size, value in zip(
            classes[1:], evaluation.class_names, evaluation.class_sizes, outcome.per_class, strict=True
        ):
            assert row == [name, str(size), f"{value:.1f}"]
        shares = 100 * outcome.confusion / outcome.confusion.sum(axis=1, keepdims=True)
        assert [[float(cell) for cell in row[1:]] for row in confusion[1:]] == np.round(shares).tolist()
        assert [(row[0], row[1]) for row in confused[1:]] == [pair[:2] for pair in outcome.most_confused]


def test_the_head_tells_what_was_scored(evaluation: Evaluation) -> None:
    head = as_text(evaluation).split("\n\n")[0]
    for words in (
        "5-way",
        "1- and 3-shot",
        "1 query per class",
        "30 episodes",
        "30 novel videos of 6 classes",
        str(evaluation.store.path),
    ):
        assert words in head


def test_numbers_agree_with_their_words() -> None:
    assert [shots_name(shots) for shots in ((1,), (1, 5), (1, 2, 5))] == [
        "1-shot",
        "1- and 5-shot",
        "1-, 2- and 5-shot",
    ]
    assert [queries_name(count) for count in (1, 2)] == ["1 query per class", "2 queries per class"]


def test_a_class_without_queries_has_no_accuracy(path: Path, read_tables: Tables) -> None:
    _, classes, *_ = read_tables(as_text(evaluate(path, way=2, episodes=1)))
    assert [row[2] for row in classes].count("no query") == 4


def test_byte_identical_videos_are_named(tmp_path: Path, write_embeddings: Callable[..., Path]) -> None:
    contents = ("same", "same", "c", "d", "e", *(f"h{row}" for row in range(25)))
    path = write_embeddings(tmp_path / "store.zarr", content=contents)
    assert "v0.mp4 = v1.mp4" in as_text(evaluate(path, episodes=20))


def test_several_runs_have_a_mean_and_a_standard_deviation(path: Path, read_tables: Tables) -> None:
    runs = [evaluate(path, episodes=30, shot=(1, 3), seed=seed) for seed in (0, 1, 2)]
    values = [run.outcomes[1].accuracies["global"].accuracy for run in runs]
    assert with_spread(values) == pytest.approx((*values, np.mean(values), np.std(values, ddof=1)))
    assert with_spread([3.0]) == (3.0, 3.0, 0.0)
    text = over_runs(runs)
    head = text.splitlines()[0]
    assert all(
        words in head for words in ("5-way", "1- and 3-shot", "1 query per class", "30 episodes", "novel", "3 draws")
    )
    summary, one_shot, three_shot = read_tables(text)
    row = next(row for row in summary if row[0] == "global")
    assert row[2] == f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"
    assert one_shot[0][0] == "1-shot" and three_shot[0][0] == "3-shot" and len(three_shot[0]) == 1 + 3 + 2
    row = next(row for row in three_shot if row[0] == "global")
    assert [float(cell) for cell in row[1:]] == pytest.approx(with_spread(values), abs=0.006)


def test_the_details_of_all_runs_stand_below(path: Path) -> None:
    runs = [evaluate(path, episodes=5, seed=seed) for seed in (0, 1)]
    text = with_details(runs)
    assert text.startswith(over_runs(runs)) and all(
        f"# {label}\n\n{as_text(of)}" in text for label, of in zip(run_labels(runs), runs, strict=True)
    )
    assert with_details(runs[:1]) == as_text(runs[0])


def test_stores_of_one_name_are_told_apart(tmp_path: Path, write_embeddings: Callable[..., Path]) -> None:
    places = [tmp_path / "a" / "embeddings.zarr", tmp_path / "b" / "embeddings.zarr", tmp_path / "c.zarr"]
    for place in places:
        place.parent.mkdir(exist_ok=True)
        write_embeddings(place)
    assert run_labels([evaluate(place, episodes=2) for place in places]) == ["a, seed 0", "b, seed 0", "c.zarr, seed 0"]


def test_files_hold_what_was_written(evaluation: Evaluation, tmp_path: Path) -> None:
    write_json(tmp_path / "report.json", evaluation.to_dict())
    assert json.loads((tmp_path / "report.json").read_text()) == json.loads(json.dumps(evaluation.to_dict()))
    write_scored_episodes(tmp_path / "episodes.json", evaluation)
    found = read_episodes(str(tmp_path / "episodes.json")).find_in(evaluation.store, "novel").episodes
    np.testing.assert_array_equal(found.support, evaluation.scored.support)


def test_reports_that_cannot_be_written_are_input_errors(evaluation: Evaluation, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name another file with --json"):
        write_json(tmp_path / "nowhere" / "report.json", evaluation.to_dict())
    with pytest.raises(InputError, match="name another file with --markdown"):
        write_text(tmp_path / "nowhere" / "report.md", "", "--markdown")
