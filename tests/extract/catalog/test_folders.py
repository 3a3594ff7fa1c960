"""Folders as users have them: each is read rightly, or refused in a line that says what was found and what to do."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hcl.extract.catalog.folders import BACK, BESIDE, EMPTY, LOOSE, OUTSIDE, SAME_NAME
from hcl.extract.catalog.listing import read_catalog
from hcl.extract.catalog.videos import SUFFIX
from hcl.extract.system.errors import InputError

Touch = Callable[..., None]


def paths(root: Path) -> list[str]:
    return [video.path for video in read_catalog(root).videos]


def test_images_beside_videos_are_left_aside_and_named(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, "a/p/one.mp4", "a/p/two.mp4", "a/p/one.jpg", "b/p/cover.png", "b/p/clip/1.jpg", "b/p/clip/2.jpg")
    catalog = read_catalog(tmp_path)
    assert [video.path for video in catalog.videos] == ["a/p/one.mp4", "a/p/two.mp4", "b/p/clip"]
    assert catalog.left_aside == {BESIDE: ("a/p/one.jpg", "b/p/cover.png")}
    assert "left aside (2), images beside videos" in catalog.notes()[0]


def test_images_beside_folders_of_frames_are_refused(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, "a/v1/1.jpg", "a/v1/2.jpg", "a/v1/flow/1.jpg", "a/v1/flow/2.jpg")
    with pytest.raises(InputError, match=r"a/v1 in .*: holds 2 images \(such as 1.jpg\) and, below it, a/v1/flow: one"):
        read_catalog(tmp_path)


@pytest.mark.parametrize("suffix", "VOB asf divx f4v mpe m2v qt 3g2 MXF".split())
def test_videos_of_further_suffixes_are_read(tmp_path: Path, touch: Touch, suffix: str) -> None:
    touch(tmp_path, f"a/1.{suffix}")
    assert paths(tmp_path) == [f"a/1.{suffix}"]


def test_what_is_not_read_by_its_suffix_is_named_so(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, "a/1.mp4", "a/2.dav", "a/3.dav", "a/unsuffixed", "a/frames/1.jpg", "a/frames/info.txt")
    catalog = read_catalog(tmp_path)
    assert catalog.left_aside == {SUFFIX: ("a/2.dav", "a/3.dav", "a/frames/info.txt", "a/unsuffixed")}
    assert catalog.notes() == [
        "left aside (4), not read by their suffix (a CSV manifest reads any file that it names): .dav 2, .txt 1,"
        " none 1: a/2.dav, a/3.dav, a/frames/info.txt, a/unsuffixed"
    ]


@pytest.mark.parametrize(("link", "target"), [("a/up", "."), ("a/p/up", "a"), ("up", "."), ("a/p/above", "..")])
def test_links_to_a_folder_above_are_left_aside(tmp_path: Path, touch: Touch, link: str, target: str) -> None:
    root = tmp_path / "videos"
    touch(root, "a/1.mp4", "a/p/2.mp4", "b/3.mp4")
    touch(tmp_path, "another/c/4.mp4")
    (root / link).symlink_to(root / target, target_is_directory=True)
    catalog = read_catalog(root)
    assert [video.path for video in catalog.videos] == ["a/1.mp4", "a/p/2.mp4", "b/3.mp4"]
    assert catalog.left_aside == {BACK: (link,)}


def test_folders_that_link_to_each_other_end(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, "a/1.mp4", "b/2.mp4")
    (tmp_path / "a/x").symlink_to(tmp_path / "b", target_is_directory=True)
    (tmp_path / "b/y").symlink_to(tmp_path / "a", target_is_directory=True)
    assert paths(tmp_path) == ["a/1.mp4", "a/x/2.mp4", "b/2.mp4", "b/y/1.mp4"]


def test_links_to_elsewhere_are_followed_and_broken_ones_are_named(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, "store/1.mp4", "videos/b/2.mp4")
    (tmp_path / "videos/a").symlink_to(tmp_path / "store", target_is_directory=True)
    (tmp_path / "videos/b/gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "videos/b/self").symlink_to(tmp_path / "videos/b/self")
    catalog = read_catalog(tmp_path / "videos")
    assert [video.path for video in catalog.videos] == ["a/1.mp4", "b/2.mp4"]
    assert catalog.left_aside == {SUFFIX: ("b/gone", "b/self")}


def make_named(folder: Path, name: bytes) -> None:
    try:
        (folder / os.fsdecode(name)).touch()
    except OSError:
        pytest.skip("this file system takes names of UTF-8 alone")


def test_names_that_are_no_utf8_are_shown_by_their_bytes(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"gr\xfc\xdfen")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes names of UTF-8 alone")
    make_named(folder, b"\xe4.mp4")
    make_named(folder, rb"\xe4.mp4")  # reads like the former
    catalog = read_catalog(tmp_path)
    (video,) = catalog.videos
    assert (video.path, video.label) == (r"gr\xfc\xdfen/\xe4.mp4", r"gr\xfc\xdfen")
    assert video.source.exists() and catalog.left_aside == {SAME_NAME: (r"gr\xfc\xdfen/\xe4.mp4",)}


def test_videos_outside_of_class_folders_are_named(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, "x.mp4", "base/y.mp4", "base/a/1.mp4", "novel/b/1.mp4", "novel/empty/notes.txt")
    catalog = read_catalog(tmp_path)
    assert [video.path for video in catalog.videos] == ["base/a/1.mp4", "novel/b/1.mp4"]
    assert catalog.left_aside[OUTSIDE] == ("base/y.mp4", "x.mp4") and catalog.left_aside[EMPTY] == ("novel/empty",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("1.mp4 2.mp4", "found 2 videos without class folders, such as 1.mp4: make one for each class"),
        ("1.jpg 2.jpg", "found images such as 1.jpg: the folder of a video's frames stands in a class folder"),
        ("clip1/1.jpg clip2/1.jpg", "found images such as clip1/1.jpg.*give the folder above"),
        (
            "a/1.dav a/2.dav",
            r"found \(2\), not read by their suffix .*\.dav 2: a/1.dav, a/2.dav; \(1\), class folders without",
        ),
        ("train/a/1.mp4 wave/1.mp4", "'wave' stands beside train/, which is read as the split base; use only split"),
        ("train/1.mp4 test/2.mp4", "found 2 videos without class folders, such as test/2.mp4"),
    ],
)
def test_a_folder_of_another_form_is_refused_with_what_was_found(
    tmp_path: Path, touch: Touch, names: str, message: str
) -> None:
    touch(tmp_path, *names.split())
    with pytest.raises(InputError, match=message) as refused:
        read_catalog(tmp_path)
    assert "\n" not in str(refused.value)


def test_other_words_for_splits_are_understood_and_said(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, "Train/a/1.mp4", "validation/b/1.mp4", "test/c/1.mp4", "test/d/1.mp4")
    catalog = read_catalog(tmp_path)
    assert catalog.class_splits() == {"a": "base", "b": "val", "c": "novel", "d": "novel"}
    assert catalog.read_as == (
        "Train is read as the split base; test is read as the split novel; validation is read as the split val"
    )
    assert not read_catalog(tmp_path / "test").read_as


def test_a_folder_of_videos_alone_is_read_where_no_class_is_needed(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, "2.mp4", "1.mp4", "notes.txt", "empty/notes.txt")
    catalog = read_catalog(tmp_path, unlabelled=True)
    assert [(video.path, video.label, video.split) for video in catalog.videos] == [
        ("1.mp4", "", ""),
        ("2.mp4", "", ""),
    ]
    assert catalog.class_names == () and catalog.class_splits() == {} and catalog.left_aside[SUFFIX]
    touch(tmp_path, "wave/1.mp4")
    catalog = read_catalog(tmp_path, unlabelled=True)
    assert [video.label for video in catalog.videos] == ["wave"] and catalog.left_aside[OUTSIDE] == ("1.mp4", "2.mp4")


@pytest.mark.parametrize("above", ["", "wave/", "wave/clip1/"])
def test_colours_and_flow_in_folders_side_by_side_are_refused(tmp_path: Path, touch: Touch, above: str) -> None:
    below = "clip/" if above == "" else ""
    touch(
        tmp_path, *(f"{above}{kind}/{below}{number}.jpg" for kind in ("rgb", "Flow_x", "flow_y") for number in (1, 2))
    )
    with pytest.raises(InputError, match="Flow_x/, flow_y/, rgb/ read like several kinds of images.*CSV manifest"):
        read_catalog(tmp_path)


def test_images_in_a_class_folder_are_named(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, "a/1.mp4", "b/1.jpg", "b/2.jpg")
    assert read_catalog(tmp_path).left_aside == {LOOSE: ("b/1.jpg", "b/2.jpg"), EMPTY: ("b",)}


def test_a_folder_above_that_of_the_classes_is_hinted_at(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, "set/wave/1.mp4", "set/nod/1.mp4")
    assert "set/nod/1.mp4 of class 'set'; if the classes are the folders below" in read_catalog(tmp_path).notes()[0]
    assert read_catalog(tmp_path / "set").notes() == []
    touch(tmp_path, "set/1.mp4")
    assert read_catalog(tmp_path).notes() == []


def test_a_folder_that_may_not_be_entered_is_named(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, "a/p/1.mp4")
    (tmp_path / "a").chmod(0o400)
    try:
        if os.access(tmp_path / "a" / "p", os.F_OK):
            pytest.skip("this user may enter everything")
        with pytest.raises(InputError, match="check its permissions"):
            read_catalog(tmp_path)
    finally:
        (tmp_path / "a").chmod(0o700)
