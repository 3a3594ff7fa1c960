"""Work that waits for a network is done side by side, in order, with a bound, and never waits for itself."""

import threading
import time

import pytest

from hcl.extract.system.places.objects import SIDE_BY_SIDE, ahead, side_by_side


@pytest.mark.parametrize("count", [0, 1, 2, SIDE_BY_SIDE - 1, SIDE_BY_SIDE, 3 * SIDE_BY_SIDE + 1])
def test_all_is_done_once_and_in_order(count: int) -> None:
    done: list[int] = []

    def work(value: int) -> int:
        time.sleep(0.001 * (value % 3))
        done.append(value)
        return value * value

    expected = [value * value for value in range(count)]
    assert list(ahead(work, range(count))) == expected and sorted(done) == list(range(count))
    assert side_by_side(work, range(count)) == expected


def test_no_more_is_read_ahead_than_the_bound() -> None:
    begun: list[int] = []
    results = ahead(begun.append, range(10 * SIDE_BY_SIDE))
    next(results)
    time.sleep(0.05)
    assert len(begun) == SIDE_BY_SIDE
    results.close()  # type: ignore[attr-defined]
    time.sleep(0.05)
    assert len(begun) == SIDE_BY_SIDE


def test_work_that_parts_itself_does_not_wait_for_itself() -> None:
    def inner(value: int) -> int:
        return value + threading.get_native_id() * 0

    found = side_by_side(lambda value: sum(side_by_side(inner, range(value))), range(4 * SIDE_BY_SIDE))
    assert found == [value * (value - 1) // 2 for value in range(4 * SIDE_BY_SIDE)]


@pytest.mark.parametrize("do", [side_by_side, lambda work, values: list(ahead(work, values))])
def test_an_error_is_raised(do: object) -> None:
    def work(value: int) -> int:
        return 1 // (3 - value)

    with pytest.raises(ZeroDivisionError):
        do(work, range(10))  # type: ignore[operator]
