"""Where decoding can start, and which packets a seeking reader must not trust."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcl.extract.video.bitstream import PacketFacts
from hcl.extract.video.packet_index import PacketNote, entry_points, packets_flaw

SOUND = PacketNote(pts=0, is_key=True, is_hidden=False, is_corrupt=False, facts=PacketFacts(parameters=(b"small",)))


@given(st.permutations(range(7)), st.sets(st.integers(0, 6)))
def test_entry_points_by_definition(pts: list[int], keys: set[int]) -> None:
    expected = [
        key
        for key in sorted(keys)
        if all(before < pts[key] for before in pts[:key]) and all(pts[key] < after for after in pts[key + 1 :])
    ]
    assert entry_points(pts, sorted(keys)) == tuple(expected)


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        ({}, ""),
        ({"is_hidden": True}, "an edit list hides frames"),
        ({"is_corrupt": True}, "damaged packets"),
        ({"facts": PacketFacts(whole=False)}, "damaged packets"),
        ({"facts": PacketFacts(shown=False)}, "packets without a frame"),
        ({"facts": PacketFacts(parameters=(b"large",))}, "the stream changes its format"),
        ({"pts": None}, "frames without a timestamp"),
        ({"pts": 0}, "frames with equal timestamps"),
    ],
)
def test_one_packet_is_enough_for_a_flaw(change: dict[str, Any], flaw: str) -> None:
    assert packets_flaw([SOUND, replace(SOUND, **{"pts": 1, **change}), replace(SOUND, pts=2)]) == flaw
