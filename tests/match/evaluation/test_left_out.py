"""Classes that test nothing are left out by name: those that a run was trained on, and those with too few videos."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hcl.cli import main
from hcl.extract.system.errors import InputError
from hcl.match.episodes.episode_file import EpisodeList
from hcl.match.evaluation.comparison import compare
from hcl.match.evaluation.evaluate import EvaluationRequest, evaluate
from hcl.match.reports import comparison_report
from hcl.match.reports.report import as_text
from hcl.match.reports.several_runs import over_runs

Write = Callable[..., Path]
SIZES = {"label": (*("class 0",) * 2, *("class 1",) * 8, *(f"class {row // 5}" for row in range(10, 30)))}


@pytest.fixture
def write_trained(tmp_path: Path, write_embeddings: Write, edit_attributes: Write) -> Callable[..., Path]:
    """A function that writes a store of six classes, whose run was trained on some."""

    def write(name: str, trained: Any = ("class 2", "class 5"), **facts: Sequence[str]) -> Path:
        path = write_embeddings(tmp_path / name, **facts)
        edit_attributes(path, lambda attributes: attributes.update(trained_classes=list(trained)))
        return path

    return write


def test_classes_that_were_trained_on_are_left_out_and_named(write_trained: Write) -> None:
    found = evaluate(write_trained("a"), way=2, episodes=200)
    assert found.class_names == ("class 0", "class 1", "class 3", "class 4")
    labels = {found.store.videos.label[row] for row in (*found.scored.query.ravel(), *found.scored.support.ravel())}
    assert labels == set(found.class_names)
    assert found.left_out.trained == ("class 2", "class 5")
    assert "left out, since the run was trained on these classes: class 2, class 5" in as_text(found)
    assert found.to_dict()["left_out"]["trained"] == ["class 2", "class 5"]
    assert "class 2, class 5" in over_runs([found, found])
    others = evaluate(write_trained("b", ()), way=2, episodes=5)
    assert len(others.class_names) == 6 and "trained on" not in as_text(others)


def test_they_count_where_they_are_asked_for_and_that_is_said(write_trained: Write) -> None:
    found = evaluate(write_trained("a"), way=6, episodes=20, keep_trained_classes=True)
    assert len(found.class_names) == 6 and found.trained_on == ("class 2", "class 5") and not found.left_out.trained
    assert "no new classes, the run was trained on them: class 2, class 5" in as_text(found)
    assert found.to_dict()["trained_on"] == ["class 2", "class 5"]
    base = evaluate(write_trained("b", split=("base",) * 30), way=6, episodes=20, split="base")
    assert base.trained_on == ("class 2", "class 5") and "no new classes" in as_text(base)


def test_too_few_classes_are_refused_with_the_reason(write_trained: Write) -> None:
    path = write_trained("a")
    with pytest.raises(InputError, match=r"need 5 classes, found 4.*: class 2, class 5 \(--keep-trained-classes"):
        evaluate(path, way=5, episodes=5)
    everything = write_trained("b", [f"class {number}" for number in range(6)])
    with pytest.raises(InputError, match="found 0; .*trained on these classes: class 0, class 1"):
        evaluate(everything, way=2, episodes=5)


def test_listed_episodes_of_such_classes_are_refused(write_trained: Write) -> None:
    drawn = evaluate(write_trained("a", ()), way=6, episodes=20)
    listed = EpisodeList.of(drawn.scored, drawn.store.videos)
    store = write_trained("b")
    with pytest.raises(InputError, match=r"hold classes that the run was trained on: class 2, class 5; draw others"):
        evaluate(store, episodes=listed)
    assert evaluate(store, episodes=listed, keep_trained_classes=True).trained_on == ("class 2", "class 5")


def test_a_comparison_leaves_out_what_any_run_was_trained_on(write_trained: Write) -> None:
    stores = {"a": write_trained("a", ("class 1",)), "b": write_trained("b", ("class 4",))}
    request = EvaluationRequest.of(n_way=4, episodes=20)
    found = compare(stores, request)
    assert found.left_out.trained == ("class 1", "class 4") and not found.trained_on
    assert "trained on these classes: class 1, class 4" in comparison_report.as_text(found)
    kept = compare(stores, EvaluationRequest.of(n_way=6, episodes=20, keep_trained_classes=True))
    assert kept.trained_on == ("class 1", "class 4") and "no new classes" in comparison_report.as_text(kept)
    assert json.loads(json.dumps(kept.to_dict()))["trained_on"] == ["class 1", "class 4"]


@pytest.mark.parametrize("named", ["class 1", [3], {"class 1": "base"}, None])
def test_damaged_names_are_refused(write_trained: Write, edit_attributes: Write, named: Any) -> None:
    path = write_trained("a")
    edit_attributes(path, lambda attributes: attributes.update(trained_classes=named))
    with pytest.raises(InputError, match="its trained_classes are .*, expected a list of names; write the store anew"):
        evaluate(path, way=2, episodes=5)


def test_small_classes_are_left_out_where_they_are_asked_to_be(write_trained: Write) -> None:
    """Of byte-identical videos one counts."""
    contents = tuple(f"hash{max(row, 12)}" for row in range(30))
    path = write_trained("a", (), label=SIZES["label"])
    with pytest.raises(InputError, match=r"too few in class 0 \(2\); .* --min-videos 3, or add videos"):
        evaluate(path, way=5, shot=2, episodes=5)
    found = evaluate(path, way=5, shot=2, episodes=5, min_videos=3)
    assert found.left_out.small == {"class 0": 2} and "class 0" not in found.class_names
    assert "left out, with too few videos: class 0 (2)" in as_text(found)
    alike = write_trained("b", (), label=SIZES["label"], content=contents)
    assert evaluate(alike, way=3, episodes=5, min_videos=3).left_out.small == {"class 0": 1, "class 2": 2}
    with pytest.raises(InputError, match="need 6 classes, found 5.*left out, with too few videos: class 0"):
        evaluate(path, way=6, shot=2, episodes=5, min_videos=3)
    listed = EpisodeList.of(found.scored, found.store.videos)
    with pytest.raises(
        InputError, match="--min-videos chooses classes to draw from; leave it out with --episodes-file"
    ):
        evaluate(path, episodes=listed, min_videos=3)


def test_the_options_reach_the_commands(write_trained: Write) -> None:
    path, other = (str(write_trained(name, ("class 4",), label=SIZES["label"])) for name in "ab")
    options = ["--way", "2", "--episodes", "5", "--min-videos", "3"]
    for command in (["evaluate", path], ["compare", path, other]):
        told = CliRunner().invoke(main, [*command, *options])
        assert told.exit_code == 0 and "class 0 (2)" in told.output, told.output
        assert "left out, since the run was trained on these classes: class 4" in told.output
        kept = CliRunner().invoke(main, [*command, *options, "--keep-trained-classes"])
        assert "no new classes, the run was trained on them: class 4" in kept.output
