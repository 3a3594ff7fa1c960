"""The motions of the demo set: what stands where at each moment, as pure functions of time."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pose:
    """Where thing, hand and card are at one moment.

    Lengths are in strokes (the length of a video's motion on screen, drawn per video), y points down.
    """

    x: float = 0.0  # of the thing, from the middle of the motion
    y: float = 0.0
    scale: float = 1.0
    angle: float = 0.0  # degrees, clockwise
    hand_y: float = 0.0  # of the hand, from the thing that it holds
    covered: float | None = None  # 0: the card is beside the thing, 1: it hides it, None: there is no card
    opened: float = 0.0  # of a box or a book


Motion = Callable[[float, float], Pose]  # (time from 0 to 1, a free phase from 0 to 1) -> Pose


def _push_right(time: float, phase: float) -> Pose:
    return Pose(x=time - 0.5)


def _push_left(time: float, phase: float) -> Pose:
    return Pose(x=0.5 - time)


def _lift(time: float, phase: float) -> Pose:
    """The hand comes down empty, then goes up with the thing."""
    reach, rise = min(time / 0.35, 1.0), _smooth((time - 0.35) / 0.65)
    return Pose(y=0.5 - rise, hand_y=reach - 1.0)


def _drop(time: float, phase: float) -> Pose:
    """The thing falls; the hand stays above."""
    fallen = min(time / 0.7, 1.0) ** 2
    return Pose(y=fallen - 0.5, hand_y=-fallen)


def _clockwise(time: float, phase: float) -> Pose:
    turned = 2 * math.pi * (phase + 1.25 * time)
    return Pose(x=0.5 * math.cos(turned), y=0.5 * math.sin(turned))


def _closer(time: float, phase: float) -> Pose:
    return Pose(y=0.3 * (time - 0.5), scale=0.6 * 3.0**time)


def _cover(time: float, phase: float) -> Pose:
    return Pose(covered=_smooth(time))


def _open(time: float, phase: float) -> Pose:
    return Pose(opened=_smooth(time))


def _tip(time: float, phase: float) -> Pose:
    """Lean over to one side and come back."""
    return Pose(angle=math.copysign(110.0, phase - 0.5) * math.sin(math.pi * time))


def _shake(time: float, phase: float) -> Pose:
    return Pose(x=0.45 * math.sin(5 * math.pi * time))  # not in step with eight even frames, which would hide it


def _smooth(time: float) -> float:
    clipped = min(max(time, 0.0), 1.0)
    return clipped * clipped * (3.0 - 2.0 * clipped)


def _backwards(motion: Motion) -> Motion:
    return lambda time, phase: motion(1.0 - time, phase)


def _one_after_the_other(first: Motion, second: Motion) -> Motion:
    return lambda time, phase: first(2 * time, phase) if time < 0.5 else second(2 * time - 1, phase)


MOTIONS: dict[str, Motion] = {
    "push left": _push_left,
    "push right": _push_right,
    "lift drop": _one_after_the_other(_lift, _drop),
    "drop lift": _one_after_the_other(_drop, _lift),
    "clockwise": _clockwise,
    "anticlockwise": _backwards(_clockwise),
    "closer": _closer,
    "away": _backwards(_closer),
    "cover": _cover,
    "uncover": _backwards(_cover),
    "tip shake": _one_after_the_other(_tip, _shake),
    "shake tip": _one_after_the_other(_shake, _tip),
    "open": _open,
    "close": _backwards(_open),
}
