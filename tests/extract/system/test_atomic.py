"""What is written is whole or not there at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hcl.extract.system.atomic import atomic_file, atomic_folder, refuse_links, remove_unfinished
from hcl.extract.system.errors import InputError


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


def test_links_at_temporary_names_are_never_written_through(tmp_path: Path) -> None:
    mine, ours = tmp_path / "mine", tmp_path / "my folder"
    mine.write_text("mine")
    ours.mkdir()
    (ours / "kept").touch()
    (tmp_path / f"file.{os.getpid()}.new").symlink_to(mine)
    (tmp_path / "folder.new").symlink_to(ours, target_is_directory=True)
    with atomic_file(tmp_path / "file") as fresh:
        fresh.write_text("ours")
    with atomic_folder(tmp_path / "folder") as fresh_folder:
        (fresh_folder / "new").touch()
    assert mine.read_text() == "mine" and (tmp_path / "file").read_text() == "ours"
    assert [entry.name for entry in ours.iterdir()] == ["kept"]
    assert [entry.name for entry in (tmp_path / "folder").iterdir()] == ["new"]
    (tmp_path / "link").symlink_to(ours, target_is_directory=True)
    with atomic_folder(tmp_path / "link"):
        pass
    assert (ours / "kept").exists() and not (tmp_path / "link").is_symlink()


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from hcl.extract.system.atomic import atomic_file\n"
    code += "with atomic_file(Path(sys.argv[1])) as fresh: fresh.write_text('other')"
    with atomic_file(tmp_path / "file") as fresh:
        fresh.write_text("this")
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "file")], check=True)
        assert (tmp_path / "file").read_text() == "other" and fresh.read_text() == "this"
    assert (tmp_path / "file").read_text() == "this" and len(list(tmp_path.iterdir())) == 1


def test_links_out_of_a_folder_are_refused_and_links_within_it_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "file").touch()
    (folder / "deep" / "within").symlink_to(folder / "file")
    (tmp_path / "outside").touch()
    refuse_links(folder, depth=2)
    (folder / "deep" / "out").symlink_to(tmp_path / "outside")
    refuse_links(folder, depth=1)
    with pytest.raises(InputError, match=r"deep/out: a link out of .*folder.* to .*outside; put a copy"):
        refuse_links(folder, depth=2)


def test_remains_of_killed_writers_are_removed(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt.123.new").touch()
    (tmp_path / "store.zarr.new" / "maps").mkdir(parents=True)
    (tmp_path / "metrics.jsonl").touch()
    remove_unfinished(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.jsonl"]
