"""One writer at a time: the claim of a place in a bucket, renewed, refused, taken over, and lost."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.system.errors import InputError
from hcl.extract.system.lock import sole_writer
from hcl.extract.system.places import claim as claims
from hcl.extract.system.places import objects
from hcl.extract.system.places.building import ROOT, built_whole, finish_copy
from hcl.extract.system.places.claim import Claim, Pulse, claimed
from hcl.extract.system.places.location import place_of
from hcl.extract.system.places.remote_path import RemotePath

QUICK = Pulse(every=0.05, stale_after=30)


@pytest.fixture
def place(bucket: str) -> RemotePath:
    """A place that nobody holds."""
    found = place_of(f"{bucket}/cache.zarr")
    assert isinstance(found, RemotePath)
    return found


def holders(place: RemotePath) -> list[str]:
    return [each.name for each in place.parent.iterdir()]


@pytest.mark.each_cloud
def test_a_second_writer_is_refused_until_the_first_ends(place: RemotePath) -> None:
    with sole_writer(place) as still_held:  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"process \d+ \(of this or another machine\) is writing to it; wait"):
            with sole_writer(place):  # type: ignore[arg-type]
                pass
        still_held()
        assert holders(place) == ["cache.zarr.lock"]
    with claimed(place):
        pass
    assert holders(place) == []


@pytest.mark.each_cloud
def test_a_claim_that_is_renewed_stays_and_one_that_is_not_heals(
    place: RemotePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = Claim(place.with_name("cache.zarr.lock"), place, QUICK)
    killed.take()
    while killed._holder()["beat"] < 3:  # it renews
        time.sleep(0.02)
    with pytest.raises(InputError, match="is writing to it"), claimed(place, QUICK):
        pass
    killed._ended.set()  # as a killed process: it renews no more, and deletes nothing
    killed._thread.join()
    now = Claim._server_time
    monkeypatch.setattr(Claim, "_server_time", lambda claim: now(claim) + 60 * 10**9)  # a minute later
    with claimed(place, QUICK):
        assert killed._holder()["id"] != killed._id
    assert holders(place) == []


@pytest.mark.each_cloud
def test_who_lost_its_claim_writes_no_more(place: RemotePath) -> None:
    with pytest.raises(InputError, match="another process took over the claim.*run again to resume"):
        with claimed(place, QUICK) as claim:
            objects.write(claim._path, b'{"id": "another", "process": 1}')
            claim._thread.join(5)
            claim.check()
    assert holders(place) == ["cache.zarr.lock"]  # which is another's


@pytest.mark.each_cloud
def test_two_that_find_a_stale_claim_do_not_both_get_it(place: RemotePath) -> None:
    path = place.with_name("cache.zarr.lock")
    objects.write(path, b"{}")
    version = claims._version(claims._head(path))
    first, second = (Claim(path, place, QUICK) for _ in range(2))
    assert claims._put(path, first._content(), version) is not None
    assert claims._put(path, second._content(), version) is None
    assert first._holder()["id"] == first._id


def test_a_server_that_ignores_conditions_is_refused(place: RemotePath, faults: Any) -> None:
    faults.ignores_conditions = True
    with pytest.raises(InputError, match=r"ignores the condition of a create \(If-None-Match: \*\)"), claimed(place):
        pass
    assert holders(place) == []


@pytest.mark.each_cloud
def test_a_claim_whose_answer_was_lost_is_held_all_the_same(place: RemotePath, faults: Any) -> None:
    claim = Claim(place.with_name("cache.zarr.lock"), place, QUICK)
    assert claims._put(claim._path, claim._content(), "create") is not None  # and the client never heard of it
    claim.take()
    claim.check()
    claim.release()
    assert holders(place) == []


class Killed(BaseException):
    """The end of a process, at any request that writes."""


def version_at(place: RemotePath) -> int | None:
    """The version of a store of two objects, all of which must be of it; None if there is no store."""
    if not (place / ROOT).is_file():
        return None
    version, *others = {each.read_bytes() for each in place.glob("**/*")}
    assert not others and len(list(place.glob("**/*"))) == 3
    return int(version)


def write_version(place: RemotePath, version: int) -> None:
    with built_whole(place) as made:
        for name in ("a/c/0", "b/c/0"):
            (made / name).write_bytes(str(version).encode())
        assert made.held is not None
        made.held.content = str(version).encode()


def test_a_store_is_never_seen_half_written(place: RemotePath, monkeypatch: pytest.MonkeyPatch) -> None:
    left, steps = [0], {name: getattr(objects, name) for name in ("write", "copy", "delete")}

    def counted(do: Callable[..., Any]) -> Callable[..., Any]:
        def step(*given: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return do(*given)

        return step

    for name, do in steps.items():
        monkeypatch.setattr(objects, name, counted(do))
    seen = set()
    for before, after in ((None, 1), (1, 2)):
        for most in range(100):
            left[0] = 1000
            objects.delete(place.parent.glob("**/*"))
            if before:
                write_version(place, before)
            left[0], is_whole = most, True
            try:
                write_version(place, after)
            except Killed:
                is_whole = False
            left[0] = 1000
            seen.add((before, version_at(place)))
            finish_copy(place)  # as the next writer does
            assert version_at(place) in ({after} if is_whole else {before, after})
            assert before is None or version_at(place) is not None
            if is_whole:
                break
    assert seen == {(None, None), (None, 1), (1, 1), (1, None), (1, 2)}
    write_version(place, 3)
    assert version_at(place) == 3 and holders(place) == ["cache.zarr"]


def test_a_cache_that_was_begun_and_killed_is_begun_anew(
    place: RemotePath, make_cache: Callable[..., ZarrCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr("hcl.extract.cache.zarr_cache.seal", killed)
        make_cache(place)
    assert not place.exists() and len(list(place.glob("**/*"))) > 5
    assert len(make_cache(place).videos) == 28
    assert holders(place) == ["cache.zarr"]
