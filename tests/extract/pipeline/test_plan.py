"""What an extraction has to do, and the catalogs that contradict themselves or the cache."""

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
    manifest.write_text("\n".join(["path,label", *lines, "../videos/nod/2.mp4,nod"]))
    assert len(make_plan(manifest, None, config).pending) == 4  # missing ones are named after the extraction


def test_a_video_that_changed_its_class_is_refused(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    manifest = tmp_path / "videos.csv"
    manifest.write_text("path,label\nvideos/nod/0.mp4,nod\n")
    extract(manifest, tmp_path / "cache.zarr", config)
    manifest.write_text("path,label\nvideos/nod/0.mp4,bow\n")
    with pytest.raises(InputError, match=r"videos/nod/0\.mp4: class 'bow' now, 'nod' in"):
        extract(manifest, tmp_path / "cache.zarr", config)


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
