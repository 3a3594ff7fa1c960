"""The motions of the demo set: pairs differ in time alone, none jumps, each goes where its name says."""

import dataclasses
import itertools

import pytest

from hcl.extract.demo.motions import MOTIONS, Pose

REVERSED = [
    ("push left", "push right"),
    ("clockwise", "anticlockwise"),
    ("closer", "away"),
    ("cover", "uncover"),
    ("open", "close"),
]
SWAPPED = [("lift drop", "drop lift"), ("tip shake", "shake tip")]


def poses(motion: str, count: int = 40) -> list[Pose]:
    return [MOTIONS[motion]((frame + 0.5) / count, 0.3) for frame in range(count)]


def rounded(shown: list[Pose]) -> list[tuple[float | None, ...]]:
    return [
        tuple(None if value is None else round(value, 9) + 0.0 for value in dataclasses.astuple(pose)) for pose in shown
    ]


@pytest.mark.parametrize(("motion", "backwards"), REVERSED)
def test_these_pairs_differ_in_the_direction_of_time_alone(motion: str, backwards: str) -> None:
    assert rounded(poses(motion)) == rounded(poses(backwards))[::-1]
    assert rounded(poses(motion)) != rounded(poses(backwards))


@pytest.mark.parametrize(("motion", "swapped"), SWAPPED)
def test_these_pairs_differ_in_the_order_of_their_halves_alone(motion: str, swapped: str) -> None:
    shown = rounded(poses(motion))
    assert shown[20:] + shown[:20] == rounded(poses(swapped))
    assert shown != rounded(poses(swapped))


@pytest.mark.parametrize("motion", MOTIONS)
def test_motions_have_no_jumps(motion: str) -> None:
    shown = poses(motion, count=400)
    for before, after in itertools.pairwise(shown):
        assert abs(after.x - before.x) + abs(after.y - before.y) < 0.05
        assert abs(after.hand_y - before.hand_y) < 0.05


def test_motions_go_where_their_names_say() -> None:
    def first_and_last(motion: str) -> tuple[Pose, Pose]:
        return MOTIONS[motion](0.0, 0.0), MOTIONS[motion](1.0, 0.0)

    start, end = first_and_last("push left")
    assert end.x < start.x
    start, end = first_and_last("closer")
    assert end.scale > start.scale
    start, end = first_and_last("cover")
    assert (start.covered, end.covered) == (0.0, 1.0)
    start, end = first_and_last("open")
    assert (start.opened, end.opened) == (0.0, 1.0)
    assert MOTIONS["lift drop"](0.5, 0.0).y < MOTIONS["lift drop"](0.0, 0.0).y  # y points down: it is up in the middle
    assert MOTIONS["drop lift"](0.5, 0.0).y > MOTIONS["drop lift"](0.0, 0.0).y
    right, below = MOTIONS["clockwise"](0.0, 0.0), MOTIONS["clockwise"](0.2, 0.0)
    assert right.x > 0.49 and below.y > 0.49
