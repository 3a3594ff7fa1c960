"""Videos of a bucket are extracted by way of a bounded temporary folder, into the cache that local ones give."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hcl.extract.cache.formats import open_cache
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.config import ExtractConfig
from hcl.extract.pipeline import engine
from hcl.extract.pipeline.cluster.config import ClusterConfig
from hcl.extract.pipeline.cluster.extraction import extract_on_cluster
from hcl.extract.pipeline.extraction import extract
from hcl.extract.system.errors import InputError
from hcl.extract.system.places import building, streaming
from hcl.extract.system.places.claim import Claim
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


@pytest.fixture
def config(small_config: ExtractConfig) -> ExtractConfig:
    """An extraction whose classes need no splits."""
    return replace(small_config, split_policy="all-novel", views=1, motion="none")


def upload(folder: Path, url: str) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            (place_of(url) / file.relative_to(folder).as_posix()).write_bytes(file.read_bytes())


def objects_of(url: str) -> dict[str, bytes]:
    return {each.relative_to(place_of(url)).as_posix(): each.read_bytes() for each in place_of(url).glob("**/*")}


def facts(path: object) -> dict[str, object]:
    """All that a cache says of its videos and their maps, but for when sources were changed."""
    cache = open_cache(path)  # type: ignore[arg-type]
    maps = {cache.videos.content[row]: cache.maps(int(row)).tobytes() for row in cache.rows()}
    return {"settings": cache.settings, "videos": cache.videos, "maps": maps, "reasons": cache.sources.reason}


def test_videos_of_a_bucket_give_the_cache_of_local_ones(
    tmp_path: Path, bucket: str, videos: str, config: ExtractConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (tmp_path / "videos" / "a" / "frames").mkdir()
    for number in range(4):
        picture = Image.fromarray(np.full((32, 48, 3), 40 * number, np.uint8))
        picture.save(tmp_path / "videos" / "a" / "frames" / f"img_{number}.png")
    (tmp_path / "videos" / "b" / "broken.mp4").write_bytes(b"no video")
    upload(tmp_path / "videos", videos)
    local = extract(tmp_path / "videos", tmp_path / "cache.zarr", config)
    done = extract(videos, f"{bucket}/cache.zarr", config)
    assert (done.extracted, done.failed, done.readers) == (7, local.failed, local.readers)
    assert [path for path, _ in done.failed] == ["b/broken.mp4"] and dict(done.readers)["images"] == 1
    assert facts(f"{bucket}/cache.zarr") == facts(tmp_path / "cache.zarr")
    assert not list((tmp_path / "temporary").iterdir())
    (place_of(videos) / "b" / "broken.mp4").unlink()
    again = extract(videos, f"{bucket}/cache.zarr", config)
    assert (again.extracted, again.plan.kept) == (0, 7)


def test_a_manifest_lists_urls_and_paths_from_where_it_is(
    tmp_path: Path, bucket: str, videos: str, config: ExtractConfig
) -> None:
    lines = [f"{videos}/a/0 ü.mp4,a", "b/1 ü.mp4,b", f"{tmp_path}/videos/b/2 ü.mp4,b", f"{videos}/b/gone.mp4,b"]
    (place_of(videos) / "list.csv").write_text("\n".join(["path,label", *lines]))
    with pytest.raises(InputError, match="1 of its 4 videos are not there, such as s3://bucket-.*/videos/b/gone.mp4"):
        extract(f"{videos}/list.csv", tmp_path / "cache.zarr", config)
    done = extract(f"{videos}/list.csv", tmp_path / "cache.zarr", config, skip_missing=True)
    assert (done.extracted, done.failed) == (3, ())
    assert open_cache(tmp_path / "cache.zarr").videos.path[:2] == (f"{videos}/a/0 ü.mp4", "b/1 ü.mp4")


def test_a_killed_extraction_resumes_to_the_same_bytes(
    bucket: str, videos: str, config: ExtractConfig, faults: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    update, written = ZarrCache._update, []

    def killed(cache: ZarrCache, name: str, *given: Any) -> None:
        written.append(name)
        if written.count("status") == 2:
            raise Killed
        update(cache, name, *given)

    extract(videos, f"{bucket}/whole.zarr", config)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(engine, "VIDEOS_PER_WRITE", 2)
        patched.setattr(ZarrCache, "_update", killed)
        patched.setattr(Claim, "release", lambda claim: claim._ended.set())
        extract(videos, f"{bucket}/cache.zarr", config)
    assert len(open_cache(f"{bucket}/cache.zarr").rows()) == 2
    with pytest.raises(InputError, match=r"process \d+ \(of this or another machine\) is writing to it"):
        extract(videos, f"{bucket}/cache.zarr", config)
    now = Claim._server_time
    monkeypatch.setattr(Claim, "_server_time", lambda claim: now(claim) + 100 * 10**9)  # when the claim is stale
    faults.next.extend([503, None, "cut", None, 500, None, "cut answer", None, None] * 6)
    done = extract(videos, f"{bucket}/cache.zarr", config)
    assert (done.extracted, done.plan.kept) == (4, 2) and not faults.next
    assert objects_of(f"{bucket}/cache.zarr") == objects_of(f"{bucket}/whole.zarr")


def test_a_bucket_that_cannot_be_reached_is_no_damage(
    bucket: str, make_cache: Callable[..., ZarrCache], faults: Any
) -> None:
    cache = make_cache(place_of(f"{bucket}/cache.zarr"), splits={"a": "base"}, text=False)
    assert cache.videos and all(map(cache.intact, cache.rows()))
    faults.next.extend([500] * 100)
    with pytest.raises(InputError, match="the server answers 500"):
        cache.intact(0)
    faults.next.clear()
    (place_of(f"{bucket}/cache.zarr") / "maps/c/0/0/0/0").write_bytes(b"harm")
    assert not cache.intact(0) and cache.intact(1)
    (place_of(f"{bucket}/cache.zarr") / "maps/c/1/0/0/0").unlink()
    assert not cache.intact(1)


def test_no_more_than_the_bound_lies_on_disk(tmp_path: Path, videos: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [each for name in CLASSES for each in place_of(f"{videos}/{name}").iterdir()]
    largest = max(each.stat().st_size for each in sources)
    monkeypatch.setattr(streaming, "MOST_BYTES", 2 * largest)
    with streaming.streamed(list(enumerate(sources))) as here:
        for place in range(len(sources)):
            row, path = here.videos[place]
            given_up = time.monotonic() + 20
            while len(list(path.parent.iterdir())) < 2 and place == 0 and time.monotonic() < given_up:
                time.sleep(0.01)  # the second one is fetched while this one is read
            lying = list(path.parent.iterdir())
            assert place or len(lying) == 2
            assert sum(each.stat().st_size for each in lying) <= 2 * largest  # three small ones may
            assert path.read_bytes() == sources[place].read_bytes()
            assert path.stat().st_mtime_ns == sources[place].stat().st_mtime_ns
            here.finished((row, path))
    assert not path.parent.exists()


def test_workers_of_a_cluster_fetch_videos_by_themselves(
    tmp_path: Path, bucket: str, videos: str, config: ExtractConfig, write_video: Callable[..., Path]
) -> None:
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    write_video(tmp_path / "here.mp4", seed=50)
    (tmp_path / "videos" / "b" / "broken.mp4").write_bytes(b"no video")
    upload(tmp_path / "videos", videos)
    names = [(f"{videos}/{name}/{copy} ü.mp4", name) for name in CLASSES for copy in range(3)]
    names += [(f"{videos}/b/broken.mp4", "b"), (str(tmp_path / "here.mp4"), "a")]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *map(",".join, names)]))
    (tmp_path / "temporary").mkdir()
    config = replace(config, shard_videos=3)
    alone = extract(tmp_path / "list.csv", f"{bucket}/alone.zarr", config)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_TMPDIR", tempfile.gettempdir())  # whose sockets need a short path
        patched.setenv("TMPDIR", str(tmp_path / "temporary"))
        patched.setenv("RAY_AUTH_MODE", "disabled")  # else Ray leaves it at "token" for all that starts here later
        done = extract_on_cluster(tmp_path / "list.csv", f"{bucket}/maps.zarr", config, ClusterConfig(ray="local"))
    assert (done.extracted, done.failed) == (alone.extracted, alone.failed) and done.extracted == 7
    assert objects_of(f"{bucket}/maps.zarr") == objects_of(f"{bucket}/alone.zarr")
    assert not list((tmp_path / "temporary").glob("hcl-videos-*"))


def test_a_url_that_holds_no_videos_is_refused(tmp_path: Path, bucket: str, videos: str, config: ExtractConfig) -> None:
    with pytest.raises(InputError, match=r"s3://bucket-\d+/nothing: no such folder or manifest"):
        extract(f"{bucket}/nothing", tmp_path / "cache.zarr", config)
    with pytest.raises(InputError, match=r"s3://bucket-\d+/videos: a folder of videos, of which"):
        extract(tmp_path / "videos", videos, config)
    with pytest.raises(InputError, match="objects are there that are no store"), building.built_whole(place_of(videos)):
        pass
    assert len(list(place_of(videos).glob("**/*"))) == 6
