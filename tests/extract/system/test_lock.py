"""One writer at a time."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hcl.extract.system.errors import InputError
from hcl.extract.system.lock import LOCK_NAMES, sole_writer


def test_a_second_writer_is_refused_by_the_first_ones_number(tmp_path: Path) -> None:
    path = tmp_path / "cache.zarr"
    code = "import sys, time; from pathlib import Path; from hcl.extract.system.lock import sole_writer\n"
    code += "with sole_writer(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    other.stdout.readline()
    try:
        with pytest.raises(InputError, match=f"process {other.pid} is writing to it"), sole_writer(path):
            pass
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
        other.stdout.close()
    with sole_writer(path):  # the lock of a killed process heals itself
        pass


@pytest.mark.parametrize("is_made", [False, True])
def test_where_no_cache_was_made_no_lock_stays(tmp_path: Path, is_made: bool) -> None:
    path = tmp_path / "cache.zarr"
    with pytest.raises(InputError, match="refused"), sole_writer(path):
        if is_made:
            path.mkdir()
        raise InputError("refused")
    assert {entry.name for entry in tmp_path.iterdir()} == ({"cache.zarr", "cache.zarr.lock"} if is_made else set())
    with sole_writer(path):  # it can be held again
        assert (tmp_path / "cache.zarr.lock").exists()


def test_beside_something_else_no_lock_stays(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    with pytest.raises(InputError, match="refused"), sole_writer(tmp_path / "videos"):
        raise InputError("refused")
    assert [entry.name for entry in tmp_path.iterdir()] == ["videos"]


@pytest.mark.parametrize("place", ["lock", "writer"])
def test_a_link_in_the_place_of_the_lock_is_never_written_through(tmp_path: Path, place: str) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / f"cache.zarr.{place}").symlink_to(mine)
    if place == "lock":
        with (
            pytest.raises(InputError, match=r"cache\.zarr\.lock: expected the lock .* remove"),
            sole_writer(tmp_path / "cache.zarr"),
        ):
            pass
    else:
        with sole_writer(tmp_path / "cache.zarr"):
            pass
    assert mine.read_text() == "mine"


def test_where_no_lock_can_be_made_the_remedy_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"cannot be written \(.*\); name another"),
        sole_writer(tmp_path / "file" / "s.zarr", "name another"),
    ):
        pass


def test_a_lock_inside_a_folder_leaves_nothing(tmp_path: Path) -> None:
    with sole_writer(tmp_path / "run", inside=True):
        assert {entry.name for entry in (tmp_path / "run").iterdir()} == set(LOCK_NAMES)
        with pytest.raises(InputError, match="run: .* is writing to it"), sole_writer(tmp_path / "run", inside=True):
            pass
    assert not list(tmp_path.iterdir())
    with sole_writer(tmp_path / "run", inside=True):
        (tmp_path / "run" / "config.json").touch()
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["config.json"]


def test_a_refusal_leaves_no_folder_that_was_made_for_the_lock(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="refused"), sole_writer(tmp_path / "there" / "new" / "deep" / "cache.zarr"):
        raise InputError("refused")
    assert [entry.name for entry in tmp_path.iterdir()] == ["there"] and not list((tmp_path / "there").iterdir())
    with pytest.raises(InputError, match="cannot be written .File name too long"), sole_writer(tmp_path / ("x" * 300)):
        pass
