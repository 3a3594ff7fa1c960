"""Tables and files say what was found, in the forms that other programs read."""

import csv
import json
from pathlib import Path

import pytest

from hcl.classify.spotting.outputs import (
    as_table,
    label_studio_task,
    subtitle_names,
    write_csv,
    write_subtitles,
    write_tasks,
)
from hcl.classify.spotting.segments import Segment, Spotted
from hcl.classify.spotting.subtitles import as_srt, as_vtt
from hcl.extract.system.errors import InputError

FOUND = [
    Spotted(
        "a/long.mp4", (Segment("=wave\x1b", 1.0, 2.5, 0.87654, 0.5), Segment("b|c", 2.4, 4.0, -1.0, 0.25)), 4.0, 30.0
    ),
    Spotted("b/long.mp4", (), 2.0, 25.0),
    Spotted("c.mp4", reason="the file is empty (0 bytes)"),
]


def test_the_table_has_a_row_a_segment_and_one_for_each_other_video() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in as_table(FOUND).splitlines()[2:]]
    assert rows == [
        ["a/long.mp4", "=wave\\x1b", "1.00", "2.50", "0.877", "50.0"],
        ["a/long.mp4", "b|c", "2.40", "4.00", "-1.000", "25.0"],
        ["b/long.mp4", "none", "0.00", "2.00", "", ""],
        ["c.mp4", "not read", "", "", "", "the file is empty (0 bytes)"],
    ]


def test_csv_has_the_columns_of_the_issue_and_no_formulas(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", FOUND)
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["video", "label", "start", "end", "score"],
        ["a/long.mp4", "'=wave\x1b", "1.0", "2.5", "0.877"],
        ["a/long.mp4", "b|c", "2.4", "4.0", "-1.0"],
    ]


def test_tasks_of_label_studio_count_frames_from_1(tmp_path: Path) -> None:
    write_tasks(tmp_path / "a.json", FOUND)
    tasks = json.loads((tmp_path / "a.json").read_text())
    assert [task["data"] for task in tasks] == [
        {"video": "a/long.mp4", "fps": 30.0, "seconds": 4.0},
        {"video": "b/long.mp4", "fps": 25.0, "seconds": 2.0},
        {"video": "c.mp4", "error": "the file is empty (0 bytes)"},
    ]
    regions = tasks[0]["predictions"][0]["result"]
    assert [region["value"] for region in regions] == [
        {"ranges": [{"start": 31, "end": 75}], "timelinelabels": ["=wave\x1b"]},
        {"ranges": [{"start": 73, "end": 120}], "timelinelabels": ["b|c"]},
    ]
    assert {(r["type"], r["from_name"], r["to_name"]) for r in regions} == {("timelinelabels", "segments", "video")}
    assert len({region["id"] for region in regions}) == 2 and tasks[1]["predictions"][0]["result"] == []


@pytest.mark.parametrize("rate", [1.0, 23.976, 30.0])
def test_a_region_covers_the_frames_that_its_segment_shows(rate: float) -> None:
    for start, end in ((0.0, 0.01), (0.5, 1.7), (3.0, 3.0)):
        task = label_studio_task(Spotted("v", (Segment("a", start, end, 1.0, 1.0),), 9.0, rate))
        (span,) = task["predictions"][0]["result"][0]["value"]["ranges"]
        shown = [k for k in range(400) if k / rate < end - 1e-9 and (k + 1) / rate > start + 1e-9]
        expected = (shown[0] + 1, shown[-1] + 1) if shown else (int(start * rate) + 1,) * 2
        assert (span["start"], span["end"]) == expected


def test_subtitles_of_one_video_are_a_file_and_of_several_a_folder(tmp_path: Path) -> None:
    write_subtitles(tmp_path / "one.srt", FOUND[:1], as_srt, "--srt")
    assert "b|c" in (tmp_path / "one.srt").read_text(encoding="utf-8")
    write_subtitles(tmp_path / "all", FOUND, as_vtt, "--vtt")
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["long-2.vtt", "long.vtt"]
    write_subtitles(tmp_path / "all", FOUND[:1], as_srt, "--srt")  # a folder is no file
    assert (tmp_path / "all" / "long.srt").is_file()
    write_subtitles(tmp_path / "none.srt", FOUND[2:], as_srt, "--srt")
    assert not (tmp_path / "none.srt").exists()
    with pytest.raises(InputError, match="a file, and there are 3 videos; name a folder with --srt"):
        write_subtitles(tmp_path / "one.srt", FOUND, as_srt, "--srt")
    with pytest.raises(InputError, match="name another folder with --srt"):
        write_subtitles(tmp_path / "one.srt" / "below", FOUND, as_srt, "--srt")


def test_names_of_subtitles_never_stand_twice() -> None:
    found = [Spotted(name) for name in ("x.mp4", "a/x.avi", "x-2.mkv", "b/x")]
    assert subtitle_names(found, "--srt") == ["x.srt", "x-2.srt", "x-2-2.srt", "x-3.srt"]
