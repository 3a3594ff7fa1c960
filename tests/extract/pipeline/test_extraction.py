"""The pipeline on real encoded videos: complete, resumable, and forgiving to broken videos alone."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hcl.extract.backbones.machine import MachineKind
from hcl.extract.cache.base import DONE, FAILED
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.config import CROPS, ExtractConfig
from hcl.extract.pipeline.extraction import extract
from hcl.extract.pipeline.summary import as_text
from hcl.extract.system.errors import InputError
from hcl.extract.video.reading import decoder_note


def bytes_of(cache: Path) -> dict[str, bytes]:
    return {str(file.relative_to(cache)): file.read_bytes() for file in sorted(cache.rglob("*")) if file.is_file()}


def test_every_video_is_mapped(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    summary = extract(videos, tmp_path / "cache.zarr", config)
    cache = ZarrCache.open(tmp_path / "cache.zarr")
    assert summary.extracted == 9 and not summary.failed
    assert cache.shape == (4, 4, 1024) and cache.rows("novel").tolist() == list(range(9))
    assert all(np.isfinite(cache.maps(row)).all() and cache.maps(row).any() for row in range(9))
    assert not np.array_equal(cache.maps(0), cache.maps(1))


def test_running_again_changes_nothing(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    path = tmp_path / "cache.zarr"
    extract(videos, path, config)
    before = bytes_of(path)
    summary = extract(videos, path, config)
    assert (summary.extracted, summary.plan.kept) == (0, 9)
    assert bytes_of(path) == before


def test_a_video_does_not_depend_on_its_neighbours(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    extract(videos, tmp_path / "all.zarr", config)
    for file in sorted(videos.rglob("*.mp4"))[:-1]:
        file.unlink()
    extract(videos, tmp_path / "one.zarr", config)
    alone, among = ZarrCache.open(tmp_path / "one.zarr"), ZarrCache.open(tmp_path / "all.zarr")
    np.testing.assert_array_equal(alone.maps(0), among.maps(among.videos.path.index(alone.videos.path[0])))


def test_broken_videos_fail_alone_and_are_named(
    videos: Path, tmp_path: Path, config: ExtractConfig, write_video: Any
) -> None:
    (videos / "clap" / "broken.mp4").write_bytes(b"this is no video")
    (videos / "clap" / "empty.mp4").touch()
    summary = extract(videos, tmp_path / "cache.zarr", config)
    assert summary.extracted == 9 and [path for path, _ in summary.failed] == ["clap/broken.mp4", "clap/empty.mp4"]
    assert all(f"{path}: {reason}" in as_text(summary) for path, reason in summary.failed)
    cache = ZarrCache.open(tmp_path / "cache.zarr")
    assert (cache.sources.status == FAILED).sum() == 2 and (cache.sources.status == DONE).sum() == 9
    write_video(videos / "clap" / "broken.mp4", seed=99)  # mended, it is read by the next run
    again = extract(videos, tmp_path / "cache.zarr", config)
    assert again.extracted == 1 and [path for path, _ in again.failed] == ["clap/empty.mp4"]


def test_videos_and_classes_can_be_added(videos: Path, tmp_path: Path, config: ExtractConfig, write_video: Any) -> None:
    path = tmp_path / "cache.zarr"
    extract(videos, path, config)
    maps = [ZarrCache.open(path).maps(row) for row in range(9)]
    write_video(videos / "bow" / "0.mp4", seed=50)
    write_video(videos / "nod" / "9.mp4", seed=51)
    extract(videos, path, config)
    cache = ZarrCache.open(path)
    assert cache.videos.path[9:] == ("bow/0.mp4", "nod/9.mp4") and cache.class_splits["bow"] == "novel"
    for row, before in enumerate(maps):
        np.testing.assert_array_equal(cache.maps(row), before)


def test_duplicates_are_noticed(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    (videos / "nod" / "copy.mp4").write_bytes((videos / "nod" / "0.mp4").read_bytes())
    summary = extract(videos, tmp_path / "cache.zarr", config)
    assert summary.duplicates == (("nod/0.mp4", "nod/copy.mp4"),)
    assert "nod/0.mp4 = nod/copy.mp4" in as_text(summary) and not summary.several_classes
    (videos / "nod" / "copy.mp4").rename(videos / "jump" / "copy.mp4")
    summary = extract(videos, tmp_path / "cache.zarr", config)
    assert summary.extracted == 0 and summary.several_classes == ("nod/0.mp4 = jump/copy.mp4",)
    assert "of them in several classes; correct it by moving or deleting one" in as_text(summary)


def test_a_video_of_two_splits_is_left_out_of_the_later_one(
    videos: Path, tmp_path: Path, config: ExtractConfig
) -> None:
    for split, name in (("base", "clap"), ("val", "jump"), ("novel", "nod")):
        (tmp_path / "sorted" / split).mkdir(parents=True)
        (videos / name).rename(tmp_path / "sorted" / split / name)
    root = tmp_path / "sorted"
    (root / "novel/nod/copy.mp4").write_bytes((root / "base/clap/0.mp4").read_bytes())
    summary = extract(root, tmp_path / "cache.zarr", replace(config, split_policy="auto"))
    assert summary.left_out == ("novel novel/nod/copy.mp4 = base base/clap/0.mp4",)
    assert "in several splits; training and evaluation leave them out of the later one" in as_text(summary)
    cache = ZarrCache.open(tmp_path / "cache.zarr")
    assert [len(cache.rows(split)) for split in ("base", "val", "novel", None)] == [3, 3, 3, 10]
    assert "novel/nod/copy.mp4" not in cache.videos.take(cache.rows("novel")).path
    seen = cache.with_splits({"clap": "novel", "jump": "val", "nod": "base"})
    assert [len(seen.rows(split)) for split in ("base", "val", "novel")] == [4, 3, 2]


@pytest.mark.parametrize("store", ["float16", "uint8"])
def test_further_views_leave_the_first_as_it_is(
    videos: Path, tmp_path: Path, config: ExtractConfig, store: str
) -> None:
    config = replace(config, cache_dtype=store)
    extract(videos, tmp_path / "one.zarr", replace(config, views=1))
    summary = extract(videos, tmp_path / "three.zarr", replace(config, views=3, view_seed=4, flip=True))
    one, three = ZarrCache.open(tmp_path / "one.zarr"), ZarrCache.open(tmp_path / "three.zarr")
    assert (one.n_views, three.n_views) == (1, 3)
    assert (three.settings["views"], three.settings["view_seed"], three.settings["flip"]) == (3, 4, True)
    assert bytes_of(tmp_path / "one.zarr" / "maps" / "c") == bytes_of(tmp_path / "three.zarr" / "maps" / "c")
    for row in range(9):
        views = [three.view(row, view) for view in range(3)]
        assert all(view.any() for view in views)
        assert not any(np.array_equal(views[a], views[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert ("stored as uint8: mean relative l2 error 0.00" in as_text(summary)) == (store == "uint8")


def test_further_views_are_cut_where_something_moves(tmp_path: Path, config: ExtractConfig) -> None:
    still = np.random.default_rng(0).integers(60, 180, (48, 64, 3)).astype(np.uint8)
    for number in range(10):  # a white square in the upper left corner goes to the right
        shown, frame = still.copy(), tmp_path / "videos" / "wave" / "0" / f"{number:02}.png"
        shown[4:10, 4 + number : 10 + number] = 255
        frame.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(shown).save(frame)
    config, caches = replace(config, views=2, split_policy="all-novel"), {}
    for crops in CROPS:
        path = tmp_path / f"{crops}.zarr"
        extract(tmp_path / "videos", path, replace(config, crops=crops))
        caches[crops] = ZarrCache.open(path)
    moving, random = caches["moving"], caches["random"]
    assert moving.settings["crops"] == "moving" and "crops" not in random.settings  # as caches before this choice
    np.testing.assert_array_equal(moving.view(0, 0), random.view(0, 0))
    assert not np.array_equal(moving.view(0, 1), random.view(0, 1))
    for crops, then, now in (("random", "moving", "random"), ("moving", "random", "moving")):
        with pytest.raises(InputError, match=f"crops {then} there, {now} now; use the cache's, or extract into a new"):
            extract(tmp_path / "videos", caches[then].path, replace(config, crops=crops))


def test_views_do_not_depend_on_path_or_order(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    (videos / "clap" / "00 duplicate.mp4").write_bytes((videos / "nod" / "2.mp4").read_bytes())
    extract(videos, tmp_path / "cache.zarr", replace(config, views=2))
    cache = ZarrCache.open(tmp_path / "cache.zarr")
    rows = [cache.videos.path.index(path) for path in ("clap/00 duplicate.mp4", "nod/2.mp4")]
    np.testing.assert_array_equal(cache.view(rows[0], 1), cache.view(rows[1], 1))


def test_damaged_views_are_repaired_and_no_others(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    path, config = tmp_path / "cache.zarr", replace(config, views=3, cache_dtype="uint8")
    extract(videos, path, config)
    before = bytes_of(path)
    (path / "views" / "c" / "3" / "1" / "0" / "0" / "0").unlink()
    (path / "scales" / "c" / "7" / "2" / "0" / "0").write_bytes(b"nonsense")
    summary = extract(videos, path, config, repair=True)
    assert summary.plan.damaged == ("jump/0.mp4", "nod/1.mp4") and summary.extracted == 2
    assert bytes_of(path) == before


def test_the_reader_is_named_before_and_counted_after(
    videos: Path, tmp_path: Path, config: ExtractConfig, said: list[str]
) -> None:
    config = replace(config, decoder="pyav")
    summary = extract(videos, tmp_path / "cache.zarr", config)
    assert "\n".join(said).splitlines().count(decoder_note("pyav")) == 1 and summary.readers == (("pyav", 9),)
    assert "read by: pyav 9" in as_text(summary)


def test_names_of_every_kind_are_taken_as_they_are(tmp_path: Path, config: ExtractConfig, write_video: Any) -> None:
    names = ["a clap/two words.mp4", "jump/größe 手.mp4", "jump/CAPITALS.MP4", "nod/it's #1 %20.AVI", "nod/-dash.mp4"]
    for seed, name in enumerate(names):
        write_video(tmp_path / "videos" / name, seed=seed)
    write_video(tmp_path / "videos" / "nod" / ".hidden.mp4", seed=9)
    write_video(tmp_path / "videos" / ".hidden class" / "1.mp4", seed=9)
    (tmp_path / "videos" / "nod" / "notes.txt").write_text("no video")
    summary = extract(tmp_path / "videos", tmp_path / "a cache ü.zarr", config)
    cache = ZarrCache.open(tmp_path / "a cache ü.zarr")
    assert cache.videos.path == tuple(sorted(names)) and not summary.failed
    assert summary.plan.catalog.ignored == ("nod/notes.txt",)
    assert set(cache.class_names) == {"a clap", "jump", "nod"}
    assert len({cache.maps(row).tobytes() for row in range(5)}) == 5


def test_names_that_are_no_utf8_are_extracted_like_others(
    tmp_path: Path, config: ExtractConfig, write_video: Any
) -> None:
    odd = tmp_path / "videos" / os.fsdecode(b"gr\xfc\xdfen")
    try:
        odd.mkdir(parents=True)
    except OSError:
        pytest.skip("this file system takes names of UTF-8 alone")
    write_video(tmp_path / "1.mp4", seed=1).rename(odd / os.fsdecode(b"\xe4.mp4"))
    (odd / os.fsdecode(b"\xf6.mp4")).write_bytes(b"no video")
    for name in (b"\xfc1.png", b"\xfc2.png"):
        (odd / os.fsdecode(b"frames \xff")).mkdir(exist_ok=True)
        (odd / os.fsdecode(b"frames \xff") / os.fsdecode(name)).write_bytes(b"no image")
    write_video(tmp_path / "videos" / "nod" / "1.mp4", seed=2)
    summary = extract(tmp_path / "videos", tmp_path / "cache.zarr", replace(config, decoder="auto"))
    assert summary.extracted == 2
    assert [path for path, _ in summary.failed] == [r"gr\xfc\xdfen/\xf6.mp4", r"gr\xfc\xdfen/frames \xff"]
    assert r"broken image \xfc1.png: it reads as none" in as_text(summary)
    assert set(ZarrCache.open(tmp_path / "cache.zarr").class_names) == {r"gr\xfc\xdfen", "nod"}


def test_frames_that_become_ambiguous_are_named(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    folder = videos / "nod" / "frames"
    folder.mkdir()
    for number in range(2):
        Image.new("RGB", (64, 48), (number, 0, 0)).save(folder / f"img_{number}.png")
    assert not extract(videos, tmp_path / "cache.zarr", config).failed
    for number in range(2):
        Image.new("RGB", (64, 48), (number, 9, 0)).save(folder / f"flow_{number}.png")
    ((path, reason),) = extract(videos, tmp_path / "cache.zarr", config).failed
    assert path == "nod/frames" and "flow_* (2), img_* (2): choose one by --frame-names" in reason
    mended = extract(videos, tmp_path / "cache.zarr", replace(config, frame_names="img_*"))
    assert (mended.extracted, mended.failed) == (1, ())
    kept = extract(videos, tmp_path / "cache.zarr", replace(config, frame_names="img_*"))
    assert kept.extracted == 0
    assert extract(videos, tmp_path / "cache.zarr", replace(config, frame_names="flow_*")).plan.changed == (
        "nod/frames",
    )


def test_a_cache_in_shards_grows_is_repaired_and_is_that_of_single_files(
    videos: Path, tmp_path: Path, config: ExtractConfig, write_video: Any
) -> None:
    config, path = replace(config, views=2, shard_videos=4), tmp_path / "shards.zarr"
    (videos / "jump" / "broken.mp4").write_bytes(b"this is no video")
    assert extract(videos, path, config).extracted == 9
    extract(videos, tmp_path / "plain.zarr", replace(config, shard_videos=0))
    shards, plain = ZarrCache.open(path), ZarrCache.open(tmp_path / "plain.zarr")
    assert (shards.shard_videos, plain.shard_videos) == (4, 0)
    for row in plain.rows():
        np.testing.assert_array_equal(shards.view(row, 1), plain.view(row, 1))
    write_video(videos / "jump" / "broken.mp4", seed=99)  # in a shard that is there already
    write_video(videos / "nod" / "9.mp4", seed=51)
    assert extract(videos, path, replace(config, shard_videos=0)).extracted == 2
    extract(videos, tmp_path / "whole.zarr", config)
    whole, shards = ZarrCache.open(tmp_path / "whole.zarr"), ZarrCache.open(path)
    for name in whole.videos.path:
        rows = (whole.videos.path.index(name), shards.videos.path.index(name))
        np.testing.assert_array_equal(whole.maps(rows[0]), shards.maps(rows[1]))
    before, file = bytes_of(path), path / "views" / "c" / "1" / "0" / "0" / "0" / "0"
    file.write_bytes(b"x" + file.read_bytes()[1:])
    assert extract(videos, path, config, repair=True).plan.damaged == (shards.videos.path[4],)
    assert bytes_of(path) == before


def test_other_shards_and_other_machines_are_refused(
    videos: Path, tmp_path: Path, config: ExtractConfig, monkeypatch: pytest.MonkeyPatch, write_video: Any
) -> None:
    path = tmp_path / "cache.zarr"
    extract(videos, path, replace(config, shard_videos=4))
    assert [kind["hcl"] for kind in ZarrCache.open(path).attributes["made_by"]] == [MachineKind.here().hcl]
    with pytest.raises(InputError, match=r"has shards of 4 videos, not shards of 8; .*hcl convert"):
        extract(videos, path, replace(config, shard_videos=8))
    mine = MachineKind.here()
    monkeypatch.setattr(MachineKind, "here", lambda device=None: replace(mine, torch="9.9"))
    assert extract(videos, path, config).extracted == 0  # nothing is added
    write_video(videos / "nod" / "9.mp4", seed=51)
    with pytest.raises(InputError, match=rf"torch {re.escape(mine.torch)} there, 9\.9 now; .*accept them with --mixed"):
        extract(videos, path, config)
    extract(videos, path, replace(config, mixed=True))
    assert [kind["torch"] for kind in ZarrCache.open(path).attributes["made_by"]] == [mine.torch, "9.9"]
    extract(videos, tmp_path / "plain.zarr", config)
    assert "made_by" not in ZarrCache.open(tmp_path / "plain.zarr").attributes


class Disk:
    """The disk that files are written to, full once `room` more bytes are written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        opened = Path.open

        def open_file(path: Path, mode: str = "r", *others: Any, **named: Any) -> Any:
            file = opened(path, mode, *others, **named)
            return Narrow(self, file) if mode in ("wb", "w+b", "xb") else file

        monkeypatch.setattr(Path, "open", open_file)


