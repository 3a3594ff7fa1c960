"""The demo set: what its classes show, that it is drawn alike each time, that its folder is never left half done."""

import csv
import dataclasses
import itertools
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from hcl.extract.demo import dataset as demo_videos
from hcl.extract.demo import encoding as demo_encoding
from hcl.extract.demo.backgrounds import PLACES, draw_ground
from hcl.extract.demo.classes import CLASSES, FAMILIES
from hcl.extract.demo.config import DemoConfig
from hcl.extract.demo.dataset import DemoVideo, write_demo_videos
from hcl.extract.demo.encoding import CONTAINERS, encode
from hcl.extract.demo.foreground import SIZES, draw_layout
from hcl.extract.demo.motions import MOTIONS, Pose
from hcl.extract.demo.scenes import DrawnVideo, draw_video
from hcl.extract.demo.shapes import THINGS, draw_thing, paint
from hcl.extract.system.errors import InputError

SMALL = DemoConfig(classes=2, videos_per_class=2, workers=1)
REVERSED = [
    ("push left", "push right"),
    ("clockwise", "anticlockwise"),
    ("closer", "away"),
    ("cover", "uncover"),
    ("open", "close"),
]
SWAPPED = [("lift drop", "drop lift"), ("tip shake", "shake tip")]


def poses(motion: str, count: int = 40) -> list[Pose]:
    return [MOTIONS[motion]((frame + 0.5) / count, 0.3) for frame in range(count)]


def rounded(shown: list[Pose]) -> list[tuple[float | None, ...]]:
    return [
        tuple(None if value is None else round(value, 9) + 0.0 for value in dataclasses.astuple(pose)) for pose in shown
    ]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "videos"
    write_demo_videos(folder, SMALL)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What a class is


def test_classes_combine_every_family_with_two_things_and_every_small_thing_with_two_families() -> None:
    assert len(CLASSES) >= 24
    assert len({shown.name for shown in CLASSES}) == len(CLASSES)
    assert len({(shown.motion, shown.thing) for shown in CLASSES}) == len(CLASSES)
    assert {shown.motion for shown in CLASSES} == set(MOTIONS)
    assert {shown.thing for shown in CLASSES} == set(THINGS)
    for thing in set(THINGS) - {"box", "book"}:
        assert sum(thing in things for _, things in FAMILIES) == 2
    for shown in CLASSES:
        assert shown.thing in shown.name.split()


@pytest.mark.parametrize(("motion", "backwards"), REVERSED)
def test_these_pairs_differ_in_the_direction_of_time_alone(motion: str, backwards: str) -> None:
    assert rounded(poses(motion)) == rounded(poses(backwards))[::-1]
    assert rounded(poses(motion)) != rounded(poses(backwards))


@pytest.mark.parametrize(("motion", "swapped"), SWAPPED)
def test_these_pairs_differ_in_the_order_of_their_halves_alone(motion: str, swapped: str) -> None:
    shown = rounded(poses(motion))
    assert shown[20:] + shown[:20] == rounded(poses(swapped))
    assert shown != rounded(poses(swapped))


@pytest.mark.parametrize("motion", MOTIONS)
def test_motions_have_no_jumps(motion: str) -> None:
    shown = poses(motion, count=400)
    for before, after in itertools.pairwise(shown):
        assert abs(after.x - before.x) + abs(after.y - before.y) < 0.05
        assert abs(after.hand_y - before.hand_y) < 0.05


def test_motions_go_where_their_names_say() -> None:
    def first_and_last(motion: str) -> tuple[Pose, Pose]:
        return MOTIONS[motion](0.0, 0.0), MOTIONS[motion](1.0, 0.0)

    start, end = first_and_last("push left")
    assert end.x < start.x
    start, end = first_and_last("closer")
    assert end.scale > start.scale
    start, end = first_and_last("cover")
    assert (start.covered, end.covered) == (0.0, 1.0)
    start, end = first_and_last("open")
    assert (start.opened, end.opened) == (0.0, 1.0)
    assert MOTIONS["lift drop"](0.5, 0.0).y < MOTIONS["lift drop"](0.0, 0.0).y  # y points down: it is up in the middle
    assert MOTIONS["drop lift"](0.5, 0.0).y > MOTIONS["drop lift"](0.0, 0.0).y
    right, below = MOTIONS["clockwise"](0.0, 0.0), MOTIONS["clockwise"](0.2, 0.0)
    assert right.x > 0.49 and below.y > 0.49


def test_layout_is_drawn_alike_for_every_motion_but_the_pushing_hand() -> None:
    for seed in range(20):
        layouts = {motion: draw_layout(motion, np.random.default_rng(seed)) for motion in MOTIONS}
        assert layouts.pop("push left").side == "right"
        assert layouts.pop("push right").side == "left"
        assert len(set(layouts.values())) == 1
        layout = layouts["open"]
        assert (layout.width, layout.height) in SIZES
        assert [layout.time(0), layout.time(layout.frames - 1)] == pytest.approx([0, 1], abs=0.1)


