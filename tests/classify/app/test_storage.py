"""Where examples are kept: in a support set, as clips in class folders, or nowhere; nothing else is touched."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hcl.classify.app.clips import key_of
from hcl.classify.app.storage import AsClips, InSupportSet, Nowhere, open_home
from hcl.classify.support.store import read_support
from hcl.extract.catalog.listing import read_catalog
from hcl.extract.system.errors import InputError
from hcl.extract.system.lock import sole_writer


@pytest.fixture
def clips(small_videos: Path) -> Callable[[str], list[Path]]:
    """A function that lists the videos of a class."""
    return lambda name: sorted((small_videos / "novel" / name).iterdir())


def test_a_support_set_is_kept_and_gone_on_with(serve: Any, clips: Any, tmp_path: Path) -> None:
    path = tmp_path / "my.support"
    page = serve(path)
    assert isinstance(page.workbench.home, InSupportSet) and not path.exists()
    page.add("one", *clips("clap2")[:2])
    page.add("two", clips("jump2")[0])
    assert read_support(path).sizes == {"one": 2, "two": 1}
    again = serve(path)
    assert again.workbench.state.classes == ("one", "two")
    content = again.workbench.state.support.videos.content[0]
    assert again.do("remove-clip", clip=content[:32])[0] == 200
    again.wait()
    assert read_support(path).sizes == {"one": 1, "two": 1}
    page.add("two", clips("jump2")[1])  # the first page knows nothing of the second
    assert read_support(path).sizes == {"one": 1, "two": 2} == page.workbench.state.support.sizes


def test_another_writer_is_named_and_nothing_lost(serve: Any, clips: Any, tmp_path: Path) -> None:
    page = serve(tmp_path / "my.support")
    page.add("one", clips("clap2")[0])
    with sole_writer(tmp_path / "my.support"):
        page.add("one", clips("clap2")[1])
        assert "is writing to it" in page.parts()["jobs"]
    assert page.workbench.state.support.sizes == {"one": 1} == read_support(tmp_path / "my.support").sizes


def test_clips_are_kept_in_class_folders(serve: Any, clips: Any, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "clap").mkdir(parents=True)
    (folder / "clap" / "first.mp4").write_bytes(clips("clap2")[0].read_bytes())
    page = serve(folder)
    page.wait()
    assert isinstance(page.workbench.home, AsClips) and page.workbench.state.support.sizes == {"clap": 1}
    assert page.parts()["classes"].count("<img") == 1  # its frames are read from its file
    page.add("jump", clips("jump2")[0])
    page.post("/upload/question", clips("wave2")[0].read_bytes(), name="../../x.webm")
    page.wait()
    (question,) = page.workbench.state.questions
    page.do("correct", number=question.number, **{"class": key_of("jump")})
    page.wait()
    kept = [video.path for video in read_catalog(folder).videos]
    assert kept == ["clap/first.mp4", "jump/app-0001.mp4", "jump/app-0002.webm"]
    assert (folder / kept[2]).read_bytes() == clips("wave2")[0].read_bytes()
    for content in page.workbench.state.support.videos.content[:2]:
        page.do("remove-clip", clip=content[:32])
    page.wait()
    left = sorted(path.name for path in folder.rglob("*.*"))
    assert left == ["app-0002.webm", "first.mp4"]  # what the page did not write it does not delete
    page.do("remove-question", number=question.number)
    assert list(page.folder.iterdir()) == []


@pytest.mark.parametrize("label", ["a/b", "..", ".hidden", "a\\b", "base", "C:", "é" * 101, "dot."])
def test_a_class_that_no_folder_can_be_called_is_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(InputError, match="call the class otherwise"):
        AsClips(tmp_path)._class_folder(label)


def test_a_link_out_of_the_folder_is_not_followed(serve: Any, clips: Any, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "mine", tmp_path / "elsewhere"
    for each in (folder, elsewhere):
        each.mkdir()
    page = serve(folder)
    os.symlink(elsewhere, folder / "clap")
    page.add("clap", clips("clap2")[0])
    assert "a link out of" in page.parts()["jobs"] and list(elsewhere.iterdir()) == []
    assert page.workbench.state.support is None


def test_a_list_is_only_read(small_videos: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text(f"path,label\n{small_videos / 'novel/clap2/0.mp4'},clap\n")
    opened = open_home(manifest)
    assert isinstance(opened.home, Nowhere) and "export it" in opened.home.about and len(opened.videos) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [("missing/x.support", "make it, or name another place with --support"), ("file.mp4", "a folder of class folders")],
)
def test_what_cannot_be_gone_on_with_is_told(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "file.mp4").write_bytes(b"x")
    with pytest.raises(InputError, match=said):
        open_home(tmp_path / name)
