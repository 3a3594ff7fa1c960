"""Classes of another set that are those of training under another name."""

from pathlib import Path

import numpy as np
import pytest

from hcl.extract.system.errors import InputError
from hcl.match.episodes.class_overlap import (
    ALIKE,
    ATTRIBUTE,
    MEANING,
    NEAR,
    PART,
    SAME,
    Overlap,
    centred_cosines,
    compare_names,
    find_overlap,
    of_attributes,
    read_overlap,
    to_attribute,
    write_overlap,
)

NAMES = [
    ("JavelinThrow", "javelin throw", SAME),
    ("ride_bike", "riding a bike", NEAR),
    ("ThrowDiscus", "discus throwing", NEAR),
    ("pushup", "PushUps", NEAR),
    ("BlowingCandles", "blowing out candles", NEAR),
    ("kissing", "kiss", NEAR),
    ("golf", "golf driving", PART),
    ("eat", "eating burger", PART),
    ("swing_baseball", "swing dancing", ""),
    ("run", "punch", ""),
    ("Pulling something from left to right", "Pulling something from right to left", ""),
    ("Holding something behind something", "holding something next to something", ""),
    ("something", "something", SAME),
    ("something", "someone", ""),
]


@pytest.mark.parametrize(("name", "other", "why"), NAMES)
def test_names_are_compared_by_their_stems(name: str, other: str, why: str) -> None:
    assert compare_names(name, other) == why == compare_names(other, name)


def test_centred_cosines_equal_loops() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.normal(3, 1, (count, 6)).astype(np.float32) for count in (3, 4))
    mean = np.concatenate((a, b)).mean(axis=0)
    for row, x in enumerate(a - mean):
        for place, y in enumerate(b - mean):
            expected = x @ y / np.linalg.norm(x) / np.linalg.norm(y)
            assert centred_cosines(a, b)[row, place] == pytest.approx(expected, abs=1e-5)
    assert not np.isnan(centred_cosines(a[:1], a[:1])).any(), "one class is its own mean"


def test_the_closest_trained_class_is_named_and_what_overlaps_is_left_out() -> None:
    cosines = np.array([[0.1, 0.2, 0.1], [0.3, 0.9, 0.5], [0.5, 0.2, 0.1], [0.44, 0.1, 0.0]], np.float32)
    found = find_overlap(("waving", "archery", "kick", "sit"), ("wave", "shoot bow", "drop kicking"), cosines)
    assert found == (
        Overlap("waving", "wave", NEAR, 0.1, True),
        Overlap("archery", "shoot bow", MEANING, 0.9, True),
        Overlap("kick", "drop kicking", PART, 0.1, False),
    )
    assert [pair.why for pair in find_overlap(("kick",), ("wave",), cosines[2:3, :1])] == [ALIKE]
    assert [pair.label for pair in find_overlap(("waving", "archery"), ("wave", "shoot bow"))] == ["waving"]
    assert of_attributes({ATTRIBUTE: to_attribute(found)}) == found and of_attributes({}) == ()


def test_a_file_of_overlaps_can_be_written_edited_and_read(tmp_path: Path) -> None:
    pairs = (Overlap("=wave", "-waving", NEAR, None, True), Overlap("kick, ball", "kick", PART, 0.525, False))
    write_overlap(tmp_path / "o.csv", pairs)
    assert read_overlap(tmp_path / "o.csv", ("=wave", "kick, ball", "sit")) == pairs
    (tmp_path / "o.csv").write_text("label,leave_out\nsit,YES\n")
    assert read_overlap(tmp_path / "o.csv", ("sit",)) == (Overlap("sit", "", "", None, True),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,leave_out\nrun,yes\n", "line 2: 'run' is no class here; the classes are sit"),
        ("label,leave_out\nsit,perhaps\n", "leave_out is 'perhaps', expected yes or no"),
        ("label,leave_out\nsit,yes\nsit,no\n", "line 3: 'sit' stands twice"),
        ("label,why\nsit,x\n", "no column 'leave_out'"),
    ],
)
def test_a_file_that_decides_nothing_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "o.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_overlap(tmp_path / "o.csv", ("sit",))
