"""Classes of another set that a run was trained on under another name: told by their names and by what these mean.

Across sets the same action is called "BlowingCandles" and "blowing out candles", "golf" and "golf driving". Names are
compared word by word, each word reduced to its stem, and by the cosine of their text embeddings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.extract.catalog.csv_files import read_csv
from hcl.extract.hub.class_texts import clean_name
from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.console import csv_cell, csv_text, from_csv_cell
from hcl.extract.system.errors import InputError, write_errors

ATTRIBUTE = "overlap"  # of a store: what was found, row by row
SAME, NEAR, MEANING, PART, ALIKE = "same name", "nearly the same name", "close in meaning", "shares words", "related"
LEFT_OUT_FOR = (SAME, NEAR, MEANING)  # the other reasons are shown, and kept unless a file says otherwise
CLOSE, RELATED = 0.6, 0.45  # cosines of centred text embeddings: of a synonym, and of what a person should look at
COLUMNS = ("label", "trained", "why", "similarity", "leave_out")
YES, NO = "yes", "no"
_FILLERS = frozenset(("a", "an", "the", "something", "someone"))
_VOWELS = frozenset("aeiouy")
_BAG = 3  # stems of names in which the order does not matter; in longer ones it may: "from left to right"

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Overlap:
    """What a class has in common with one that a run was trained on."""

    label: str
    trained: str
    why: str
    similarity: float | None  # cosine of the centred text embeddings; None without them
    leave_out: bool


def stem(word: str) -> str:
    """What different forms of a word share: running, runs, run."""
    word = word.removesuffix("'s")
    if len(word) > 2 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    if word.endswith("ing") and len(word) > 5 and _VOWELS & set(word[:-3]):
        word = word[:-3]
    if len(word) > 2 and word[-1] == word[-2]:
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def stems(name: str) -> tuple[str, ...]:
    """The stems of a class's name, without words that say nothing."""
    return tuple(stem(word) for word in clean_name(name).split() if word not in _FILLERS)


def compare_names(name: str, other: str) -> str:
    """What two names have in common: SAME, NEAR, PART or "".

    NEAR are the same stems (of at most three, in any order), the same letters ("push up" and "pushup"), and names of
    which one has a single word more than the other's two or more. PART is a name whose words are all in the other.
    """
    if clean_name(name) == clean_name(other):
        return SAME
    first, second = sorted((stems(name), stems(other)), key=len)
    if not first:
        return ""
    ordered = first == second or (len(first) <= _BAG and sorted(first) == sorted(second))
    if ordered or "".join(first) == "".join(second):
        return NEAR
    if not _follows(first, second):
        return ""
    return NEAR if len(first) > 1 and len(second) == len(first) + 1 else PART


def _follows(words: Sequence[str], among: Sequence[str]) -> bool:
    """Whether words stand among others in their order."""
    rest = iter(among)
    return all(word in rest for word in words)


def centred_cosines(embeddings: Floats, others: Floats) -> Floats:
    """The cosines (A, B) of two sets of text embeddings (A, E) and (B, E), after the mean of all is subtracted.

    All class names are alike to a text model: without their mean, cosines of different models mean the same.
    """
    mean = np.concatenate((embeddings, others)).mean(axis=0)
    units = [each - mean for each in (embeddings, others)]
    first, second = (each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-12) for each in units)
    return np.asarray(first @ second.T, dtype=np.float32)


def find_overlap(labels: Sequence[str], trained: Sequence[str], cosines: Floats | None = None) -> tuple[Overlap, ...]:
    """For each class that has something in common with a trained one, the closest of these.

    Args:
        labels: A classes of another set
        trained: B classes that a run was trained on
        cosines: (A, B) of their text embeddings; None where there are none

    Returns:
        sorted: those to leave out first
    """
    found = []
    for row, label in enumerate(labels):
        pairs = [
            _pair(label, name, None if cosines is None else round(float(cosines[row, place]), 3))
            for place, name in enumerate(trained)
        ]
        if related := [pair for pair in pairs if pair.why]:
            found.append(min(related, key=_rank))
    return tuple(sorted(found, key=lambda pair: (not pair.leave_out, _rank(pair), pair.label)))


def _pair(label: str, trained: str, similarity: float | None) -> Overlap:
    why, cosine = compare_names(label, trained), -1.0 if similarity is None else similarity
    if why not in (SAME, NEAR) and cosine >= CLOSE:
        why = MEANING
    if not why and cosine >= RELATED:
        why = ALIKE
    return Overlap(label, trained, why, similarity, why in LEFT_OUT_FOR)


def _rank(pair: Overlap) -> tuple[int, float]:
    return (SAME, NEAR, MEANING, PART, ALIKE).index(pair.why), -(pair.similarity or 0.0)


def write_overlap(path: Path, pairs: Sequence[Overlap]) -> None:
    """Write what was found as a CSV file, in which `leave_out` can be changed.

    Raises:
        InputError: if the file cannot be written
    """
    rows: list[tuple[str, ...]] = [COLUMNS]
    for pair in pairs:
        similarity = "" if pair.similarity is None else f"{pair.similarity:.3f}"
        decided = YES if pair.leave_out else NO
        rows.append((csv_cell(pair.label), csv_cell(pair.trained), pair.why, similarity, decided))
    with write_errors(path, "name another file with --overlap"), atomic_file(path) as fresh:
        fresh.write_text(csv_text(rows), encoding="utf-8", newline="")


def read_overlap(path: Path, labels: Sequence[str]) -> tuple[Overlap, ...]:
    """Read such a file; of the columns, label and leave_out decide, the others are for people.

    Args:
        path: of the file
        labels: the classes that there are

    Raises:
        InputError: if a line names no class, or leave_out is neither yes nor no
    """
    pairs: dict[str, Overlap] = {}
    for line, row in read_csv(path, required=("label", "leave_out")):
        label, decided = from_csv_cell(row["label"]), row["leave_out"].lower()
        if label not in labels:
            raise InputError(f"{path} line {line}: {label!r} is no class here; the classes are {', '.join(labels)}")
        if decided not in (YES, NO):
            raise InputError(f"{path} line {line}: leave_out is {row['leave_out']!r}, expected {YES} or {NO}")
        if label in pairs:
            raise InputError(f"{path} line {line}: {label!r} stands twice; keep one of the lines")
        trained, why = from_csv_cell(row.get("trained", "")), row.get("why", "")
        pairs[label] = Overlap(label, trained, why, _number(row.get("similarity", "")), decided == YES)
    return tuple(pairs.values())


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def to_attribute(pairs: Sequence[Overlap]) -> list[dict[str, Any]]:
    """Plain types, for a store and a report."""
    return [asdict(pair) for pair in pairs]


def of_attributes(attributes: Mapping[str, Any]) -> tuple[Overlap, ...]:
    """Undo `to_attribute`; none where a store has no such attribute, or another one of its name."""
    stored = attributes.get(ATTRIBUTE)
    rows = stored if isinstance(stored, list) else []
    names = {each.name for each in fields(Overlap)}
    return tuple(
        Overlap(
            label=str(row["label"]),
            trained=str(row["trained"]),
            why=str(row["why"]),
            similarity=row["similarity"] if isinstance(row["similarity"], float) else None,
            leave_out=row["leave_out"] is True,
        )
        for row in rows
        if isinstance(row, dict) and set(row) == names
    )
