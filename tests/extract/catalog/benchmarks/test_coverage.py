"""How much of a benchmark is there, in counts, words and a file."""

from pathlib import Path

import pytest

from hcl.extract.catalog.benchmarks.coverage import Coverage, missing_videos, write_missing
from hcl.extract.catalog.benchmarks.listing import read_listing
from hcl.extract.catalog.csv_files import read_csv
from hcl.extract.system.errors import InputError

LISTED = {"base": {"a": 3, "b": 2}, "val": {"c": 2}, "novel": {"d": 4}}


def present(**changed: int) -> Coverage:
    counts = {
        split: {label: changed.get(label, of) for label, of in of_split.items()} for split, of_split in LISTED.items()
    }
    return Coverage(
        "hmdb-arn", LISTED, {split: {name: of for name, of in by.items() if of} for split, by in counts.items()}
    )


@pytest.mark.parametrize(
    ("coverage", "verdict", "missing"),
    [
        (present(), "complete: published numbers are of the same videos", {}),
        (present(a=1), "same novel videos, and of more base or val ones", {"a": (2, 3)}),
        (present(d=3, b=0), "incomplete: published numbers are of more novel videos", {"b": (2, 2), "d": (1, 4)}),
        (
            Coverage("hmdb-arn", LISTED, {"base": {"a": 3, "b": 2, "d": 4}, "val": {"c": 2}, "novel": {}}),
            "split otherwise than published: published numbers do not compare",
            {"d": (4, 4)},
        ),
    ],
)
def test_it_says_whether_published_numbers_compare(
    coverage: Coverage, verdict: str, missing: dict[str, tuple[int, int]]
) -> None:
    first, *rest = coverage.sentences()
    assert verdict in first and coverage.missing == missing
    assert len(rest) == bool(missing) and all(f"{name} {of[0]} of {of[1]}" in rest[0] for name, of in missing.items())
    assert coverage.is_complete() is (not missing)
    assert Coverage.from_dict(coverage.to_dict(), "x") == coverage


def test_totals_and_small_classes() -> None:
    coverage = present(a=1, d=0)
    assert [coverage.totals(split) for split in LISTED] == [(3, 5), (2, 2), (0, 4)]
    assert coverage.below(2) == {"a": 1, "d": 0} and coverage.below(0) == {}


@pytest.mark.parametrize(
    "stored",
    [None, [], {}, {"benchmark": 3, "listed": LISTED, "present": LISTED}, {"benchmark": "x", "listed": LISTED},
     {"benchmark": "x", "listed": {"base": {}}, "present": LISTED},
     {"benchmark": "x", "listed": {**LISTED, "val": {"c": "2"}}, "present": LISTED},
     {"benchmark": "x", "listed": LISTED, "present": {**LISTED, "val": [1]}}],
)  # fmt: skip
def test_what_is_not_as_it_was_written_is_refused(stored: object) -> None:
    with pytest.raises(InputError, match="cache.zarr: what it says of a benchmark is not as hcl writes it"):
        Coverage.from_dict(stored, "cache.zarr")


def test_what_is_missing_is_listed_with_its_reason(tmp_path: Path) -> None:
    listing = read_listing("kinetics-cmn")
    lines = [video.line for video in listing.videos]
    there, failed = lines[:1] + lines[2:-1], {lines[3]: '=cmd("x")\n, broken'}
    missing = missing_videos(listing, there, failed)
    assert [(line, why.split(":")[0]) for _, line, why in missing] == [
        (lines[1], "not found"), (lines[3], "cannot be read"), (lines[-1], "not found")
    ]  # fmt: skip
    write_missing(tmp_path / "m.csv", missing)
    rows = [row for _, row in read_csv(tmp_path / "m.csv", required=("split", "video", "why"))]
    assert [row["video"] for row in rows] == [line for _, line, _ in missing]
    assert [row["split"] for row in rows] == ["base", "base", "novel"]
    with pytest.raises(InputError, match="name another file with --missing-list"):
        write_missing(tmp_path / "none" / "m.csv", missing)
