"""What the demo set shows: its classes, each a motion done with one thing.

Every small thing occurs in two families of motions and every family with two things, so neither alone tells the class;
inside a family the two motions share their poses and differ in the order of time (only a hand that pushes changes sides
too). So a random split of the classes leaves most motions and things of the novel classes in the base classes.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class DemoClass:
    """One class: the words of its folder, and the names of its motion (motions.py) and thing (shapes.py)."""

    name: str
    motion: str
    thing: str


# (motion, words with a gap for the thing), then the things that it is done with
FAMILIES: tuple[tuple[tuple[tuple[str, str], tuple[str, str]], tuple[str, str]], ...] = (
    ((("push left", "push the {} left"), ("push right", "push the {} right")), ("cup", "key")),
    ((("lift drop", "lift then drop the {}"), ("drop lift", "drop then lift the {}")), ("ball", "bottle")),
    ((("clockwise", "circle the {} clockwise"), ("anticlockwise", "circle the {} anticlockwise")), ("star", "hammer")),
    ((("closer", "bring the {} closer"), ("away", "move the {} away")), ("cup", "ball")),
    ((("cover", "cover the {}"), ("uncover", "uncover the {}")), ("key", "star")),
    ((("tip shake", "tip then shake the {}"), ("shake tip", "shake then tip the {}")), ("bottle", "hammer")),
    ((("open", "open the {}"), ("close", "close the {}")), ("box", "book")),
)

CLASSES = tuple(
    DemoClass(words.format(thing), motion, thing)
    for motions, things in FAMILIES
    for thing in things
    for motion, words in motions
)
