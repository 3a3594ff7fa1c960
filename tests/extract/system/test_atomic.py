"""What is written is whole or not there at all."""

from pathlib import Path

import pytest

from hcl.extract.system.atomic import atomic_file, atomic_folder


def test_a_file_appears_with_its_whole_content(tmp_path: Path) -> None:
    file = tmp_path / "a file.txt"
    for content in ("first", "second"):
        with atomic_file(file) as fresh:
            fresh.write_text(content)
            assert not file.exists() or file.read_text() == "first"
        assert file.read_text() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a file.txt"]


def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    with pytest.raises(KeyError), atomic_file(file) as fresh:
        fresh.write_text("half")
        raise KeyError
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]


def test_a_folder_replaces_another_whole(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (tmp_path / "folder.new").mkdir()
    (tmp_path / "folder.new" / "of a killed run").touch()
    for name in ("first", "second"):
        with atomic_folder(folder) as fresh:
            (fresh / name).touch()
        assert [path.name for path in folder.iterdir()] == [name]
    with pytest.raises(KeyError), atomic_folder(folder):
        raise KeyError
    assert [path.name for path in folder.iterdir()] == ["second"]
