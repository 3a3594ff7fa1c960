"""What an extraction has to do, and the catalogs that contradict themselves or the cache."""

from dataclasses import replace
from pathlib import Path

import pytest

from hcl.extract.config import ExtractConfig
from hcl.extract.pipeline.extraction import extract
from hcl.extract.pipeline.plan import make_plan
from hcl.extract.system.errors import InputError


def test_a_new_cache_needs_every_video(videos: Path, config: ExtractConfig) -> None:
    plan = make_plan(videos, None, config)
    assert [row for row, _ in plan.pending] == list(range(9)) and plan.kept == 0
    assert [source for _, source in plan.pending] == sorted(videos.rglob("*.mp4"))
    assert plan.new_classes == ("clap", "jump", "nod") and set(plan.splits.values()) == {"novel"}


def test_a_list_of_which_nothing_is_there_is_refused(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    (tmp_path / "lists").mkdir()
    manifest = tmp_path / "lists" / "videos.csv"
    lines = [f"videos/nod/{copy}.mp4,nod" for copy in range(3)]
    manifest.write_text("\n".join(["path,label", *lines]))
    with pytest.raises(
        InputError, match=r"none of its 3 videos is there, such as videos/nod/0\.mp4 .*looked for at .*list"
    ):
        make_plan(manifest, None, config)


def test_listed_videos_that_are_not_there_are_counted_before_the_work(
    videos: Path, tmp_path: Path, config: ExtractConfig
) -> None:
    manifest = tmp_path / "videos.csv"
    lines = [f"videos/nod/{copy}.mp4,nod" for copy in range(5)]
    manifest.write_text("\n".join(["path,label", *lines]))
    with pytest.raises(
        InputError, match=r"2 of its 5 videos are not there, such as .*3\.mp4 .*other 3 by --skip-missing"
    ):
        extract(manifest, tmp_path / "cache.zarr", config)
    assert not list(tmp_path.glob("cache.zarr*"))
    plan = make_plan(manifest, None, config, skip_missing=True)
    assert len(plan.pending) == 3
    assert "left aside (2), listed, but not there: videos/nod/3.mp4, videos/nod/4.mp4" in plan.catalog.notes()


def test_classes_of_one_name_are_refused(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    (videos / "nod").rename(videos / "Jump")
    with pytest.raises(InputError, match="'Jump' and 'jump' are both called 'jump'.*--names"):
        make_plan(videos, None, config)
    names = tmp_path / "names.csv"
    names.write_text("label,name\nJump,jump high\n")
    assert make_plan(videos, None, config, names).texts == {"Jump": "jump high", "clap": "clap", "jump": "jump"}


def test_a_names_file_with_unknown_classes_is_refused(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    names = tmp_path / "names.csv"
    names.write_text("label,name\nbow,bow down\n")
    with pytest.raises(InputError, match="'bow' is no class; the classes are clap, jump, nod"):
        make_plan(videos, None, config, names)


def test_few_classes_without_splits_are_refused(videos: Path, tmp_path: Path, small_config: ExtractConfig) -> None:
    with pytest.raises(InputError, match="3 classes are too few to split"):
        extract(videos, tmp_path / "cache.zarr", small_config)
    assert not (tmp_path / "cache.zarr").exists()


def test_a_shuffle_of_classes_is_said_and_given_splits_are_not(tmp_path: Path, small_config: ExtractConfig) -> None:
    for number in range(10):
        (tmp_path / "videos" / f"class {number}").mkdir(parents=True)
        (tmp_path / "videos" / f"class {number}" / "1.mp4").touch()
    lines = make_plan(tmp_path / "videos", None, replace(small_config, split_seed=3)).split_lines()
    assert lines[-1].startswith(
        "the splits are a shuffle of the classes (--split-seed 3): not comparable with published"
    )
    for split, numbers in {"train": range(5), "val": range(5, 7), "test": range(7, 10)}.items():
        (tmp_path / "given" / split).mkdir(parents=True)
        for number in numbers:
            (tmp_path / "videos" / f"class {number}").rename(tmp_path / "given" / split / f"class {number}")
    plan = make_plan(tmp_path / "given", None, small_config)
    assert [list(plan.splits.values()).count(split) for split in ("base", "val", "novel")] == [5, 2, 3]
    assert plan.split_lines()[3:] == ["test is read as the split novel; train is read as the split base"]