class Narrow:
    """An open file on such a disk: it takes what fits and then fails, as the system does."""

    def __init__(self, disk: Disk, file: Any) -> None:
        self.disk, self.file = disk, file

    def __enter__(self) -> "Narrow":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, data: Any) -> int:
        content = bytes(data)
        self.disk.room -= self.file.write(content[: max(0, self.disk.room)])
        if self.disk.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(content)


@pytest.mark.parametrize(("room", "shard"), [(30_000, 0), (45_000, 0), (70_000, 0), (45_000, 2)])
def test_a_full_disk_stops_with_the_remedy_and_loses_nothing(
    videos: Path, tmp_path: Path, config: ExtractConfig, monkeypatch: pytest.MonkeyPatch, room: int, shard: int
) -> None:
    config = replace(config, views=2, shard_videos=shard)
    extract(videos, tmp_path / "whole.zarr", config)
    with monkeypatch.context() as patched:
        Disk(patched, room)
        with pytest.raises(InputError, match=r"cache\.zarr: cannot be written \(No space left on device\)"):
            extract(videos, tmp_path / "cache.zarr", config)
    extract(videos, tmp_path / "cache.zarr", config)
    assert bytes_of(tmp_path / "cache.zarr") == bytes_of(tmp_path / "whole.zarr")


