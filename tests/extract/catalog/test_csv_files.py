"""Folders, manifests and splits."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcl.extract.catalog.csv_files import read_names, read_splits
from hcl.extract.catalog.listing import read_catalog
from hcl.extract.catalog.splits import count_splits, split_classes, split_lines
from hcl.extract.system.errors import InputError


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_class_folders_give_labels_and_relative_paths(tmp_path: Path) -> None:
    touch(tmp_path, "wave/b 1.MP4", "wave/ä.avi", "run/deeper/x.webm", "run/notes.txt", "run/.hidden.mp4", "read.me")
    catalog = read_catalog(tmp_path)
    assert [(video.path, video.label, video.split) for video in catalog.videos] == [
        ("run/deeper/x.webm", "run", ""),
        ("wave/b 1.MP4", "wave", ""),
        ("wave/ä.avi", "wave", ""),
    ]
    assert catalog.ignored == ("read.me", "run/notes.txt")


def test_a_folder_of_images_is_one_video(tmp_path: Path) -> None:
    touch(tmp_path, "wave/clip1/000.jpg", "wave/clip1/001.jpg", "wave/clip2/a.PNG")
    assert [video.path for video in read_catalog(tmp_path).videos] == ["wave/clip1", "wave/clip2"]


def test_split_folders_give_splits(tmp_path: Path) -> None:
    touch(tmp_path, "base/a/1.mp4", "val/b/1.mp4", "novel/c/1.mp4")
    catalog = read_catalog(tmp_path)
    assert catalog.class_splits() == {"a": "base", "b": "val", "c": "novel"}
    assert catalog.videos[0].path == "base/a/1.mp4"


def test_a_class_in_two_splits_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "base/a/1.mp4", "novel/a/2.mp4")
    with pytest.raises(
        InputError, match="'a' is in split novel here and in base before; put every class into one split"
    ):
        read_catalog(tmp_path).class_splits()


def test_split_folders_beside_class_folders_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "base/a/1.mp4", "wave/1.mp4")
    with pytest.raises(InputError, match="'wave' stands beside base/"):
        read_catalog(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere", "no such folder or manifest"), ("empty", "no videos found"), ("file.txt", "neither a folder")],
)
def test_nothing_usable_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").touch()
    with pytest.raises(InputError, match=message):
        read_catalog(tmp_path / name)


def manifest(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "videos.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_manifest_columns_come_in_any_order(tmp_path: Path) -> None:
    path = manifest(tmp_path, "\ufefffps,group, label,path,split\n30,tom,wave,x/1.mp4,base\n25,,run,./y.mp4,novel\n")
    videos = read_catalog(path).videos
    assert [(v.path, v.label, v.split, v.group) for v in videos] == [
        ("x/1.mp4", "wave", "base", "tom"),
        ("y.mp4", "run", "novel", ""),
    ]
    assert videos[0].source == tmp_path / "x/1.mp4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na,b\n", "no column 'path'; the header must name path,label .* first line is 'file,label'"),
        ("x/1.mp4 0\nx/2.mp4 1\n", "no column 'path'.* the first line is 'x/1.mp4 0'"),
        ("path,label,label\na,b,c\n", "column 'label' stands twice in the header"),
        ("path;label\na,b\n", "line 2: path and label must not be empty"),
        ('path,label\n"a,b\nc,d\n', "not a readable UTF-8 CSV file .*unexpected end of data"),
        ("path,label\na,\n", "line 2: path and label must not be empty"),
        ("path,label,split\na,b,query\n", "line 2: split 'query' is not one of base, val, novel"),
        ("path,label\na,b\n./a,b\n", "line 3: ./a is listed twice"),
        ("path,label\na,b,c\n", "line 2: more values than columns"),
        ("path,label,fold\na,b,query\n", "line 2: fold 'query' is not one of base, val, novel"),
        ("path,label,fold,split\na,b,val,base\n", "line 2: split 'base' and fold 'val' differ.*keep one of them"),
        ("path,label\n", "no videos found"),
    ],
)
def test_bad_manifests_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_catalog(manifest(tmp_path, text))


@pytest.mark.parametrize("separator", [",", ";", "\t", ", "])
@pytest.mark.parametrize("first", ["", "sep=;\n", "\ufeff", "\ufeffsep=,\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lists_have_commas_semicolons_or_tabs(tmp_path: Path, separator: str, first: str, end: str) -> None:
    rows = [("Path", "Label", "group"), ("x/1.mp4", "wave", "a b"), (), ('"y,;2.mp4"', "nod", "")]
    text = first.replace("\n", end) + "".join(separator.join(row) + end for row in rows)
    for name in ("videos.csv", "videos.TSV"):
        (tmp_path / name).write_bytes(text.encode())
        videos = read_catalog(tmp_path / name).videos
        assert [(v.path, v.label, v.group) for v in videos] == [("x/1.mp4", "wave", "a b"), ("y,;2.mp4", "nod", "")]
    path = manifest(
        tmp_path, first.replace("\n", end) + separator.join(("label", "name")) + end + f"a{separator}b{end}"
    )
    assert read_names(path) == {"a": "b"}


def test_backslashes_of_windows_are_slashes(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "1.mp4").touch()
    path = manifest(tmp_path, "path,label\nx\\1.mp4,wave\n.\\y\\2.mp4,nod\n")
    videos = read_catalog(path).videos
    assert [video.path for video in videos] == ["x/1.mp4", "y/2.mp4"] and videos[0].source.exists()


@pytest.mark.skipif(os.name == "nt", reason="a backslash separates folders there")
def test_a_backslash_in_a_name_stays(tmp_path: Path) -> None:
    (tmp_path / "x\\1.mp4").touch()
    assert read_catalog(manifest(tmp_path, "path,label\nx\\1.mp4,wave\n")).videos[0].path == "x\\1.mp4"


@pytest.mark.parametrize(
    ("header", "row"),
    [("split", "novel"), ("fold", "novel"), ("split,fold", "novel,novel"), ("fold,split", ",novel")],
)
def test_the_split_stands_in_a_column_of_either_name(tmp_path: Path, header: str, row: str) -> None:
    path = manifest(tmp_path, f"path,label,{header}\nx.mp4,wave,{row}\n")
    assert read_catalog(str(path)).class_splits() == {"wave": "novel"}
    path = manifest(tmp_path, f"label,{header}\nwave,{row}\n")
    assert read_splits(str(path)) == {"wave": "novel"}


def test_words_of_other_sets_for_splits_are_understood_and_said(tmp_path: Path) -> None:
    catalog = read_catalog(manifest(tmp_path, "path,label,split\na,b,train\nc,d,Test\ne,f,val\n"))
    assert [video.split for video in catalog.videos] == ["base", "novel", "val"]
    assert catalog.read_as == "train is read as the split base; Test is read as the split novel"


@pytest.mark.parametrize("text", ["path\na.mp4\nb.mp4\n", "path,label\na.mp4,\nb.mp4,wave\n", "label,path\n,a.mp4\n"])
def test_labels_may_be_left_out_where_none_is_needed(tmp_path: Path, text: str) -> None:
    videos = read_catalog(manifest(tmp_path, text), unlabelled=True).videos
    assert (videos[0].path, videos[0].label) == ("a.mp4", "") and all(
        video.label == "wave" for video in videos[1:] if "wave" in text
    )
    with pytest.raises(InputError, match="no column 'label'|path and label must not be empty"):
        read_catalog(tmp_path / "videos.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,class\na,b\n", "no column 'label'; is it 'class'"),
        ("path,label,split\na,,base\n", "line 2: a split is of a class; give a a label"),
        ("name\na\n", "no column 'path'; the header must name path,label"),
    ],
)
def test_manifests_without_labels_are_refused_where_they_may_mean_otherwise(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_catalog(manifest(tmp_path, text), unlabelled=True)


def test_a_manifest_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "videos.csv"
    path.write_bytes(b"path,label\n\xff\xfe,b\n")
    with pytest.raises(InputError, match="not a readable UTF-8 CSV file .*; save it as CSV UTF-8"):
        read_catalog(path)


def test_splits_for_some_classes_only_are_refused(tmp_path: Path) -> None:
    path = manifest(tmp_path, "path,label,split\na,b,base\nc,d,\n")
    with pytest.raises(InputError, match="class 'd' has no split while others have one"):
        read_catalog(path).class_splits()


@given(count=st.integers(10, 150), seed=st.integers(0, 1000))
def test_splits_keep_their_shares(count: int, seed: int) -> None:
    names = [f"class {number}" for number in range(count)]
    splits = split_classes(names, seed)
    sizes = {split: list(splits.values()).count(split) for split in ("base", "val", "novel")}
    assert set(splits) == set(names)
    assert sizes["novel"] == max(5, round(0.24 * count)) and sizes["val"] == max(2, round(0.12 * count))
    assert sum(sizes.values()) == count
    assert splits == split_classes(reversed(names), seed)


def test_hundred_classes_split_as_published_sets_do() -> None:
    splits = list(split_classes(map(str, range(100)), 0).values())
    assert [splits.count(split) for split in ("base", "val", "novel")] == [64, 12, 24]


def test_another_seed_splits_otherwise() -> None:
    names = [str(number) for number in range(24)]
    assert split_classes(names, 0) != split_classes(names, 1)


def test_added_classes_leave_earlier_splits_alone() -> None:
    first = split_classes(map(str, range(12)), 0)
    more = split_classes(map(str, range(30)), 0, first)
    assert {name: more[name] for name in first} == first
    assert [list(more.values()).count(split) for split in ("base", "val", "novel")] == [19, 4, 7]


def test_few_classes_are_refused_with_the_remedy() -> None:
    with pytest.raises(InputError, match="9 classes are too few to split.*--split-policy all-novel"):
        split_classes(map(str, range(9)), 0)


def test_names_and_splits_are_read_from_one_file(tmp_path: Path) -> None:
    path = tmp_path / "classes.csv"
    path.write_text("label,name,split\nNum0,a fist,base\nNum1,one finger,novel\n", encoding="utf-8")
    assert read_names(path) == {"Num0": "a fist", "Num1": "one finger"}
    assert read_splits(path) == {"Num0": "base", "Num1": "novel"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label\na\n", "no column 'split'"),
        ("label,split\na,query\n", "line 2: split 'query' is not one of"),
        ("label,split\na,\n", "line 2: class 'a' has no split"),
        ("label,split,fold\na,base,novel\n", "line 2: split 'base' and fold 'novel' differ"),
        ("label,split\na,base\na,val\n", "line 3: class 'a' is already in base"),
    ],
)
def test_bad_files_of_splits_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_splits(manifest(tmp_path, text))


def test_splits_are_described_by_their_classes_and_counts() -> None:
    lines = split_lines(count_splits(["b", "a", "b", "c"], ["base", "base", "base", "novel"]))
    assert [line.split(":")[0].strip() for line in lines] == ["base", "val", "novel"]
    assert "2 classes, 3 videos: a (1), b (2)" in lines[0]
    assert "0 classes, 0 videos" in lines[1] and "1 classes, 1 videos: c (1)" in lines[2]
