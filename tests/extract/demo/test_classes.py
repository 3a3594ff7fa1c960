"""The classes of the demo set: neither a motion nor a thing tells one alone."""

from hcl.extract.demo.classes import CLASSES, FAMILIES
from hcl.extract.demo.motions import MOTIONS
from hcl.extract.demo.shapes import THINGS


def test_classes_combine_every_family_with_two_things_and_every_small_thing_with_two_families() -> None:
    assert len(CLASSES) >= 24
    assert len({shown.name for shown in CLASSES}) == len(CLASSES)
    assert len({(shown.motion, shown.thing) for shown in CLASSES}) == len(CLASSES)
    assert {shown.motion for shown in CLASSES} == set(MOTIONS)
    assert {shown.thing for shown in CLASSES} == set(THINGS)
    for thing in set(THINGS) - {"box", "book"}:
        assert sum(thing in things for _, things in FAMILIES) == 2
    for shown in CLASSES:
        assert shown.thing in shown.name.split()