RUNS = """
import os, sys
from pathlib import Path
if __name__ == "__main__":  # and nowhere else: decoding processes read this file, too
    from hcl.extract.config import ExtractConfig
    from hcl.extract.pipeline.extraction import extract
    config = ExtractConfig(
        frames=4, size=64, weights=sys.argv[3], precision="float32", text_model="none", workers=1, batch_size=16,
        split_policy="all-novel", views=2, view_seed=3, flip=True,
    )
    for _ in sys.stdin:  # a line starts a run, without another import of torch
        run = os.fork()
        if not run:
            extract(Path(sys.argv[1]), Path(sys.argv[2]), config)
            os._exit(0)
        print(run, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(run, 0)[1]), flush=True)
"""


def newest(cache: Path) -> int:
    """When the last chunk of maps was written."""
    return max((file.stat().st_mtime_ns for file in cache.glob("maps/c/*/0/0/0")), default=0)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_killed_ten_times_and_resumed_the_cache_is_the_same(
    videos: Path, tmp_path: Path, small_weights: Path, config: ExtractConfig, write_video: Any
) -> None:
    """Two kills come while a run starts; of the others half come while it writes its first maps, half later."""
    config = replace(config, views=2, view_seed=3, flip=True)
    for copy in range(40):
        write_video(videos / "nod" / f"more {copy}.mp4", seed=100 + copy)
    extract(videos, tmp_path / "whole.zarr", config)
    script = tmp_path / "runs.py"
    script.write_text(RUNS)
    path = tmp_path / "killed.zarr"
    rng = np.random.default_rng(0)
    early, writing, later = rng.uniform(0, 1.5, 2), rng.uniform(0, 0.05, 4), rng.uniform(0.05, 0.2, 4)
    ends = []
    command = [sys.executable, str(script), str(videos), str(path), str(small_weights)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as runs:
        assert runs.stdin is not None and runs.stdout is not None
        for delay in rng.permutation([*early, *writing, *later]):
            before = newest(path)
            print(file=runs.stdin, flush=True)
            run = int(runs.stdout.readline())
            while delay not in early and Path(f"/proc/{run}").exists() and newest(path) == before:
                time.sleep(0.02)
            time.sleep(delay)
            with suppress(ProcessLookupError):
                os.kill(run, signal.SIGKILL)
            ends.append(int(runs.stdout.readline()))
    assert ends.count(-signal.SIGKILL) >= 7  # a quick machine may be done before the last ones
    extract(videos, path, config)
    assert bytes_of(path) == bytes_of(tmp_path / "whole.zarr")


def test_a_source_that_changed_is_read_again(
    videos: Path, tmp_path: Path, config: ExtractConfig, write_video: Any
) -> None:
    path = tmp_path / "cache.zarr"
    extract(videos, path, config)
    before = ZarrCache.open(path).maps(0)
    write_video(videos / "clap" / "0.mp4", seed=77)
    os.utime(videos / "jump" / "0.mp4")  # touched, but of the same contents
    summary = extract(videos, path, config)
    assert summary.plan.changed == ("clap/0.mp4",) and summary.extracted == 1
    assert "clap/0.mp4: its contents changed" in as_text(summary)
    assert not np.array_equal(ZarrCache.open(path).maps(0), before)


def test_damaged_maps_are_repaired_and_no_others(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    path = tmp_path / "cache.zarr"
    extract(videos, path, config)
    before = bytes_of(path)
    chunks = [path / "maps" / "c" / row / "0" / "0" / "0" for row in "37"]
    chunks[0].write_bytes(b"nonsense")
    chunks[1].unlink()
    assert extract(videos, path, config).extracted == 0  # not looked for unasked
    summary = extract(videos, path, config, repair=True)
    assert summary.plan.damaged == ("jump/0.mp4", "nod/1.mp4") and summary.extracted == 2
    assert bytes_of(path) == before
