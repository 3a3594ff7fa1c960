"""The listed videos of a benchmark under a folder, as a catalog: which file is which video, and what was not found."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hcl.extract.catalog.benchmarks.listing import Listed, Listing
from hcl.extract.catalog.benchmarks.naming import Naming
from hcl.extract.catalog.benchmarks.walking import Candidate, Seen, walk
from hcl.extract.catalog.videos import Catalog, Video, readable
from hcl.extract.system.errors import InputError
from hcl.extract.system.places.location import local_only

SHOWN = 3  # examples in a message
TELLING = 20  # videos that tell versions apart by their numbers


@dataclass(frozen=True)
class Meant:
    """That a file means a listed video."""

    candidate: Candidate
    level: int  # of the keys that agree; 0: the name as it is listed


class Names:
    """The ids of a listing by their keys.

    Args:
        ids: that are listed
        naming: how the set names its videos
    """

    def __init__(self, ids: Iterable[str], naming: Naming) -> None:
        self._naming = naming
        self._levels: list[dict[str, str]] = []  # of keys that one id alone has
        keys = {name: naming.keys_of_id(name) for name in ids}
        for level in range(max(map(len, keys.values()), default=0)):
            counts = Counter(of_id[level] for of_id in keys.values())
            self._levels.append({of[level]: name for name, of in keys.items() if of[level] and counts[of[level]] == 1})

    def find(self, stem: str) -> tuple[str, int] | None:
        """The id that a file's name means, and the level of the keys that agree; None if it means none."""
        keys = self._naming.keys_of_file(stem)
        for level, (key, ids) in enumerate(zip(keys, self._levels, strict=True)):
            if key in ids:
                return ids[key], level
        return None

    def has(self, stem: str) -> bool:
        """Whether a name means a listed id."""
        return self.find(stem) is not None


def find_videos(root: Path, listing: Listing) -> Catalog:
    """Find the listed videos under a folder, in whatever layout.

    An id that is found several times is its file of the very name before one of a like name, and a video file before a
    folder of frames. Links to one file are that file. Otherwise it is refused.

    Raises:
        InputError: if nothing is found, ids are found several times, or the videos are those of another version
    """
    root = local_only(root, "the folder of a benchmark", "copy it here, or list its videos by URL in a manifest")
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the one that holds the videos of {listing.benchmark.title}")
    names, seen = Names((video.id for video in listing.videos), listing.benchmark.naming), Seen()
    meant: dict[str, list[Meant]] = {}
    for candidate in walk(root, names.has, seen):
        if found := names.find(candidate.stem):
            meant.setdefault(found[0], []).append(Meant(candidate, found[1]))
    if not meant:
        raise InputError(_nothing(root, listing, seen))
    _refuse_older_version(root, listing, meant)
    chosen = {name: _choose(several) for name, several in meant.items()}
    _refuse_several(root, chosen)
    videos = [_video(video, chosen[video.id][0], listing) for video in listing.videos if video.id in chosen]
    return Catalog(tuple(videos), hint=_hint(meant, chosen))


def _choose(several: list[Meant]) -> list[Meant]:
    """Those of several files that a video is, by the rule of `find_videos`; more than one: it cannot be told."""
    best = min((of.level, of.candidate.is_folder) for of in several)
    left = [of for of in several if (of.level, of.candidate.is_folder) == best]
    first = left[0].candidate.path
    return [left[0], *(of for of in left[1:] if not os.path.samefile(first, of.candidate.path))]


def _video(listed: Listed, found: Meant, listing: Listing) -> Video:
    group = listing.benchmark.naming.group(listed.label, listed.id)
    return Video(listed.line, found.candidate.path, listed.label, listed.split, group)


def _refuse_several(root: Path, chosen: Mapping[str, list[Meant]]) -> None:
    several = {name: found for name, found in chosen.items() if len(found) > 1}
    if several:
        name, found = next(iter(several.items()))
        paths = " and ".join(readable(of.candidate.path.relative_to(root).as_posix()) for of in found[:SHOWN])
        raise InputError(
            f"{root}: {len(several)} listed videos are found more than once, such as {name}: {paths}; name the folder"
            " below it that holds one of each, or move the others away"
        )


def _refuse_older_version(root: Path, listing: Listing, meant: Mapping[str, list[Meant]]) -> None:
    """Refuse a set whose older version numbers other videos alike, if none of the newer numbers is there.

    Half of the numbers of V2 are newer: chance leaves them out of so many videos once in a million times.
    """
    last = listing.benchmark.last_of_v1
    if last and len(meant) >= TELLING and max(map(int, meant)) <= last:
        raise InputError(
            f"{root}: no number above {last} is there, so these look like Something-Something V1, whose numbers are of"
            " other videos; the benchmark is of V2"
        )


def _nothing(root: Path, listing: Listing, seen: Seen) -> str:
    """What to say where no listed video is found."""
    packed = {suffix: count for suffix, count in seen.archives.items() if count}
    if packed:
        found = "; found " + ", ".join(f"{count} {suffix}" for suffix, count in packed.items()) + ": unpack them first"
    elif seen.videos:
        found = f"; found {seen.videos} other videos, such as {readable(seen.example)}"
    else:
        found = "; found no video files or folders of frames"
    return (
        f"{root}: none of the {len(listing.videos)} videos that {listing.benchmark.name} lists, such as"
        f" {listing.videos[0].id}{found}; give the folder that holds {listing.benchmark.title}"
    )


def _hint(meant: Mapping[str, list[Meant]], chosen: Mapping[str, list[Meant]]) -> str:
    """What a user should know of how videos were found."""
    like = [of for (of, *_) in chosen.values() if of.level]
    both = sum(len({of.candidate.is_folder for of in several}) > 1 for several in meant.values())
    parts = (
        [f"{len(like)} videos found by a like name, such as {readable(like[0].candidate.path.name)}"] if like else []
    )
    parts += [f"{both} videos are there as files and as folders of frames; the files are read"] if both else []
    return "; ".join(parts)
