"""Videos of a bucket are extracted by way of a bounded temporary folder, into the cache that local ones give."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcl.extract.cache.formats import open_cache
from hcl.extract.config import ExtractConfig
from hcl.extract.pipeline.extraction import extract
from hcl.extract.system.errors import InputError
from hcl.extract.system.places import streaming
from hcl.extract.system.places.location import place_of

CLASSES = ("a", "b")


@pytest.fixture
def videos(tmp_path: Path, bucket: str, write_video: Callable[..., Path]) -> str:
    """The URL of class folders with six videos; the same ones are in a folder."""
    for number, name in enumerate(CLASSES):
        for copy in range(3):
            write_video(tmp_path / "videos" / name / f"{copy} ü.mp4", seed=10 * number + copy)
    upload(tmp_path / "videos", f"{bucket}/videos")
    return f"{bucket}/videos"


def upload(folder: Path, url: str) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            (place_of(url) / file.relative_to(folder).as_posix()).write_bytes(file.read_bytes())


def facts(path: object) -> dict[str, object]:
    """All that a cache says of its videos and their maps, but for when sources were changed."""
    cache = open_cache(path)  # type: ignore[arg-type]
    maps = {cache.videos.content[row]: cache.maps(int(row)).tobytes() for row in cache.rows()}
    return {"settings": cache.settings, "labels": cache.videos.label, "maps": maps}


def test_videos_of_a_bucket_give_the_cache_of_local_ones(
    tmp_path: Path, bucket: str, videos: str, small_config: ExtractConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    config = ExtractConfig(**{**vars(small_config), "split_policy": "all-novel"})
    local = extract(tmp_path / "videos", tmp_path / "cache.zarr", config)
    done = extract(videos, f"{bucket}/cache.zarr", config)
    assert (done.extracted, done.failed) == (local.extracted, ()) == (6, ())
    assert facts(f"{bucket}/cache.zarr") == facts(tmp_path / "cache.zarr")
    assert open_cache(f"{bucket}/cache.zarr").videos.path == open_cache(tmp_path / "cache.zarr").videos.path
    assert not list((tmp_path / "temporary").iterdir())
    again = extract(videos, f"{bucket}/cache.zarr", config)
    assert (again.extracted, again.plan.kept) == (0, 6)


def test_a_manifest_of_urls_and_local_paths_is_read(
    tmp_path: Path, bucket: str, videos: str, small_config: ExtractConfig
) -> None:
    config = ExtractConfig(**{**vars(small_config), "split_policy": "all-novel"})
    lines = [f"{videos}/a/0 ü.mp4,a", "videos/b/1 ü.mp4,b", f"{videos}/b/gone.mp4,b"]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *lines]), encoding="utf-8")
    with pytest.raises(InputError, match="1 of its 3 videos are not there, such as s3://bucket-.*/videos/b/gone.mp4"):
        extract(tmp_path / "list.csv", tmp_path / "cache.zarr", config)
    done = extract(tmp_path / "list.csv", tmp_path / "cache.zarr", config, skip_missing=True)
    assert (done.extracted, done.failed) == (2, ())
    upload_list = "path,label\na/0 ü.mp4,a\nb/2 ü.mp4,b\n"
    (place_of(videos) / "list.csv").write_text(upload_list)
    assert extract(f"{videos}/list.csv", tmp_path / "other.zarr", config).extracted == 2
    assert open_cache(tmp_path / "other.zarr").videos.path == ("a/0 ü.mp4", "b/2 ü.mp4")


def test_a_folder_of_frames_and_a_broken_video_in_a_bucket(
    tmp_path: Path, bucket: str, videos: str, small_config: ExtractConfig
) -> None:
    from PIL import Image

    for number in range(4):
        (tmp_path / "frames").mkdir(exist_ok=True)
        picture = np.full((32, 48, 3), 40 * number, np.uint8)
        Image.fromarray(picture).save(tmp_path / "frames" / f"img_{number}.png")
    upload(tmp_path / "frames", f"{videos}/a/frames")
    (place_of(videos) / "b" / "broken.mp4").write_bytes(b"no video")
    config = ExtractConfig(**{**vars(small_config), "split_policy": "all-novel"})
    done = extract(videos, tmp_path / "cache.zarr", config)
    assert done.extracted == 7 and [path for path, _ in done.failed] == ["b/broken.mp4"]
    assert dict(done.readers)["images"] == 1


def test_a_killed_extraction_resumes_to_the_same_bytes(
    tmp_path: Path, bucket: str, videos: str, small_config: ExtractConfig, faults: Any
) -> None:
    config = ExtractConfig(**{**vars(small_config), "split_policy": "all-novel"})
    extract(videos, f"{bucket}/whole.zarr", config)
    code = f"""
