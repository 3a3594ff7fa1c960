"""How each set names its videos: what a listed id and a file on disk have in common, and what was filmed together.

Kinetics: `YOUTUBEID_000010_000020`. Something-Something V2: a number. HMDB-51: `FILM_action_f_cm_np1_fr_med_0`, with
letters such as # ( & ! that scripts replace. UCF-101: `v_HandStandPushups_g01_c01`, in a folder HandstandPushups.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

Keys = tuple[str, ...]  # from the strictest to the loosest; "" where there is none

_KINETICS = re.compile(r"(.{11})(?:_([0-9]+)_([0-9]+))?")
_HMDB_CONDITIONS = re.compile(r"_[fulh]_[cn]m_np[0-9]+_(?:fr|ba|le|ri)_(?:bad|med|goo)_[0-9]+")


@dataclass(frozen=True)
class Naming:
    """How a set names its videos.

    A file is a listed video where the key of a level, the strictest first, equals that of one listed id alone.
    """

    keys_of_id: Callable[[str], Keys]
    keys_of_file: Callable[[str], Keys]  # of its name without the suffix
    group: Callable[[str, str], str] = lambda label, name: ""  # what an id was filmed with, given its class


def word_keys(name: str) -> Keys:
    """Of names made of words: as they stand; signs as "_"; that without capitals and "-"; letters and digits alone."""
    plain = unquote(name)
    lower = plain.lower()
    return name, re.sub("[^A-Za-z0-9-]", "_", plain), re.sub("[^a-z0-9]", "_", lower), re.sub("[^a-z0-9]", "", lower)


def number_keys(name: str) -> Keys:
    """Of names that are a number: the number, whatever zeros stand before it."""
    return (str(int(name)),) if name.isascii() and name.isdecimal() else ("",)


def youtube_keys(name: str) -> Keys:
    """Of Kinetics' names: with their time stamps, whatever zeros these have; then the identifier of YouTube alone."""
    found = _KINETICS.fullmatch(name)
    if not found or found[2] is None:
        return name, "", name
    return name, f"{found[1]} {int(found[2])} {int(found[3])}", ""


def listed_youtube_keys(name: str) -> Keys:
    """As `youtube_keys`, of a listed id: it is also meant by a file without time stamps."""
    *strict, _ = youtube_keys(name)
    return (*strict, youtube_id("", name))


def youtube_id(label: str, name: str) -> str:
    """The video of YouTube that a clip of Kinetics was cut from."""
    return name[:11]


def hmdb_film(label: str, name: str) -> str:
    """The film that a clip of HMDB-51 was cut from: what stands before the action and the conditions."""
    found = _HMDB_CONDITIONS.search(name)
    return name[: found.start()].removesuffix(f"_{label}") if found else ""


def ucf_group(label: str, name: str) -> str:
    """The group of a clip of UCF-101, such as v_YoYo_g01: clips of one group share a person or a place."""
    found = re.fullmatch(r"(v_.+_g[0-9]+)_c[0-9]+", name)
    return found[1] if found else ""


KINETICS = Naming(listed_youtube_keys, youtube_keys, youtube_id)
SOMETHING = Naming(number_keys, number_keys)  # who filmed is not published
HMDB = Naming(word_keys, word_keys, hmdb_film)
UCF = Naming(word_keys, word_keys, ucf_group)
