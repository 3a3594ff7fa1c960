"""The shipped lists hold what was published; a folder of lists reads alike, and contradictions are refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from hcl.extract.catalog.benchmarks.definitions import DEFINED
from hcl.extract.catalog.benchmarks.listing import Listed, Listing, pack, read_folder, read_listing, read_packed
from hcl.extract.config import BENCHMARKS
from hcl.extract.hub.class_texts import clean_name
from hcl.extract.system.errors import InputError

PUBLISHED = {  # base, val, novel: classes and videos
    "kinetics-cmn": ((64, 6400), (12, 1200), (24, 2400)),
    "ssv2-cmn": ((64, 6400), (12, 1200), (24, 2400)),
    "ssv2-otam": ((64, 67013), (12, 1926), (24, 2857)),
    "hmdb-arn": ((31, 4280), (10, 1194), (10, 1292)),
    "ucf-arn": ((70, 9154), (10, 1421), (21, 2745)),
}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_shipped_lists_hold_the_published_counts_and_no_id_twice(name: str) -> None:
    listing = read_listing(name)
    counts = [(len(classes), sum(classes.values())) for classes in listing.counts.values()]
    assert tuple(counts) == PUBLISHED[name]
    assert {split: total for split, (_, total) in zip(listing.counts, counts, strict=True)} == DEFINED[name].counts
    ids = [video.id for video in listing.videos]
    assert len(set(ids)) == len(ids), "an id is in two splits or classes"
    labels = {video.label for video in listing.videos}
    assert len({clean_name(label) for label in labels}) == len(labels), "two classes have the same text"


def test_classes_that_are_codes_have_names_in_words() -> None:
    of_lines = {video.line: video.label for video in read_listing("ssv2-otam").videos}
    assert of_lines["train8/78687"] == "holding something next to something"
    assert not [label for label in of_lines.values() if "sth" in label.split() or label != " ".join(label.split())]


def write_lists(folder: Path, **lists: str) -> Path:
    folder.mkdir(exist_ok=True)
    for prefix, text in lists.items():
        (folder / f"{prefix}list03.txt").write_text(text, encoding="utf-8")
    return folder


def test_lists_of_a_folder_read_as_packed_ones_do(tmp_path: Path) -> None:
    folder = write_lists(tmp_path, train="c1/a b\nc1/a#c.avi\n\n", val="nod/x (2)\n", test="wave/y\r\n")
    (folder / "class_names.txt").write_text("c1 folding  sth \nc2 other\n")
    listing = read_listing("hmdb-arn", folder)
    assert listing.videos == (
        Listed("base", "folding something", "c1/a b"),
        Listed("base", "folding something", "c1/a#c"),
        Listed("val", "nod", "nod/x (2)"),
        Listed("novel", "wave", "wave/y"),
    )
    (tmp_path / "packed").write_bytes(pack(reversed(listing.videos)))
    assert sorted(read_packed(tmp_path / "packed"), key=repr) == sorted(listing.videos, key=repr)
    assert read_listing("hmdb-arn", folder).identity == listing.identity
    assert replace(listing, videos=listing.videos[:3] + listing.videos[3:]).identity == listing.identity


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"train": "a/1\n", "val": "b/1\n", "test": "c/2\n"}, "1 is listed twice .base a/1 and val b/1"),
        ({"train": "a/1\n", "val": "a/2\n", "test": "c/3\n"}, "class 'a' is listed in base and in val"),
        ({"train": "a/1\n", "val": "\n", "test": "c/3\n"}, "no videos of val"),
        ({"train": "a/1\n", "val": "b/2\n"}, r"expected one list test\*.txt of novel, found none; see --split-lists"),
        ({"train": "a 1\n", "val": "b/2\n", "test": "c/3\n"}, "trainlist03.txt line 1: 'a 1' is not class/id"),
        ({"train": "a/b/1\n", "val": "b/2\n", "test": "c/3\n"}, "'a/b/1' is not class/id"),
    ],
)
def test_lists_that_contradict_themselves_are_refused(tmp_path: Path, lists: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_listing("ucf-arn", write_lists(tmp_path, **lists))


def test_unknown_benchmarks_and_unreadable_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--benchmark must be one of kinetics-cmn"):
        read_listing("imagenet")
    (tmp_path / "trainlist03.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a readable UTF-8 text"):
        list(read_folder(tmp_path))


def test_a_listing_needs_all_three_splits() -> None:
    with pytest.raises(InputError, match="no videos of base"):
        Listing(DEFINED["ucf-arn"], (), "here")