import os, sys
from dataclasses import replace
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.config import ExtractConfig
from hcl.extract.pipeline import extraction
extraction.VIDEOS_PER_WRITE = 2
write, calls = ZarrCache._update, []
def killed(cache, name, *given):
    calls.append(name)
    if name == "status" and calls.count("status") == 2:
        os._exit(9)
    write(cache, name, *given)
ZarrCache._update = killed
if __name__ == "__main__":
    extraction.extract({videos!r}, {bucket + "/cache.zarr"!r}, ExtractConfig(**{vars(config)!r}))
"""
    (tmp_path / "killed.py").write_text(code)
    ended = subprocess.run([sys.executable, str(tmp_path / "killed.py")], check=False, capture_output=True, text=True)
    assert ended.returncode == 9, ended.stderr
    assert len(open_cache(f"{bucket}/cache.zarr").rows()) == 2
    with pytest.raises(InputError, match=r"process \d+ \(of this or another machine\) is writing to it"):
        extract(videos, f"{bucket}/cache.zarr", config)
    place_of(f"{bucket}/cache.zarr.lock").unlink()  # as if it were stale
    faults.next.extend([503, "cut", 500, "cut answer"] * 3)
    done = extract(videos, f"{bucket}/cache.zarr", config)
    assert (done.extracted, done.plan.kept) == (4, 2) and not faults.next
    assert objects_of(f"{bucket}/cache.zarr") == objects_of(f"{bucket}/whole.zarr")


def objects_of(url: str) -> dict[str, bytes]:
    return {each.relative_to(place_of(url)).as_posix(): each.read_bytes() for each in place_of(url).glob("**/*")}


def test_a_bucket_that_cannot_be_reached_is_no_damage(
    tmp_path: Path, bucket: str, videos: str, small_config: ExtractConfig, faults: Any
) -> None:
    config = ExtractConfig(**{**vars(small_config), "split_policy": "all-novel"})
    extract(videos, f"{bucket}/cache.zarr", config)
    cache = open_cache(f"{bucket}/cache.zarr")
    assert cache.videos and all(map(cache.intact, cache.rows()))
    faults.next.extend([500] * 100)
    with pytest.raises(InputError, match="the server answers 500"):
        cache.intact(0)
    faults.next.clear()
    (place_of(f"{bucket}/cache.zarr") / "maps/c/0/0/0/0").write_bytes(b"harm")
    assert not cache.intact(0) and cache.intact(1)
    assert extract(videos, f"{bucket}/cache.zarr", config, repair=True).plan.damaged == (cache.videos.path[0],)


def test_no_more_than_the_bound_lies_on_disk(tmp_path: Path, videos: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [each for name in CLASSES for each in place_of(f"{videos}/{name}").iterdir()]
    largest = max(each.stat().st_size for each in sources)
    monkeypatch.setattr(streaming, "MOST_BYTES", 2 * largest)
    seen = []
    with streaming.streamed(list(enumerate(sources))) as here:
        for place in range(len(sources)):
            row, path = here.videos[place]
            lying = list(path.parent.iterdir())
            seen.append(len(lying))
            assert sum(each.stat().st_size for each in lying) <= 2 * largest
            assert path.read_bytes() == sources[place].read_bytes()
            assert path.stat().st_mtime_ns == sources[place].stat().st_mtime_ns
            here.finished((row, path))
    assert max(seen) == 2 and not path.parent.exists()


def test_a_url_that_holds_no_videos_is_refused(
    tmp_path: Path, bucket: str, videos: str, small_config: ExtractConfig
) -> None:
    with pytest.raises(InputError, match=r"s3://bucket-\d+/nothing: no such folder or manifest"):
        extract(f"{bucket}/nothing", tmp_path / "cache.zarr", small_config)
    with pytest.raises(InputError, match=r"s3://bucket-\d+/videos: a folder of videos, of which"):
        shutil.rmtree(tmp_path / "videos" / "b")
        extract(tmp_path / "videos", videos, ExtractConfig(**{**vars(small_config), "split_policy": "all-novel"}))
    assert len(list(place_of(videos).glob("**/*"))) == 6
