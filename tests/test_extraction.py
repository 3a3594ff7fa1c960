"""The pipeline on real encoded videos: complete, resumable, and forgiving to broken videos alone."""

import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hcl.extract.cache import Cache
from hcl.extract.config import ExtractConfig
from hcl.extract.decoding import Decoded, Failed
from hcl.extract.errors import InputError
from hcl.extract.extraction import as_text, choose_backbone, extract, mapped
from hcl.extract.forecast import forecast
from hcl.extract.lock import sole_writer
from hcl.extract.stored_cache import DONE, FAILED, MapRecord

CLASSES = ("clap", "jump", "nod")


@pytest.fixture
def videos(tmp_path: Path, write_video: Any) -> Path:
    for number, name in enumerate(CLASSES):
        for copy in range(3):
            write_video(tmp_path / "videos" / name / f"{copy}.mp4", seed=10 * number + copy)
    return tmp_path / "videos"


@pytest.fixture
def config(small_config: ExtractConfig) -> ExtractConfig:
    return replace(small_config, split="all-novel")


def bytes_of(cache: Path) -> dict[str, bytes]:
    return {str(file.relative_to(cache)): file.read_bytes() for file in sorted(cache.rglob("*")) if file.is_file()}


def test_every_video_is_mapped(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    summary = extract(videos, tmp_path / "cache.zarr", config)
    cache = Cache.open(tmp_path / "cache.zarr")
    assert summary.extracted == 9 and not summary.failed
    assert cache.shape == (8, 4, 512) and cache.rows("novel").tolist() == list(range(9))
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
    alone, among = Cache.open(tmp_path / "one.zarr"), Cache.open(tmp_path / "all.zarr")
    np.testing.assert_array_equal(alone.maps(0), among.maps(among.videos.path.index(alone.videos.path[0])))


def test_broken_videos_fail_alone_and_are_named(
    videos: Path, tmp_path: Path, config: ExtractConfig, write_video: Any
) -> None:
    (videos / "clap" / "broken.mp4").write_bytes(b"this is no video")
    (videos / "clap" / "empty.mp4").touch()
    summary = extract(videos, tmp_path / "cache.zarr", config)
    assert summary.extracted == 9 and [path for path, _ in summary.failed] == ["clap/broken.mp4", "clap/empty.mp4"]
    assert all(f"{path}: {reason}" in as_text(summary) for path, reason in summary.failed)
    cache = Cache.open(tmp_path / "cache.zarr")
    assert (cache.videos.status == FAILED).sum() == 2 and (cache.videos.status == DONE).sum() == 9
    write_video(videos / "clap" / "broken.mp4", seed=99)  # mended, it is read by the next run
    again = extract(videos, tmp_path / "cache.zarr", config)
    assert again.extracted == 1 and [path for path, _ in again.failed] == ["clap/empty.mp4"]


def test_videos_and_classes_can_be_added(videos: Path, tmp_path: Path, config: ExtractConfig, write_video: Any) -> None:
    path = tmp_path / "cache.zarr"
    extract(videos, path, config)
    maps = [Cache.open(path).maps(row) for row in range(9)]
    write_video(videos / "bow" / "0.mp4", seed=50)
    write_video(videos / "nod" / "9.mp4", seed=51)
    extract(videos, path, config)
    cache = Cache.open(path)
    assert cache.videos.path[9:] == ("bow/0.mp4", "nod/9.mp4") and cache.class_folds["bow"] == "novel"
    for row, before in enumerate(maps):
        np.testing.assert_array_equal(cache.maps(row), before)


def test_twins_are_noticed(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    (videos / "nod" / "copy.mp4").write_bytes((videos / "nod" / "0.mp4").read_bytes())
    summary = extract(videos, tmp_path / "cache.zarr", config)
    assert summary.twins == (("nod/0.mp4", "nod/copy.mp4"),)
    assert "nod/0.mp4 = nod/copy.mp4" in as_text(summary)


def test_other_settings_are_refused_side_by_side(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    extract(videos, tmp_path / "cache.zarr", config)
    with pytest.raises(InputError, match="frames 8 there, 4 now; size 64 there, 96 now"):
        extract(videos, tmp_path / "cache.zarr", replace(config, frames=4, size=96))


def test_a_video_that_changed_its_class_is_refused(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    manifest = tmp_path / "videos.csv"
    manifest.write_text("path,label\nvideos/nod/0.mp4,nod\n")
    extract(manifest, tmp_path / "cache.zarr", config)
    manifest.write_text("path,label\nvideos/nod/0.mp4,bow\n")
    with pytest.raises(InputError, match=r"videos/nod/0\.mp4: class 'bow' now, 'nod' in"):
        extract(manifest, tmp_path / "cache.zarr", config)


def test_classes_of_one_name_are_refused(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    (videos / "nod").rename(videos / "Jump")
    with pytest.raises(InputError, match="'Jump' and 'jump' are both called 'jump'.*--names"):
        extract(videos, tmp_path / "cache.zarr", config)
    names = tmp_path / "names.csv"
    names.write_text("label,name\nJump,jump high\n")
    extract(videos, tmp_path / "cache.zarr", config, names=names)
    assert Cache.open(tmp_path / "cache.zarr").class_texts == {"Jump": "jump high", "clap": "clap", "jump": "jump"}


def test_a_names_file_with_unknown_classes_is_refused(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    names = tmp_path / "names.csv"
    names.write_text("label,name\nbow,bow down\n")
    with pytest.raises(InputError, match="'bow' is no class; the classes are clap, jump, nod"):
        extract(videos, tmp_path / "cache.zarr", config, names=names)


def test_few_classes_without_folds_are_refused(videos: Path, tmp_path: Path, small_config: ExtractConfig) -> None:
    with pytest.raises(InputError, match="3 classes are too few to split"):
        extract(videos, tmp_path / "cache.zarr", small_config)
    assert not (tmp_path / "cache.zarr").exists()


def test_the_forecast_writes_nothing(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    text = forecast(videos, tmp_path / "cache.zarr", config)
    assert "novel: 3 classes, 9 videos: clap (3), jump (3), nod (3)" in text
    assert "9 videos to read, 0 done already" in text and "time: about" in text and "disk: about" in text
    assert not (tmp_path / "cache.zarr").exists()


def test_maps_come_in_order_whatever_the_batch_size(config: ExtractConfig) -> None:
    backbone = choose_backbone(config)
    rng = np.random.default_rng(0)
    items: list[Decoded | Failed] = []
    for row in range(5):
        images = rng.integers(0, 255, (3, 64, 64, 3), dtype=np.uint8)
        items.append(Decoded(row, images, 30, "pyav", "", 0, 0) if row != 2 else Failed(row, "broken", ""))
    for batch in (1, 4, 64):
        found = list(mapped(items, backbone, batch))
        assert [record.row for record in found] == [0, 1, 2, 3, 4] and found[2].reason == "broken"
        for item, record in zip(items, found, strict=True):
            if isinstance(item, Decoded) and record.maps is not None:
                expected = backbone(torch.from_numpy(item.images)).numpy()
                np.testing.assert_allclose(record.maps, expected, rtol=2e-2, atol=2e-2)


def test_a_second_writer_is_refused_by_the_first_ones_number(tmp_path: Path) -> None:
    path = tmp_path / "cache.zarr"
    code = "import sys, time; from pathlib import Path; from hcl.extract.lock import sole_writer\n"
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


def test_a_full_disk_stops_with_the_remedy(
    videos: Path, tmp_path: Path, config: ExtractConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Cache.write

    def full(self: Cache, records: list[MapRecord]) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Cache, "write", full)
    with pytest.raises(InputError, match="No space left on device.*free some space, then run again"):
        extract(videos, tmp_path / "cache.zarr", config)
    monkeypatch.setattr(Cache, "write", write)
    assert extract(videos, tmp_path / "cache.zarr", config).extracted == 9


def test_killed_and_resumed_the_cache_is_the_same(
    videos: Path, tmp_path: Path, small_weights: Path, config: ExtractConfig, write_video: Any
) -> None:
    for copy in range(40):
        write_video(videos / "nod" / f"more {copy}.mp4", seed=100 + copy)
    extract(videos, tmp_path / "whole.zarr", config)
    code = (
        "import sys; from pathlib import Path; from hcl.extract.config import ExtractConfig\n"
        "from hcl.extract.extraction import extract\n"
        "config = ExtractConfig(size=64, weights=sys.argv[3], precision='float32', text_model='none', workers=1,"
        " batch_frames=16, split='all-novel')\n"
        "if __name__ == '__main__': extract(Path(sys.argv[1]), Path(sys.argv[2]), config)"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    path = tmp_path / "killed.zarr"
    command = [sys.executable, str(script), str(videos), str(path), str(small_weights)]
    for chunks in (0, 10, 30):  # kill once so many maps stand
        process = subprocess.Popen(command)
        while process.poll() is None and len(list(path.glob("maps/c/*"))) < chunks:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert extract(videos, path, config).extracted > 0
    assert bytes_of(path) == bytes_of(tmp_path / "whole.zarr")


def test_a_source_that_changed_is_read_again(
    videos: Path, tmp_path: Path, config: ExtractConfig, write_video: Any
) -> None:
    path = tmp_path / "cache.zarr"
    extract(videos, path, config)
    before = Cache.open(path).maps(0)
    write_video(videos / "clap" / "0.mp4", seed=77)
    os.utime(videos / "jump" / "0.mp4")  # touched, but of the same contents
    summary = extract(videos, path, config)
    assert summary.plan.changed == ("clap/0.mp4",) and summary.extracted == 1
    assert "clap/0.mp4: its contents changed" in as_text(summary)
    assert not np.array_equal(Cache.open(path).maps(0), before)


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
