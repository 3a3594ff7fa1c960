"""The demo set in its folder: drawn alike each time, never left half done, nothing of the user's touched."""

import csv
import multiprocessing
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from hcl.extract.demo.backgrounds import PLACES
from hcl.extract.demo.classes import CLASSES
from hcl.extract.demo.config import DemoConfig
from hcl.extract.demo.dataset import DemoVideo, write_demo_videos
from hcl.extract.demo.encoding import CONTAINERS
from hcl.extract.system.errors import InputError

SMALL = DemoConfig(classes=2, videos_per_class=2, workers=1)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "videos"
    write_demo_videos(folder, SMALL)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_folder_holds_class_folders_and_a_manifest_of_them(demo: Path) -> None:
    with (demo / "manifest.csv").open(newline="") as manifest:
        rows = list(csv.DictReader(manifest))
    assert {row["path"] for row in rows} == set(files(demo)) - {"manifest.csv"}
    assert [row["label"] for row in rows] == ["push the cup left"] * 2 + ["push the cup right"] * 2
    assert all(row["path"].startswith(row["label"] + "/") for row in rows)
    assert all(row["group"] in row["path"] for row in rows)
    for row in rows:
        with av.open(demo / row["path"]) as container:
            frames = sum(1 for _ in container.decode(video=0))
        assert frames >= 15


def test_places_and_containers_do_not_tell_the_class() -> None:
    videos = [[DemoVideo(label, index, 0) for index in range(12)] for label in range(len(CLASSES))]
    for place in PLACES:
        shares = [sum(video.place is place for video in shown) / 12 for shown in videos]
        assert 0.1 < np.mean(shares) < 0.25
        assert max(shares) <= 0.5  # so that every class has queries and supports from different places
    endings = [{video.path.rpartition(".")[2] for video in shown} for shown in videos]
    assert set.union(*endings) == set(CONTAINERS)
    assert all(len(shown) > 1 for shown in endings)


def test_same_seed_gives_the_same_bytes_however_many_are_drawn_and_by_however_many_processes(
    demo: Path, tmp_path: Path
) -> None:
    write_demo_videos(tmp_path, DemoConfig(classes=2, videos_per_class=1, workers=2))
    fewer, more = files(tmp_path), files(demo)
    assert len(fewer) == 3
    assert all(more[name] == content for name, content in fewer.items() if name != "manifest.csv")
    assert DemoVideo(0, 0, seed=1).encoded() != DemoVideo(0, 0, seed=0).encoded()


def drawn_at(folder: Path) -> dict[Path, int]:
    """When each video was written; one that is drawn again has another time."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.parent != folder and path.is_file()}


def test_running_again_draws_what_is_missing_alone(demo: Path) -> None:
    before = files(demo)
    lost = demo / DemoVideo(1, 0, 0).path
    lost.unlink()
    (demo / "push the cup left" / "half.mp4.new").write_bytes(b"half")
    assert write_demo_videos(demo, SMALL) == [lost]
    assert files(demo) == before
    drawn = drawn_at(demo)
    assert write_demo_videos(demo, SMALL) == []
    assert write_demo_videos(str(demo), DemoConfig(classes=1, videos_per_class=1)) == []
    assert files(demo) == before  # the manifest too: it lists all that is there
    assert drawn_at(demo) == drawn


def test_failure_while_writing_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(source: object, target: object) -> None:
        if str(target).endswith(tuple(CONTAINERS)):
            raise OSError(28, "No space left on device", str(target))
        rename(source, target)

    rename = os.replace
    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(InputError, match=r"cup left.*No space left on device.*disk with 100 MB free"):
        write_demo_videos(tmp_path, SMALL)
    assert set(files(tmp_path)) == {"manifest.csv"}


def kill_a_drawing_process(folder: Path) -> None:
    """Wait until a video is being drawn and kill a process that draws, as the system does when memory runs out."""
    while not list(folder.glob("*/*")):
        time.sleep(0.01)
    multiprocessing.active_children()[0].kill()


def test_a_killed_worker_names_the_remedy(tmp_path: Path) -> None:
    killer = threading.Thread(target=kill_a_drawing_process, args=(tmp_path,))
    killer.start()
    with pytest.raises(InputError, match="fewer --workers"):
        write_demo_videos(tmp_path, DemoConfig(classes=4, videos_per_class=12, workers=2))
    killer.join()


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path\n"
        "from hcl.extract.demo.config import DemoConfig\n"
        "from hcl.extract.demo.dataset import write_demo_videos\n"
        f"write_demo_videos(Path({str(tmp_path / 'videos')!r}), DemoConfig(workers=2))\n"
    )
    command = [sys.executable, "-"]  # a script from standard input, without a guard against being imported
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin is not None and parent.stdout is not None
        parent.stdin.write(program.encode())
        parent.stdin.close()
        while not list(tmp_path.glob("videos/*/*.*")):
            assert parent.poll() is None
            time.sleep(0.1)
        parent.kill()
        assert select.select([parent.stdout], [], [], 20)[0]  # at its end, since no worker holds it open any more


@pytest.mark.parametrize("stray", ["notes.txt", "jump/clip.mp4", "push the cup left/mine.mp4"])
def test_folder_with_other_things_is_refused(tmp_path: Path, stray: str) -> None:
    (tmp_path / stray).parent.mkdir(exist_ok=True)
    (tmp_path / stray).write_text("mine")
    with pytest.raises(InputError, match="not part of a demo set; give a new or empty folder"):
        write_demo_videos(tmp_path, SMALL)
    assert set(files(tmp_path)) == {stray}


def test_stray_file_in_a_demo_set_is_refused(demo: Path) -> None:
    stray = demo / "push the cup left" / "holiday.mp4"
    stray.write_bytes(b"mine")
    try:
        with pytest.raises(InputError, match="holiday.mp4: not part of a demo set"):
            write_demo_videos(demo, SMALL)
    finally:
        stray.unlink()


def test_other_seed_is_refused(demo: Path) -> None:
    with pytest.raises(InputError, match="of seed 0, not 7; give --seed 0 or a new folder"):
        write_demo_videos(demo, DemoConfig(classes=2, videos_per_class=2, seed=7))


@pytest.mark.parametrize(
    "content", ["path,label\na,b\n", "", "path,label,group,seed\n../x.mp4,jump,beach,0\n", "path,label,group,seed\nx\n"]
)
def test_foreign_manifest_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.csv").write_text(content)
    with pytest.raises(InputError, match="give a new"):
        write_demo_videos(tmp_path, SMALL)


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "videos").write_text("")
    with pytest.raises(InputError, match="videos.*cannot be written"):
        write_demo_videos(tmp_path / "videos", SMALL)
