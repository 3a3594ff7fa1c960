"""Which run is the latest of a method, however the folder of the runs is listed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hcl.match.store.locate import LATEST, RUNS, STORE, find_store, mark_latest


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("beside", [False, True])
def test_the_latest_run_of_a_method_has_its_own_name(
    write_embeddings: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backwards: bool,
    beside: bool,
) -> None:
    """The link to it is as new as the run itself; a folder may list either first, and the run may stand elsewhere."""
    monkeypatch.chdir(tmp_path)
    run = Path("elsewhere") / "a" if beside else RUNS / "a"
    run.mkdir(parents=True)
    write_embeddings(run / STORE)
    mark_latest(run)
    listed = Path.glob

    def glob(folder: Path, pattern: str) -> Iterator[Path]:
        return iter(sorted(listed(folder, pattern), reverse=backwards))

    monkeypatch.setattr(Path, "glob", glob)
    assert (RUNS / LATEST).is_symlink()
    assert find_store(None, "hcl").resolve() == (run / STORE).resolve()
    assert LATEST not in find_store(None, "hcl").parts
