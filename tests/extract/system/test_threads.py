"""Work side by side."""

import os

import pytest
import torch

from hcl.extract.system.threads import cores, end_with_parent, single_threaded_pool


def test_torch_has_one_thread_in_the_pool_and_as_many_as_before_after_it() -> None:
    before = torch.get_num_threads()
    with single_threaded_pool(2) as pool:
        assert set(pool.map(lambda _: torch.get_num_threads(), range(8))) == {1}
    assert torch.get_num_threads() == before


def test_cores_are_those_of_this_process() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)


def test_a_process_without_a_parent_of_ours_is_a_callers_mistake() -> None:
    with pytest.raises(ValueError, match="not started by multiprocessing"):
        end_with_parent()
