"""The parts of clips that are left out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcl.classify.adaptation.comparing import askable, summarised
from hcl.classify.adaptation.held_out import parts

LABELS = [*"aaaaabbbbbccccc"]


@given(
    labels=st.lists(st.sampled_from("abc"), min_size=1, max_size=14),
    groups=st.lists(st.sampled_from(["", "p", "q", "r"]), min_size=14, max_size=14),
    count=st.integers(1, 6),
    seed=st.integers(0, 3),
)
def test_every_clip_is_in_one_part_and_groups_stay_whole(
    labels: list[str], groups: list[str], count: int, seed: int
) -> None:
    groups = groups[: len(labels)]
    found = parts(labels, groups, count, seed)
    assert sorted(np.concatenate(found).tolist()) == list(range(len(labels))) and len(found) <= count
    for name in set(groups) - {""}:
        members = {place for place, group in enumerate(groups) if group == name}
        assert sum(bool(members & set(part.tolist())) for part in found) == 1


@pytest.mark.parametrize("count", [2, 5])
def test_parts_have_as_many_clips_of_each_class(count: int) -> None:
    for part in parts(LABELS, [""] * 15, count, 0):
        held = [LABELS[place] for place in part]
        assert max(held.count(name) for name in "abc") - min(held.count(name) for name in "abc") <= 1


def test_no_more_parts_than_clips_of_a_class() -> None:
    assert len(parts([*"aabb"], [""] * 4, 5, 0)) == 2
    assert len(parts([*"ab"], [""] * 2, 5, 0)) == 1


def test_only_clips_whose_class_has_others_are_asked_for() -> None:
    assert askable([*"aab"], np.array([0, 2])).tolist() == [0]
    assert askable([*"ab"], np.array([0, 1])).tolist() == []


def test_the_adapted_weights_are_kept_only_where_they_are_better() -> None:
    right = np.array([[0, 0, 0, 0], [1, 0, 0, 1], [1, 1, 0, 1]], dtype=float)
    found = summarised(right, [*"aabb"], [""] * 4, np.arange(4), 2)
    assert [each.right for each in found.measured] == [0, 2, 3] and found.keeps_adapted
    assert found.difference[0] <= 25 <= found.difference[1]
    assert "adapted minus before: +1 clips" in str(found)
    alike = summarised(right[[0, 1, 1]], [*"aabb"], [""] * 4, np.arange(4), 2)
    assert not alike.keeps_adapted and alike.difference == (0, 0)
    worse = summarised(right[[2, 1, 0]], [*"aabb"], [""] * 4, np.arange(4), 2)
    assert not worse.keeps_adapted and "try hcl classify without --run" in str(worse)
