"""The command `hcl search`: tables and files of what was found, and options that do not go together."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from hcl.cli import main
from hcl.match.embeddings import Embeddings


def run(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["search", *map(str, words)])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def archive(tmp_path: Path, write_embeddings: Callable[..., Path]) -> Path:
    return write_embeddings(tmp_path / "a.zarr")


def read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_what_is_found_is_printed_and_written(archive: Path, tmp_path: Path) -> None:
    files = tmp_path / "found.csv", tmp_path / "found.json"
    printed = run(archive, "v3.mp4", "7", "--top", 4, "--csv", files[0], "--json", files[1], "--device", "cpu")
    rows, found = read(files[0]), json.loads(files[1].read_text())
    assert [row["query"] for row in rows] == ["v3.mp4"] * 4 + ["v7.mp4"] * 4
    assert (found["schema"], found["store"]) == ("hcl-found", str(archive))
    hits = [hit for result in found["results"] for hit in result["hits"]]
    for row, hit in zip(rows, hits, strict=True):
        assert (row["path"], row["label"], int(row["rank"])) == (hit["path"], hit["label"], hit["rank"])
        levels = [float(row[level]) for level in ("global", "temporal", "spatial")]
        assert float(row["score"]) == pytest.approx(sum(levels) / 3, abs=1e-5) == pytest.approx(hit["score"], abs=1e-5)
        assert f"| {row['path']}" in printed and f"{hit['score']:.3f}" in printed
    assert printed.startswith("v3.mp4\n| rank")


def test_pairs_are_printed_and_written(
    tmp_path: Path, make_embeddings: Callable[..., Embeddings], write_embeddings: Callable[..., Path]
) -> None:
    whole = make_embeddings()
    archive = write_embeddings(tmp_path / "a.zarr", whole.rows(slice(0, 20)), content=("x", "x", *map(str, range(18))))
    files = tmp_path / "pairs.csv", tmp_path / "pairs.json"
    printed = run(archive, "--pairs", "--threshold", 0.3, "--top", 2, "--csv", files[0], "--json", files[1])
    rows, pairs = read(files[0]), json.loads(files[1].read_text())["pairs"]
    assert len(rows) == len(pairs) > 2 and f"{len(rows)} pairs of " in printed
    assert "; the first 2, all with --csv or --json" in printed and len(printed.split("\n| ")) == 1 + 2
    copies = [row for row in rows if row["same_content"] == "yes"]
    assert [(row["path_a"], row["path_b"]) for row in copies] in ([], [("v0.mp4", "v1.mp4")])
    assert all(float(row["score"]) >= 0.3 for row in rows) and rows[0]["group"] == "1"
    assert "0 pairs of 0 videos in 0 groups" in run(archive, "--pairs", "--threshold", 1)


def test_what_a_store_says_is_shown_escaped(hostile_store: Path, tmp_path: Path) -> None:
    printed = run(hostile_store, 0, "--top", 30, "--csv", tmp_path / "found.csv")
    assert "\x1b" not in printed and r"=cmd()\x1b[31m (copy)" in printed
    written = next(row for row in read(tmp_path / "found.csv") if row["row"] == "1")
    assert written["path"] == "'=cmd()\x1b[31m" and written["same_content"] == "yes"


def test_a_query_that_cannot_be_read_is_a_row_and_exit_code_1(
    trained_store: Path, tmp_path: Path, small_weights: Path
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"nothing")
    words = (trained_store, tmp_path / "broken.mp4", 0, "--workers", 1, "--device", "cpu", "--weights", small_weights)
    printed = run(*words, "--csv", tmp_path / "found.csv", code=1)
    assert "cannot be read: " in printed and read(tmp_path / "found.csv")[0]["error"]


def test_an_index_is_built_without_a_query(archive: Path) -> None:
    pytest.importorskip("usearch", reason="the search extra is not installed")
    assert "the index of its 30 videos is ready" in run(archive, "--index", "i8")
    assert (archive.parent / "a.zarr.i8-index" / "index.json").is_file()
    assert "| 1 " in run(archive, 0, "--index", "i8", "--short-list", 5, "--top", 1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "name a QUERY, or find near-duplicates with --pairs, or build an index with --index f16"),
        (("0", "--pairs"), "--pairs takes no QUERY"),
        (("0", "--threshold", "0.5"), "--threshold goes with --pairs"),
        (("--pairs", "--short-list", "5"), "--short-list goes with a QUERY, not with --pairs"),
        (("0", "--top", "0"), "--top must be at least 1"),
        (("0", "--index", "f32"), "--index"),
        (("v99.mp4",), "no video of the store is called so"),
    ],
)
def test_wrong_uses_are_one_line(archive: Path, words: tuple[str, ...], told: str) -> None:
    printed = run(archive, *words, code=2)
    assert told in printed and printed.count("\n") == 1 and printed.startswith("Error: ")
