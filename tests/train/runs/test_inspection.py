"""Descriptions of caches, runs and stores hold facts, and name what is damaged."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import zarr

from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.splits import count_splits, split_lines
from hcl.extract.system.errors import InputError
from hcl.match.store.locate import STORE
from hcl.train.config import TrainConfig
from hcl.train.runs.file_hashes import SUMS
from hcl.train.runs.inspection import describe
from hcl.train.runs.planning import make_run_config
from hcl.train.runs.run_folder import METRICS, write_config
from hcl.train.runs.running import TrainedRun

MakeCache = Callable[..., ZarrCache]
Train = Callable[..., TrainedRun]


def test_caches_runs_and_stores_are_described_and_verified(
    small_train: Train, make_cache: MakeCache, here: Path, seven_splits: dict[str, str]
) -> None:
    cache = make_cache(here / "cache.zarr")
    small_train(cache, here / "one")
    of_cache = describe(str(cache.path), verify=True)
    assert of_cache.kind == "cache" and of_cache.damaged == ()
    assert of_cache.facts["videos"] == {"total": 28, "done": 28, "failed": 0, "pending": 0}
    assert of_cache.splits == {
        split: {name: 4 for name in "abcdefg" if seven_splits[name] == split} for split in of_cache.splits
    }
    of_run = describe(here / "one", verify=True)
    assert of_run.facts["preset"] == "quick" and of_run.facts["state"] == "finished" and of_run.all_damaged == ()
    last = of_run.facts["last epoch"]
    assert last["epoch"] == 2
    (line,) = (line for line in of_run.lines() if line.startswith("last epoch: "))
    assert line.startswith(f"last epoch: 2 (step 6): loss {last['terms']['total']:.3f}, validation ")
    assert (", best;" in line) == last["best"] and "{" not in line
    assert all(f" {name} {value:.3f}" in line for name, value in last["terms"].items() if name != "total")
    assert of_run.store is not None and of_run.store.facts["videos"] == 16 and not of_run.store.splits["base"]
    for description in (of_cache, of_run):
        assert json.loads(json.dumps(description.to_dict()))["kind"] == description.kind
        assert "verified" in str(description) and description.path in str(description)


def test_what_is_damaged_is_named(small_train: Train, make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr")
    small_train(cache, here / "one", epochs=1)
    (cache.path / "maps" / "c" / "3" / "0" / "0" / "0").write_bytes(b"x")
    (here / "one" / STORE / "patches" / "c" / "1" / "0" / "0" / "0").write_bytes(b"x")
    assert describe(cache.path).damaged is None and "verified" not in str(describe(cache.path))
    assert describe(cache.path, verify=True).all_damaged == ("a/3.mp4",)
    assert "damaged: a/3.mp4" in str(describe(cache.path, verify=True)).splitlines()
    of_run = describe(here / "one", verify=True)
    assert of_run.damaged == () and len(of_run.all_damaged) == 1 and of_run.all_damaged[0].startswith("d/1.mp4 (")
    with pytest.raises(InputError, match="expected a cache, a run or an embedding store"):
        describe(here)
    with pytest.raises(InputError, match="no such file or folder"):
        describe(here / "nothing")


def test_failed_videos_and_unfinished_runs_are_told(make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr")
    cache.write([MapRecord(5, None, reason="no frames")])
    write_config(here / "run", make_run_config(cache, TrainConfig()))
    assert describe(cache.path).failed == {"b/1.mp4": "no frames"}
    assert describe(cache.path).facts["videos"]["failed"] == 1
    of_run = describe(here / "run")
    assert (
        of_run.store is None and of_run.facts["state"].startswith("unfinished") and of_run.facts["last epoch"] is None
    )


def test_every_split_has_its_line(make_cache: MakeCache, here: Path) -> None:
    cache = make_cache(here / "cache.zarr")
    videos = cache.with_splits(dict.fromkeys("abcdefg", "novel") | {"b": "base"}).videos
    counts = count_splits(videos.label, videos.split)
    assert counts == {"base": {"b": 4}, "val": {}, "novel": dict.fromkeys("acdefg", 4)}
    lines = split_lines(counts)
    assert len(lines) == 3 and "0 classes, 0 videos" in lines[1] and "6 classes, 24 videos" in lines[2]


def test_arrays_that_are_whole_but_not_those_written_are_found(
    small_train: Train, make_cache: MakeCache, here: Path
) -> None:
    small_train(make_cache(here / "cache.zarr"), here / "one", epochs=1)
    store = here / "one" / STORE
    zarr.open_group(store, mode="r+")["global"][3] = 0  # type: ignore[index]
    (damage,) = describe(here / "one", verify=True).all_damaged
    assert damage == f"{Path(here / 'one' / STORE)} (its arrays are not those that were written: the identity differs)"


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove", "lines"])
def test_damaged_metrics_are_named(small_train: Train, make_cache: MakeCache, here: Path, harm: str) -> None:
    small_train(make_cache(here / "cache.zarr"), here / "one")
    file = here / "one" / METRICS
    content = file.read_text()
    harmed = {"flip": content.replace('"step"', '"stop"'), "truncate": content[:-5], "lines": content.splitlines()[0]}
    file.unlink() if harm == "remove" else file.write_text(harmed[harm])
    with pytest.raises(InputError, match=r"metrics\.jsonl: (damaged or changed|cannot be read)"):
        describe(here / "one")
    (here / "one" / SUMS).unlink()  # as while the run is trained
    if harm in ("flip", "truncate"):
        with pytest.raises(InputError, match=r"metrics\.jsonl: not the metrics of a run"):
            describe(here / "one")
