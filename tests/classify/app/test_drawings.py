"""What the page draws: pairs of clips the right way round, and segments where they are in time."""

from xml.etree import ElementTree

import pytest

from hcl.classify.app.drawings import LEFT, WIDTH, _turned, timeline
from hcl.classify.pages.matches import ClipPair
from hcl.classify.spotting.segments import Segment, Spotted


def test_a_pair_is_turned_where_the_example_stands_above() -> None:
    assert _turned([ClipPair((0, 1), (2, 5), 0.5)]) == (ClipPair((2, 5), (0, 1), 0.5),)
    assert _turned(_turned([ClipPair((0, 1), (2, 5), 0.5)])) == (ClipPair((0, 1), (2, 5), 0.5),)


def test_segments_stand_where_they_are_in_time() -> None:
    found = Spotted("long.mp4", (Segment("b", 2.0, 4.0, 1.0, 0.9), Segment("<a>", 5.0, 10.0, 1.0, 0.8)), 10.0, 25.0)
    root = ElementTree.fromstring(str(timeline(found, ("<a>", "b", "c"))))
    boxes = [each for each in root.iter() if "segment" in each.get("class", "")]
    scale = (WIDTH - LEFT - 20) / 10
    assert [float(box.get("x", "")) for box in boxes] == pytest.approx([LEFT + 2 * scale, LEFT + 5 * scale], abs=0.1)
    assert [float(box.get("width", "")) for box in boxes] == pytest.approx([2 * scale, 5 * scale], abs=0.1)
    assert float(boxes[0].get("y", "")) > float(boxes[1].get("y", ""))  # rows are in the order of the classes
    assert "c" not in [each.text for each in root.iter()]


def test_nothing_found_draws_nothing() -> None:
    assert timeline(Spotted("long.mp4", (), 10.0, 25.0), ("a",)) is None
