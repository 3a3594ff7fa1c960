"""What the self-test prints."""

from __future__ import annotations

from collections.abc import Iterator

from tabulate import tabulate

from hcl.classify.selftest.check import Check
from hcl.extract.system.console import plain
from hcl.match.reports.report import counted

SHOWN = 10  # pairs and clips of a kind that are named; JSON and page name all


def as_text(found: Check) -> str:
    """All that the self-test says, in lines."""
    return "\n".join(map(plain, _lines(found)))


def _lines(found: Check) -> Iterator[str]:
    encoder = found.run or "untrained"
    yield f"{sum(each.clips for each in found.classes)} clips of {len(found.classes)} classes; {encoder}"
    if found.asked:
        how = "each left out with all of its group" if found.by_group else "each left out in its turn"
        low, high = found.interval
        yield (
            f"recognised: {found.right} of {found.asked} clips, {found.accuracy:.1f} % (95 %: {low:.1f} to {high:.1f};"
            f" chance {100 / len(found.classes):.1f}), {how}"
        )
    else:
        yield "no clip can be left out: every class has one clip"
    yield from class_lines(found)
    yield from section(
        "taken for each other",
        [
            f"{pair.one} and {pair.other}: {counted(pair.total, 'clip')}"
            f" ({pair.forth} of the former as the latter, {pair.back} the other way)"
            for pair in found.confusion
        ],
    )
    yield from section(
        "looks mislabelled",
        [f"{each.path}: in {each.label}, looks like {each.looks_like}" for each in found.mislabelled],
    )
    yield from section(
        "nearly the same",
        [
            f"{each.one} = {each.other} (cosine {each.cosine:.4f})"
            + (f", in {each.labels[0]} and {each.labels[1]}" if len(set(each.labels)) > 1 else "")
            for each in found.alike
        ],
    )
    yield from section("the same file as another clip, not counted", list(found.copies))
    yield from section("says nothing", [f"{each.path}: {each.reason}" for each in found.silent])
    yield from section("could not be read", [f"{each.path}: {each.reason}" for each in found.broken])
    if len(found.curve) > 1:
        steps = ", ".join(f"{number}: {value:.1f}" for number, value in enumerate(found.curve, start=1))
        yield f"recognised by number of clips of each class, %: {steps}"
    yield found.advice
    yield from (f"note: {note}" for note in found.notes)


def class_lines(found: Check) -> list[str]:
    """The table of classes."""
    rows = [
        (plain(each.name), each.clips, f"{each.recall:.1f}" if each.asked else "", each.taken_for, each.groups or "")
        for each in found.classes
    ]
    headers = ("class", "clips", "recognised %", "others taken for it", "groups")
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True).splitlines()


def section(title: str, lines: list[str]) -> Iterator[str]:
    """A title and its lines, if there are any; of many the first."""
    if lines:
        yield f"{title} ({len(lines)}):"
        yield from (f"  {line}" for line in lines[:SHOWN])
        if len(lines) > SHOWN:
            yield f"  and {len(lines) - SHOWN} more, see --json or --html"
