"""Which images of a folder are the frames of its video, and in what order."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path

from hcl.extract.catalog.videos import IMAGE_SUFFIXES, readable
from hcl.extract.system.errors import VideoError
from hcl.extract.system.places.location import is_remote

ALL = "*"
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)")
_SHOWN = 4  # kinds of names that a message shows, of many


def frame_images(folder: Path, pattern: str = ALL) -> list[Path]:
    """The frames of a folder of images, in the order of the numbers in their names (frame2 before frame10).

    Args:
        folder: with images
        pattern: of the names of those that are frames, such as "img_*"

    Raises:
        VideoError: if the names are of several kinds, such as those of frames and of optical flow, or do not tell the
            order
    """
    images = [path for path in _files(folder) if path.suffix.lower() in IMAGE_SUFFIXES]
    chosen = images if pattern == ALL else [path for path in images if fnmatchcase(path.name, pattern)]
    if images and not chosen:
        raise VideoError(f"no image of the folder is named {pattern}; they are named {_kinds_shown(images)}")
    return _in_order(chosen) if len(chosen) > 1 else chosen


def _files(folder: Path) -> list[Path]:
    if is_remote(folder):
        return [entry for entry in folder.iterdir() if entry.name[0] != "." and entry.is_file()]
    with os.scandir(folder) as entries:  # which tells files from folders without a call for each
        return [Path(entry.path) for entry in entries if entry.name[0] != "." and entry.is_file()]


def _in_order(paths: Sequence[Path]) -> list[Path]:
    """Sort frames by the numbers in their names.

    Raises:
        VideoError: if they have several orders, or none
    """
    if len({_kind(path) for path in paths}) > 1:
        raise VideoError(
            f"its images have several kinds of names, {_kinds_shown(paths)}: choose one by --frame-names, or move the"
            " others away"
        )
    texts = [_NUMBER.findall(path.stem) for path in paths]
    keys = {path: tuple(map(Decimal, of_path)) for path, of_path in zip(paths, texts, strict=True)}
    ordered = sorted(paths, key=lambda path: keys[path])
    for first, second in zip(ordered, ordered[1:], strict=False):
        if keys[first] == keys[second]:
            names = " and ".join(sorted((readable(first.name), readable(second.name))))
            raise VideoError(f"{names} are the same frame; keep one of them, or choose by --frame-names")
    _refuse_two_counts(ordered, keys)
    _refuse_unclear_fractions(texts)
    return ordered


def _refuse_two_counts(ordered: Sequence[Path], keys: dict[Path, tuple[Decimal, ...]]) -> None:
    """Refuse names in which a further number does not grow with the first that differs, as in cam1_001 and cam2_001."""
    for place in range(len(keys[ordered[0]])):
        for first, second in zip(ordered, ordered[1:], strict=False):
            if keys[second][place] < keys[first][place]:
                raise VideoError(
                    f"several numbers count its images ({readable(first.name)}, then {readable(second.name)}?): choose"
                    " one sequence by --frame-names, or rename them with one running number"
                )


def _refuse_unclear_fractions(texts: Sequence[Sequence[str]]) -> None:
    """Refuse names in which 1.10 may come before 1.9, as a fraction, or after it, as number 10 of part 1."""
    for column in zip(*texts, strict=True):
        numbers = [text.split(".") for text in column if "." in text]
        wholes, lengths = {whole for whole, _ in numbers}, {len(fraction) for _, fraction in numbers}
        if len(lengths) < 2:
            continue
        by_parts = sorted(numbers, key=lambda parts: (int(parts[0]), int(parts[1])))
        by_value = sorted(numbers, key=lambda parts: Decimal(".".join(parts)))
        is_padded = any(len(fraction) > 1 and fraction.endswith("0") for _, fraction in numbers)
        if by_parts != by_value and (is_padded or len(wholes) == 1):
            first, second = next((a, b) for a, b in zip(by_parts, by_value, strict=True) if a != b)
            raise VideoError(
                f"the order of its images is unclear: does {'.'.join(first)} come before {'.'.join(second)}?"
                " Rename them with one running number"
            )


def _kind(path: Path) -> str:
    """The name without its numbers, such as "img_*"."""
    return _NUMBER.sub("*", path.stem)


def _kinds_shown(paths: Sequence[Path]) -> str:
    """The kinds of names and how many images have each, the most frequent first."""
    counts = Counter(sorted(map(_kind, paths))).most_common()
    shown = ", ".join(f"{readable(kind)} ({count})" for kind, count in counts[:_SHOWN])
    return shown + (f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else "")
