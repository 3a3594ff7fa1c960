"""The report of a comparison: a row a run, a row a difference."""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hcl.match.evaluation.comparison import UNTRAINED, Comparison, compare
from hcl.match.evaluation.evaluate import EvaluationRequest
from hcl.match.reports.comparison_files import as_csv, as_latex, latex
from hcl.match.reports.comparison_report import as_text, run_name
from hcl.match.reports.report import UNTRAINED_RUN


def test_the_tables_hold_every_run_and_difference(
    tmp_path: Path,
    make_embeddings: Callable[..., object],
    write_embeddings: Callable[..., Path],
    read_tables: Callable[[str], list[list[list[str]]]],
) -> None:
    stores = {
        name: write_embeddings(tmp_path / name, make_embeddings(signal=signal))
        for name, signal in (("strong", 2.0), ("weak", 0.1))
    }
    request = EvaluationRequest.of(episodes=40, shots=(1, 2), aggregates=("mean", "max"))
    compared = compare(stores, request)
    accuracies, differences = read_tables(as_text(compared))
    assert [run_name(entry.name) for entry in compared.entries] == [UNTRAINED_RUN, "strong", "weak"]
    assert accuracies[0] == ["run", "method", "1-shot mean", "1-shot max", "2-shot mean", "2-shot max"]
    for row, entry in zip(accuracies[1:], compared.entries, strict=True):
        shown = [f"{value.accuracy:.2f} ± {value.ci95:.2f}" for value in entry.accuracies.values()]
        assert row == [run_name(entry.name), entry.method, *shown]
    for row, difference in zip(differences[1:], compared.differences, strict=True):
        assert row[:2] == [
            f"{run_name(difference.name)} - strong",
            f"{difference.case.k_shot}-shot {difference.case.aggregate}",
        ]
        assert float(row[2]) == round(difference.value.accuracy, 2) and row[5] == difference.verdict


@pytest.fixture
def compared(
    tmp_path: Path, make_embeddings: Callable[..., object], write_embeddings: Callable[..., Path]
) -> Comparison:
    """A strong run, its copy of another seed of noise, and a weak one."""
    signals = {"strong": (2.0, 0), "50%_of#it": (2.0, 1), "weak": (0.1, 0)}
    stores = {
        name: write_embeddings(tmp_path / str(number), make_embeddings(signal=signal, seed=seed))
        for number, (name, (signal, seed)) in enumerate(signals.items())
    }
    return compare(stores, EvaluationRequest.of(episodes=40, shots=(1, 2)))


def test_bold_are_the_best_and_what_is_not_distinguishable_from_it(compared: Comparison) -> None:
    """By the verdicts of comparisons from the best one, not by overlapping intervals."""
    for case, leading in compared.leading.items():
        best = max(compared.entries, key=lambda entry: entry.accuracies[case].accuracy).name
        assert best in leading and "weak" not in leading
        if best == "strong":
            verdicts = {of.name: of.verdict for of in compared.differences if of.case == case}
            assert {*leading} == {best, *(name for name, told in verdicts.items() if told == "not distinguishable")}


def test_the_latex_table_is_whole(compared: Comparison) -> None:
    text = as_latex(compared)
    rows = [line.strip().removesuffix(r" \\").split(" & ") for line in text.splitlines() if " & " in line]
    assert rows[0] == ["Run", "Method", "1-shot", "2-shot"] and len(rows) == 1 + 4
    assert [row[0] for row in rows[1:]] == ["ImageNet ResNet", "strong", r"50\%\_of\#it", "weak"]
    for row, entry in zip(rows[1:], compared.entries, strict=True):
        for cell, (case, value) in zip(row[2:], entry.accuracies.items(), strict=True):
            low, high = value.bootstrap95
            assert (r"\textbf{" in cell) == (entry.name in compared.leading[case])
            assert [float(number) for number in re.findall(r"-?\d+\.\d", cell)] == [
                round(number, 1) for number in (value.accuracy, low, high)
            ]
    for word in ("toprule", "midrule", "bottomrule"):
        assert text.count(word) == 1
    assert text.count("{") == text.count("}") and "5-way, 1 query per class" in text and "novel classes" in text


def test_what_latex_would_take_for_a_command_is_printed() -> None:
    assert latex("a_b\\c{%}~^&$#") == r"a\_b\textbackslash{}c\{\%\}\textasciitilde{}\textasciicircum{}\&\$\#"


def test_the_csv_file_holds_every_run_and_case(compared: Comparison) -> None:
    hostile = replace(compared, entries=(replace(compared.entries[0], name="=cmd()"), *compared.entries[1:]))
    assert as_csv(hostile).splitlines()[1].startswith("'=cmd()")
    rows = list(csv.DictReader(io.StringIO(as_csv(compared))))
    assert len(rows) == 4 * 2 and [row["run"] for row in rows[::2]] == [UNTRAINED, "strong", "50%_of#it", "weak"]
    told = {(of.name, of.case.k_shot): of for of in compared.differences}
    for row in rows:
        entry = next(entry for entry in compared.entries if entry.name == row["run"])
        (value,) = (value for case, value in entry.accuracies.items() if case.k_shot == int(row["shot"]))
        assert float(row["accuracy"]) == value.accuracy and float(row["high95"]) == value.bootstrap95[1]
        if of := told.get((row["run"], int(row["shot"]))):
            assert float(row["difference"]) == of.value.accuracy and row["verdict"] == of.verdict
        else:
            assert row["run"] == "strong" and row["difference"] == row["verdict"] == ""