@pytest.mark.parametrize("thing", THINGS)
def test_things_fit_into_their_pictures_when_turned(thing: str) -> None:
    picture = np.asarray(draw_thing(thing, paint(0.3), 0.5))
    across, down = np.meshgrid(np.linspace(-1, 1, picture.shape[1]), np.linspace(-1, 1, picture.shape[0]))
    assert picture[..., 3].max() == 255
    assert picture[..., 3][np.hypot(across, down) > 1.2].max() == 0


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_grounds_of_a_place_differ_in_detail(place: object) -> None:
    one, same, other = (np.asarray(draw_ground(place, 90, 70, np.random.default_rng(seed))) for seed in (0, 0, 1))
    assert one.shape == (70, 90, 3)
    assert (one == same).all()
    assert (one != other).any()
    assert one.std() > 3


# Frames


def test_same_generator_draws_the_same_frames() -> None:
    drawn = [list(draw_video(CLASSES[9], PLACES[2], np.random.default_rng(4)).frames) for _ in range(2)]
    other = next(draw_video(CLASSES[9], PLACES[2], np.random.default_rng(5)).frames)
    assert all((one == two).all() for one, two in zip(*drawn, strict=True))
    assert other.shape != drawn[0][0].shape or (other != drawn[0][0]).any()


def test_frames_are_as_announced_and_move() -> None:
    video = draw_video(CLASSES[0], PLACES[0], np.random.default_rng(0))
    frames = list(video.frames)
    assert 1.4 * video.rate < len(frames) < 4 * video.rate
    assert {frame.shape for frame in frames} == {(video.height, video.width, 3)}
    assert all((one != two).any() for one, two in itertools.pairwise(frames))


@pytest.mark.parametrize("ending", CONTAINERS)
def test_every_container_holds_h264_that_decodes_to_the_drawn_frames(tmp_path: Path, ending: str) -> None:
    shades = [np.full((48, 64, 3), 20 * shade, dtype=np.uint8) for shade in range(12)]
    path = tmp_path / f"video.{ending}"
    path.write_bytes(encode(DrawnVideo(12, 64, 48, iter(shades)), ending))
    with av.open(path) as container:
        stream = container.streams.video[0]
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.codec_context.name == "h264"
        assert stream.average_rate == 12
    assert [frame.mean() for frame in decoded] == pytest.approx([20.0 * shade for shade in range(12)], abs=4)


def test_same_frames_give_the_same_bytes_whatever_the_memory_held() -> None:
    frames = list(draw_video(CLASSES[1], PLACES[0], np.random.default_rng(0)).frames)[:20]
    high, wide, _ = frames[0].shape
    found = set()
    for attempt in range(6):
        rng = np.random.default_rng(attempt)
        dirt = [rng.integers(0, 255, rng.integers(1_000, 400_000), dtype=np.uint8) for _ in range(60)]
        del dirt  # what the encoder allocates now lies where these bytes are
        found.add(encode(DrawnVideo(12, wide, high, iter(frames)), "mkv"))
    assert len(found) == 1


def test_missing_encoder_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_encoding, "_ENCODERS", {"no-such-encoder": {}})
    demo_encoding.h264_encoder.cache_clear()
    try:
        with pytest.raises(InputError, match="pip install"):
            demo_encoding.h264_encoder()
    finally:
        demo_encoding.h264_encoder.cache_clear()


# The folder


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


def test_running_again_draws_what_is_missing_alone(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(demo)
    lost = demo / DemoVideo(1, 0, 0).path
    lost.unlink()
    (demo / "push the cup left" / "half.mp4.new").write_bytes(b"half")
    assert write_demo_videos(demo, SMALL) == [lost]
    assert files(demo) == before
    monkeypatch.setattr(demo_videos, "encode", None)  # nothing is drawn from here on
    assert write_demo_videos(demo, SMALL) == []
    assert write_demo_videos(demo, DemoConfig(classes=1, videos_per_class=1)) == []
    assert files(demo) == before  # the manifest too: it lists all that is there


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


def die(folder: Path, video: DemoVideo) -> None:
    os._exit(9)


def test_killed_worker_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_videos, "_draw", die)
    with pytest.raises(InputError, match="fewer --workers"):
        write_demo_videos(tmp_path, dataclasses.replace(SMALL, workers=2))


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path\n"
        "from hcl.extract.demo.config import DemoConfig\n"
        "from hcl.extract.demo.dataset import write_demo_videos\n"
        "if __name__ == '__main__':\n"
        f"    write_demo_videos(Path({str(tmp_path / 'videos')!r}), DemoConfig(workers=2))\n"
    )
    (tmp_path / "draw.py").write_text(program)
    with subprocess.Popen([sys.executable, tmp_path / "draw.py"], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        while not list(tmp_path.glob("videos/*/*.*")):
            assert parent.poll() is None
            time.sleep(0.1)
        parent.kill()
        assert select.select([parent.stdout], [], [], 20)[0]  # at its end, since no worker holds it open any more


# Bad input


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


@pytest.mark.parametrize(
    "setting", [{"classes": 0}, {"classes": 99}, {"videos_per_class": 0}, {"seed": -1}, {"workers": -1}]
)
def test_config_checks_itself(setting: dict[str, int]) -> None:
    option = "--" + next(iter(setting)).replace("_", "-")
    with pytest.raises(InputError, match=f"{option} must be from"):
        DemoConfig(**setting)
