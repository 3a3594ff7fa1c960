"""The report of a comparison: a row a run, a row a difference."""

from collections.abc import Callable
from pathlib import Path

from hcl.match.evaluation.comparison import compare
from hcl.match.evaluation.evaluate import EvaluationRequest
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
