"""Byte-identical videos are found, and the later split gives way."""

from hypothesis import given
from hypothesis import strategies as st

from hcl.extract.cache.video_table import VideoTable, left_out_text

ORDER = ("base", "val", "novel")


def table(contents: list[str], splits: list[str]) -> VideoTable:
    names = tuple(f"{row}.mp4" for row in range(len(contents)))
    return VideoTable(names, names, tuple(splits), names, tuple(contents))


@given(st.lists(st.tuples(st.sampled_from(["", "x", "y", "z"]), st.sampled_from(ORDER)), max_size=12))
def test_what_an_earlier_split_has_is_found_by_loops(drawn: list[tuple[str, str]]) -> None:
    contents, splits = [content for content, _ in drawn], [split for _, split in drawn]
    videos = table(contents, splits)
    found = videos.in_earlier_split
    for row, content in enumerate(contents):
        same = [other for other, of_other in enumerate(contents) if content and of_other == content]
        earlier = [other for other in same if ORDER.index(splits[other]) < ORDER.index(splits[row])]
        assert (row in found) == bool(earlier)
        if earlier:
            first = min(earlier, key=lambda other: (ORDER.index(splits[other]), other))
            assert found[row] == first
    left = [row for row in range(len(drawn)) if row not in found]
    for content in set(contents) - {""}:  # what is left shares no content over splits
        assert len({splits[row] for row in left if contents[row] == content}) == 1


def test_of_many_some_are_shown() -> None:
    videos = table(["x"] * 13, ["base"] + ["novel"] * 12)
    same = videos.same_as(videos.in_earlier_split)
    assert same[0] == "novel 1.mp4 = base 0.mp4"
    text = left_out_text(same)
    assert text.startswith("left out, 12 val or novel videos") and text.count(" = ") == 10
    assert text.endswith(" and 2 more")
