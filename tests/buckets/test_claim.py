"""One writer at a time: the claim of a place in a bucket, renewed, refused, taken over, and lost."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.system.errors import InputError
from hcl.extract.system.lock import sole_writer
from hcl.extract.system.places import claim as claims
from hcl.extract.system.places import objects
from hcl.extract.system.places.claim import Claim, Pulse, claimed
from hcl.extract.system.places.location import RemotePath, place_of
from hcl.match.store.embedding_store import EmbeddingStore

QUICK = Pulse(every=0.05, stale_after=1.5)  # the server tells whole seconds


@pytest.fixture
def place(bucket: str) -> RemotePath:
    """A place that nobody holds."""
    found = place_of(f"{bucket}/cache.zarr")
    assert isinstance(found, RemotePath)
    return found


def holders(place: RemotePath) -> list[str]:
    return [each.name for each in place.parent.iterdir()]


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


def test_a_claim_that_is_renewed_stays_and_one_that_is_not_heals(place: RemotePath) -> None:
    killed = Claim(place.with_name("cache.zarr.lock"), place, QUICK)
    killed.take()
    time.sleep(2.2)
    with pytest.raises(InputError, match="is writing to it"), claimed(place, QUICK):
        pass
    killed._ended.set()  # as a killed process: it renews no more, and deletes nothing
    killed._thread.join()
    time.sleep(2.5)
    with claimed(place, QUICK):
        assert killed._holder_is_other()
        with pytest.raises(InputError, match="is writing to it"), claimed(place, QUICK):
            pass
    assert holders(place) == []


def test_who_lost_its_claim_writes_no_more(place: RemotePath) -> None:
    with pytest.raises(InputError, match="another process took over the claim.*run again to resume"):
        with claimed(place, QUICK) as claim:
            objects.write(claim._path, b'{"id": "another", "process": 1}')
            claim._thread.join(5)
            claim.check()
    assert holders(place) == ["cache.zarr.lock"]  # which is another's


def test_two_that_find_a_stale_claim_do_not_both_get_it(place: RemotePath) -> None:
    path = place.with_name("cache.zarr.lock")
    objects.write(path, b"{}")
    tag = str(claims._head(path)["e_tag"])
    first, second = (Claim(path, place, QUICK) for _ in range(2))
    assert claims._put(path, first._content(), {"e_tag": tag}) is not None
    assert claims._put(path, second._content(), {"e_tag": tag}) is None
    assert first._holder()["id"] == first._id


def test_a_server_that_ignores_conditions_is_refused(place: RemotePath, faults: Any) -> None:
    faults.ignores_conditions = True
    with pytest.raises(InputError, match=r"ignores the condition of a create \(If-None-Match: \*\)"), claimed(place):
        pass
    assert holders(place) == []


def test_a_claim_whose_answer_was_lost_is_held_all_the_same(place: RemotePath, faults: Any) -> None:
    claim = Claim(place.with_name("cache.zarr.lock"), place, QUICK)
    assert claims._put(claim._path, claim._content(), "create") is not None  # and the client never heard of it
    claim.take()
    claim.check()
    claim.release()
    assert holders(place) == []


def test_a_store_is_never_seen_half_written(
    place: RemotePath, write_embeddings: Callable[..., Path], make_embeddings: Callable[..., Any]
) -> None:
    class Killed(BaseException):
        pass

    from hcl.extract.system.places import building

    steps = {"write": building.objects.write, "copy": building.objects.copy, "delete": building.objects.delete}
    seen = set()
    write_embeddings(place)
    for most in range(12):
        left = [most]

        def counted(do: Callable[..., Any], left: list[int] = left) -> Callable[..., Any]:
            def step(*given: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
                return do(*given)

            return step

        with pytest.MonkeyPatch.context() as patched:
            for name, do in steps.items():
                patched.setattr(objects, name, counted(do))
            patched.setattr(claims.Claim, "release", lambda self: self._ended.set())
            patched.setattr(claims, "Pulse", lambda: Pulse(0.01, 0.02))
            try:
                write_embeddings(place, make_embeddings(20, seed=1))
                seen.add("whole")
                break
            except Killed:
                pass
        try:
            seen.add(len(EmbeddingStore.open(place).videos))  # type: ignore[arg-type]
        except InputError as error:
            assert "no such" in str(error) or "expected" in str(error)
            seen.add("none")
        place.with_name("cache.zarr.lock").unlink()
        with claimed(place):  # the next writer mends
            assert len(EmbeddingStore.open(place).videos) in (20, 30)  # type: ignore[arg-type]
    assert {30, "none", "whole"} <= seen


def test_a_cache_that_was_begun_and_killed_is_begun_anew(
    place: RemotePath, make_cache: Callable[..., ZarrCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr("hcl.extract.cache.zarr_cache.seal", killed)
        make_cache(place)
    assert not place.exists() and len(list(place.glob("**/*"))) > 5
    assert len(make_cache(place).videos) == 28
    assert holders(place) == ["cache.zarr"]
