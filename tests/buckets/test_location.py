"""A URL is a place in a bucket or refused, never a local path; no credentials are shown."""

import os
import pickle
from pathlib import Path, PurePosixPath

import pytest

from hcl.extract.system.errors import InputError
from hcl.extract.system.places.location import local_only, place_of
from hcl.extract.system.places.remote_path import RemotePath


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_a_url_is_a_bucket_and_a_name_in_it(scheme: str) -> None:
    place = place_of(f"{scheme}://my-bucket/a/b.zarr")
    assert isinstance(place, RemotePath)
    assert (place.scheme, place.bucket, place.key) == (scheme, "my-bucket", "a/b.zarr")
    assert str(place) == f"{scheme}://my-bucket/a/b.zarr" and place == pickle.loads(pickle.dumps(place))


@pytest.mark.parametrize("path", ["a", "a/b.c", "/a/b", "../a", "a b/ü", "s3/x", "a:b", "s3:x"])
def test_paths_stay_paths_and_places_join_as_paths_do(path: str) -> None:
    assert place_of(path) == Path(path) and place_of(Path(path)) == Path(path)
    if ".." in path:
        return
    joined, expected = place_of("s3://bucket/p") / path, PurePosixPath("p") / path.lstrip("/")
    assert isinstance(joined, RemotePath)
    assert (joined.key, joined.name, joined.stem, joined.suffix) == (
        str(expected),
        expected.name,
        expected.stem,
        expected.suffix,
    )
    assert str(joined.with_name("other")) == f"s3://bucket/{expected.with_name('other')}"
    assert str(joined.with_suffix(".h5")) == f"s3://bucket/{expected.with_suffix('.h5')}"
    assert joined.relative_to(place_of("s3://bucket/p")) == expected.relative_to("p")
    assert str(place_of("s3://bucket/p/q").parent) == "s3://bucket/p"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://host/x", "no http:// URLs are read; expected a path, or one of s3://BUCKET/NAME"),
        ("file:///tmp/x", "no file:// URLs are read"),
        ("s3:/bucket/x", "expected two slashes, as in s3://BUCKET/NAME"),
        ("s3:///x", "expected the name of a bucket behind s3://"),
        ("s3://", "expected the name of a bucket behind s3://"),
        ("s3://s3://bucket/x", "expected the name of a bucket behind s3://"),
        ("s3://bucket/a/../b", "a name in a bucket has no . or .. in it"),
        ("s3://bucket/" + "a" * 2000, "longer than the 1024 bytes"),
        ("s3://KEY:SECRET@bucket/x", "credentials come from the environment or a profile"),
    ],
)
def test_what_is_no_place_is_refused_in_one_line_without_secrets(url: str, said: str) -> None:
    with pytest.raises(InputError) as told:
        place_of(url)
    assert said in str(told.value) and "\n" not in str(told.value) and "SECRET" not in str(told.value)


def test_the_operating_system_is_never_asked_for_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = place_of("s3://bucket/x")
    for use in (Path, open, os.listdir, os.makedirs, lambda path: Path("a") / path):
        with pytest.raises(InputError, match="s3://bucket/x: a URL, expected a local path"):
            use(place)  # type: ignore[operator]
    with pytest.raises(InputError, match="s3://bucket/x: scores, which is kept on this machine alone"):
        local_only("s3://bucket/x", "scores")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from hcl.extract.system.places.connecting import bucket_store

    bucket_store.cache_clear()
    for module in ("obstore", "obstore.store"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r's3://bucket: buckets need obstore: pip install "hcl\[cloud\]"'):
        place_of("s3://bucket/x").exists()
