"""Listed videos are found in whatever layout; what cannot be told is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hcl.extract.catalog.benchmarks.finding import find_videos
from hcl.extract.catalog.benchmarks.listing import Listing
from hcl.extract.system.errors import InputError

from .conftest import LAYOUTS, pick

ListingOf = Callable[[str], Listing]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_videos_are_found_in_every_layout(layout: str, lay_out: Callable[..., Path], listing_of: ListingOf) -> None:
    name, place = LAYOUTS[layout]
    listing = listing_of(name)
    chosen = pick(listing)
    root = lay_out(chosen, place)
    for further in ("labels/something-something-v2-train.json", "readme.txt", "UCF-101/other/v_Other_g01_c01.avi"):
        (root / further).parent.mkdir(parents=True, exist_ok=True)
        (root / further).write_text("{}")
    catalog = find_videos(root, listing)
    assert [video.path for video in catalog.videos] == [video.line for video in chosen]
    assert catalog.class_splits() == {video.label: video.split for video in chosen}
    for video, listed in zip(catalog.videos, chosen, strict=True):
        assert video.source == root / place(listed).rstrip("/"), "an id is its own file"
        assert video.group == listing.benchmark.naming.group(listed.label, listed.id)


def test_lists_of_tens_of_thousands_take_one_walk(tmp_path: Path, listing_of: ListingOf) -> None:
    listing = listing_of("ssv2-otam")
    folder = tmp_path / "videos"
    folder.mkdir()
    for video in listing.videos[::7]:  # 10,257 files
        (folder / f"{video.id}.webm").touch()
    assert len(find_videos(tmp_path, listing).videos) == len(listing.videos[::7])


def test_what_is_found_twice_is_resolved_by_a_rule_or_refused(
    lay_out: Callable[..., Path], listing_of: ListingOf
) -> None:
    listing = listing_of("ucf-arn")
    videos = pick(listing)
    root = lay_out(videos, lambda video: f"videos/{video.id}.avi")
    lay_out(videos, lambda video: f"frames/{video.id}/")
    lay_out(videos[:1], lambda video: f"lower/{video.id.lower()}.avi")
    (root / "links").mkdir()
    os.symlink(root / "videos" / f"{videos[0].id}.avi", root / "links" / f"{videos[0].id}.avi")
    os.symlink(root, root / "links" / "again")
    catalog = find_videos(root, listing)
    assert {os.path.dirname(os.path.realpath(video.source)) for video in catalog.videos} == {str(root / "videos")}
    assert catalog.notes() == ["12 videos are there as files and as folders of frames; the files are read"]
    lay_out(videos[:2], lambda video: f"smaller/{video.id}.mp4")
    with pytest.raises(
        InputError, match="2 listed videos are found more than once, such as v_Apply.*: smaller/.* and videos/"
    ):
        find_videos(root, listing)


def test_frames_beside_flow_are_told_apart_or_refused(lay_out: Callable[..., Path], listing_of: ListingOf) -> None:
    videos = pick(listing_of("ucf-arn"))[:1]
    root = lay_out(videos, lambda video: f"{video.id}/flow_x/")
    lay_out(videos, lambda video: f"{video.id}/img/")
    assert find_videos(root, listing_of("ucf-arn")).videos[0].source == root / videos[0].id / "img"
    lay_out(videos, lambda video: f"flow/{video.id}/")
    with pytest.raises(InputError, match=r"found more than once.*name the folder below it"):
        find_videos(root, listing_of("ucf-arn"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "found no video files or folders of frames; give the folder that holds HMDB-51"),
        (("a.rar", "b.RAR"), "found 2 .rar: unpack them first"),
        (("a/v_YoYo_g01_c01.avi",), "found 1 other videos, such as v_YoYo_g01_c01.avi"),
    ],
)
def test_where_nothing_is_found_it_says_what_is_there(
    tmp_path: Path, files: tuple[str, ...], message: str, listing_of: ListingOf
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=f"none of the 6766 videos that hmdb-arn lists.*{message}"):
        find_videos(tmp_path, listing_of("hmdb-arn"))


def test_no_folder_is_refused(tmp_path: Path, listing_of: ListingOf) -> None:
    with pytest.raises(InputError, match="no such folder; give the one that holds the videos of HMDB-51"):
        find_videos(tmp_path / "nowhere", listing_of("hmdb-arn"))


def test_the_older_something_something_is_refused(lay_out: Callable[..., Path], listing_of: ListingOf) -> None:
    listing = listing_of("ssv2-cmn")
    old = [video for video in listing.videos if int(video.id) <= 108_499][:20]
    root = lay_out(old, lambda video: f"20bn-something-something-v1/{video.id}/")
    with pytest.raises(InputError, match="no number above 108499 .* V1, whose numbers are of other videos"):
        find_videos(root, listing)
    new = next(video for video in listing.videos if int(video.id) > 108_499)
    lay_out([new], lambda video: f"{video.id}.webm")
    assert len(find_videos(root, listing).videos) == 21


def test_a_folder_that_cannot_be_listed_is_named(
    lay_out: Callable[..., Path], listing_of: ListingOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = lay_out(pick(listing_of("ucf-arn"))[:1], lambda video: f"{video.id}.avi")
    monkeypatch.setattr(os, "scandir", lambda _: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(InputError, match="cannot be listed .Permission denied.; check its permissions"):
        find_videos(root, listing_of("ucf-arn"))
