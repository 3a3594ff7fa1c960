"""A published benchmark from files on disk to a cache: what is there, what is missing, and what is refused."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from hcl.extract.cache.formats import convert, open_cache
from hcl.extract.catalog.benchmarks.listing import Listed, read_listing
from hcl.extract.catalog.csv_files import read_csv
from hcl.extract.commands import extract as command
from hcl.extract.config import ExtractConfig
from hcl.extract.pipeline.dry_run import describe_forecast, forecast
from hcl.extract.pipeline.extraction import extract
from hcl.extract.pipeline.summary import as_text
from hcl.extract.system.errors import InputError

Config = Callable[..., ExtractConfig]


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small list of the form of HMDB-51's, cut from the published one: 2 videos of 2 classes a split."""
    folder = tmp_path_factory.mktemp("lists")
    for split, prefix in (("base", "train"), ("val", "val"), ("novel", "test")):
        of_split = [video for video in read_listing("hmdb-arn").videos if video.split == split]
        labels = sorted({video.label for video in of_split})[:2]
        lines = [video.line for label in labels for video in [each for each in of_split if each.label == label][:2]]
        (folder / f"{prefix}list03.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture
def config(small_config: ExtractConfig, lists: Path) -> Config:
    made = replace(small_config, benchmark="hmdb-arn", split_lists=str(lists), motion="none", views=1)
    return lambda **changed: replace(made, **changed)


@pytest.fixture
def hmdb(tmp_path: Path, lists: Path, write_video: Callable[..., Path]) -> tuple[Path, tuple[Listed, ...]]:
    """The videos of the lists as HMDB-51 is unpacked; the last base one is broken, the last novel one missing."""
    videos = read_listing("hmdb-arn", lists).videos
    root = tmp_path / "hmdb51"
    for number, video in enumerate(videos[:-1]):
        write_video(root / video.label / f"{video.id}.avi", seed=number)
    (root / videos[3].label / f"{videos[3].id}.avi").write_bytes(b"no video")
    return root, videos


def test_a_benchmark_is_extracted_resumed_and_described(
    hmdb: tuple[Path, tuple[Listed, ...]], tmp_path: Path, config: Config, write_video: Callable[..., Path]
) -> None:
    root, videos = hmdb
    path, missing = tmp_path / "hmdb.zarr", tmp_path / "hmdb.zarr.missing.csv"
    done = extract(root, path, config(min_per_class=1))
    cache = open_cache(path)
    assert cache.videos.path == tuple(video.line for video in videos[:-1])
    assert cache.videos.split == tuple(video.split for video in videos[:-1])
    assert all(cache.videos.group), "--group-disjoint needs a group of each"
    assert done.missing_list == missing
    assert [row for _, row in read_csv(missing, required=())] == [
        {"split": "base", "video": videos[3].line, "why": f"cannot be read: {done.failed[0][1]}"},
        {"split": "novel", "video": videos[-1].line, "why": "not found"},
    ]
    text = as_text(done)
    assert "benchmark hmdb-arn: base 3 of 4, val 4 of 4, novel 3 of 4 videos; incomplete" in text
    assert (
        f"missing or unreadable: {videos[3].label} 1 of 2, {videos[-1].label} 1 of 2" in text and str(missing) in text
    )
    assert "fewer videos than --min-per-class" not in text

    root.rename(tmp_path / "elsewhere")  # another layout later, on another disk: ids are the videos' names
    flat = tmp_path / "flat"
    flat.mkdir()
    for number in (3, len(videos) - 1):
        write_video(flat / f"{videos[number].id}.avi", seed=20 + number)
    again = extract(flat, path, config())
    assert (again.extracted, again.missing_list, missing.exists()) == (2, None, False)
    assert again.coverage is not None and again.coverage.is_complete() and "complete: published" in as_text(again)
    convert(path, tmp_path / "hmdb.h5")
    assert open_cache(tmp_path / "hmdb.h5").coverage == again.coverage
    resplit = open_cache(path).with_splits({label: "novel" for label in open_cache(path).class_names})
    assert resplit.coverage is not None and resplit.coverage.resplit


def test_a_dry_run_lists_what_is_missing_and_writes_nothing_else(
    hmdb: tuple[Path, tuple[Listed, ...]], tmp_path: Path, config: Config
) -> None:
    root, videos = hmdb
    told = describe_forecast(forecast(root, tmp_path / "c.zarr", config(), missing_list=tmp_path / "m.csv"))
    assert "novel 3 of 4 videos; incomplete" in told
    assert (tmp_path / "m.csv").read_text() == f"split,video,why\nnovel,{videos[-1].line},not found\n"
    assert not list(tmp_path.glob("c.zarr*"))


def test_small_classes_are_refused_before_and_named_after(
    hmdb: tuple[Path, tuple[Listed, ...]], tmp_path: Path, config: Config
) -> None:
    root, videos = hmdb
    with pytest.raises(InputError, match=rf"--min-per-class 2: fewer videos are found of {videos[-1].label} \(1\)"):
        extract(root, tmp_path / "c.zarr", config(min_per_class=2))
    (root / videos[-1].label / f"{videos[-1].id}.avi").write_bytes(b"none either")
    done = extract(root, tmp_path / "c.zarr", config(min_per_class=2))
    assert done.small == (f"{videos[3].label} (1)", f"{videos[-1].label} (1)")
    assert "fewer videos than --min-per-class: " in as_text(done)


def test_one_cache_holds_one_benchmark_by_one_list(
    hmdb: tuple[Path, tuple[Listed, ...]], tmp_path: Path, config: Config, lists: Path
) -> None:
    root, videos = hmdb
    for video in videos[2:-1]:
        (root / video.label / f"{video.id}.avi").unlink()
    extract(root, tmp_path / "c.zarr", config())
    with pytest.raises(InputError, match="holds the benchmark hmdb-arn; give --benchmark hmdb-arn"):
        extract(
            root, tmp_path / "c.zarr", replace(config(), benchmark=None, split_lists=None, split_policy="all-novel")
        )
    shutil.copytree(lists, tmp_path / "others")
    (tmp_path / "others" / "trainlist03.txt").write_text(videos[0].line)
    with pytest.raises(InputError, match="holds hmdb-arn by other lists; give the same --split-lists"):
        extract(root, tmp_path / "c.zarr", config(split_lists=str(tmp_path / "others")))
    plain = replace(config(), benchmark=None, split_lists=None, split_policy="all-novel")
    extract(root, tmp_path / "plain.zarr", plain)
    with pytest.raises(InputError, match="holds videos that no benchmark lists"):
        extract(root, tmp_path / "plain.zarr", config())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split-lists", "x"], "--split-lists goes with --benchmark"),
        (["--min-per-class", "3"], "--min-per-class goes with --benchmark"),
        (["--missing-list", "x.csv"], "--missing-list goes with --benchmark"),
        (["--benchmark", "ucf-arn", "--split-policy", "all-novel"], "--benchmark has splits of its own"),
    ],
)
def test_options_of_benchmarks_need_one(tmp_path: Path, options: list[str], message: str) -> None:
    result = CliRunner().invoke(command, [str(tmp_path), str(tmp_path / "c.zarr"), *options])
    assert message in (str(result.exception) + result.output)
