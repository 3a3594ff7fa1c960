"""Wrong uses of the commands that read videos: extract, convert, info, demo-videos, index, classify, check."""

from pathlib import Path

import pytest

CASES = [
    ("a folder that is not there", "extract nowhere cache.zarr", ("nowhere: no such folder or manifest",)),
]


@pytest.mark.parametrize(("arguments", "parts"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_wrong_use_is_one_line_and_leaves_no_trace(
    tmp_path: Path,
    check_use,  # type: ignore[no-untyped-def]
    arguments: str,
    parts: tuple[str, ...],
) -> None:
    check_use(tmp_path, arguments, parts)
