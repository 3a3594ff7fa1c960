"""Drawings: scales, ticks, marks, and that every text in them is text."""

from xml.etree.ElementTree import fromstring

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcl.classify.pages.charts.accuracy import (
    NUMBERED,
    Interval,
    class_chart,
    confusion_chart,
    interval_chart,
    reliability_chart,
)
from hcl.classify.pages.charts.drawing import Axis, Drawing, round_values, shortened, span
from hcl.classify.pages.charts.points import COLOURS, SHAPES, Curve, Point, line_chart, scatter_chart, swatch
from hcl.match.confidence.calibration import Reliability

HOSTILE = '</text><script>alert("1")</script>\x1b\u202e'
numbers = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


def texts(drawing: Drawing) -> list[str]:
    return [str(element.text) for element in fromstring(str(drawing)).iter() if element.text]


@given(numbers, st.floats(1e-3, 1e6))
def test_round_values_lie_within_and_are_few(low: float, size: float) -> None:
    high = low + size
    values = round_values(low, high)
    assert 2 <= len(values) <= 7
    assert all(low - 1e-6 * size <= value <= high + 1e-6 * size for value in values)
    assert np.allclose(np.diff(values), values[1] - values[0])


@given(st.lists(numbers, min_size=1, max_size=5))
def test_a_span_holds_its_values_and_has_a_length(values: list[float]) -> None:
    low, high = span(values)
    assert low <= min(values) <= max(values) <= high and low < high


def test_an_axis_maps_its_ends_and_what_lies_between() -> None:
    axis = Axis(10, 20, 300, 100)
    assert [axis.at(value) for value in (10, 15, 20)] == [300, 200, 100]
    with pytest.raises(ValueError, match="an axis from 1 to 1"):
        Axis(1, 1, 0, 100)


def test_what_is_written_is_text() -> None:
    drawing = Drawing(10, 10, HOSTILE)
    drawing.text(1, 2, HOSTILE, title=HOSTILE)
    drawing.add("rect", title=HOSTILE)
    assert "<script" not in str(drawing) and "\x1b" not in str(drawing) and "\u202e" not in str(drawing)
    assert texts(drawing) == ['</text><script>alert("1")</script>\\x1b\\u202e'] * 3


def test_long_names_are_shortened() -> None:
    assert shortened("abcdef", 6) == "abcdef" and shortened("abcdefg", 6) == "abcde\u2026"


def test_no_two_of_the_first_classes_look_alike() -> None:
    assert len({swatch(number) for number in range(COLOURS * len(SHAPES))}) == COLOURS * len(SHAPES)
    drawn = scatter_chart([Point(number, 0.0, number, f"v{number}") for number in range(40)], "x", "y")
    assert sum(element.tag in ("circle", "polygon") for element in fromstring(str(drawn)).iter()) == 40


def test_curves_leave_out_what_is_not_finite() -> None:
    curve = Curve("a", ((0.0, float("nan")), (1.0, 2.0), (2.0, 3.0)), marked=2.0)
    drawn = line_chart([curve], "epoch", "loss")
    assert drawn is not None
    titles = [text for text in texts(drawn) if text.startswith("a, ")]
    assert titles == ["a, epoch 1: 2", "a, epoch 2: 3, kept"]
    assert line_chart([Curve("a", ((0.0, float("nan")),))], "epoch", "loss") is None
    assert line_chart([Curve("a", ((1.0, 2.0),))], "epoch", "loss") is not None  # a single epoch


def test_intervals_stand_where_their_numbers_say() -> None:
    drawn = fromstring(str(interval_chart([Interval("a", 50, 25, 75)], "accuracy, %", 20)))
    (dot,) = (element for element in drawn.iter("circle"))
    whiskers = [element for element in drawn.iter("line") if element.get("class") == "whisker"]
    left, right = float(whiskers[0].attrib["x1"]), float(whiskers[0].attrib["x2"])
    assert float(dot.attrib["cx"]) == pytest.approx((left + right) / 2)


def test_a_confusion_matrix_has_its_percents_in_the_cells() -> None:
    drawn = confusion_chart(["a", "b"], np.array([[3, 1], [0, 0]]))
    found = [element.text for element in fromstring(str(drawn)).iter("text") if element.get("class") == "number"]
    assert found == ["75", "25"]
    assert "a taken for b: 25.0 % of 4" in texts(drawn) and "b taken for a: 0.0 % of 0" in texts(drawn)


def test_a_large_confusion_matrix_has_titles_instead_of_numbers() -> None:
    names = [f"c{number}" for number in range(NUMBERED + 1)]
    drawn = confusion_chart(names, np.eye(NUMBERED + 1, dtype=np.int64))
    assert 'class="number"' not in str(drawn) and "c0 taken for c0: 100.0 % of 1" in texts(drawn)


def test_classes_stand_best_first_and_without_those_that_were_not_asked() -> None:
    drawn = class_chart(["low", "none", "high"], [10.0, float("nan"), 90.0], 50)
    names = [element.text for element in fromstring(str(drawn)).iter("text") if element.get("class") == "name "]
    assert names == ["high", "low"]


def test_bins_stand_at_what_was_said_and_right() -> None:
    said, right = np.array([np.nan, 0.75]), np.array([np.nan, 0.5])
    drawn = reliability_chart(Reliability(said, right, np.array([0, 4])))
    assert "said 75.0 %, right 50.0 %, 4 queries (100.0 %)" in texts(drawn)
