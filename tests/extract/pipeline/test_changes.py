"""Videos that moved, and facts that were corrected, are recognised by content: nothing is extracted again for them."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.config import ExtractConfig
from hcl.extract.pipeline import engine, preparation
from hcl.extract.pipeline.extraction import extract
from hcl.extract.system.errors import InputError

Run = Callable[..., ZarrCache]
BACKBONE = cache(preparation.choose_backbone)  # loaded once


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory, write_video: Any, small_config: ExtractConfig) -> Path:
    """A folder of three classes with two videos each, and its cache."""
    place = tmp_path_factory.mktemp("extracted")
    for number, name in enumerate(("clap", "jump", "nod")):
        for copy in range(2):
            write_video(place / "videos" / name / f"{copy}.mp4", seed=10 * number + copy, frames=4)
    extract(place / "videos", place / "cache.zarr", small(small_config))
    return place


def small(config: ExtractConfig) -> ExtractConfig:
    return replace(config, split_policy="all-novel", frames=2, size=32, views=1, motion="none")


@pytest.fixture
def here(extracted: Path, tmp_path: Path) -> Path:
    """A copy of both; the files keep their times."""
    shutil.copytree(extracted, tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def again(here: Path, small_config: ExtractConfig, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A function that extracts again; no video may be read unless it is said how many."""

    def run(videos: str = "videos", *, read: int = 0, **given: Any) -> ZarrCache:
        counted: list[int] = []
        decode = engine.decode_ahead

        def counting(paths: Any, *rest: Any, **named: Any) -> Any:
            counted.append(len(paths))
            return decode(paths, *rest, **named)

        config = replace(small(small_config), split_policy=given.pop("split_policy", "all-novel"))
        with monkeypatch.context() as patched:
            patched.setattr(engine, "decode_ahead", counting)
            patched.setattr(preparation, "choose_backbone", BACKBONE)
            extract(here / videos, here / "cache.zarr", config, **given)
        assert counted == [read]
        return ZarrCache.open(here / "cache.zarr")

    return run


def manifest(here: Path, *lines: str, header: str = "path,label") -> str:
    (here / "list.csv").write_text("\n".join([header, *lines]) + "\n")
    return "list.csv"


def labels(now: ZarrCache) -> dict[str, str]:
    return dict(zip(now.videos.path, now.videos.label, strict=True))


def maps(now: ZarrCache) -> dict[str, bytes]:
    return {now.videos.content[row]: now.maps(int(row)).tobytes() for row in now.rows()}


def test_a_file_in_another_class_folder_has_its_class(here: Path, again: Run, said: list[str]) -> None:
    before = maps(ZarrCache.open(here / "cache.zarr"))
    shutil.move(here / "videos" / "clap" / "1.mp4", here / "videos" / "nod" / "from clap.mp4")
    now = again()
    assert labels(now) == {
        "clap/0.mp4": "clap",
        "nod/from clap.mp4": "nod",
        "jump/0.mp4": "jump",
        "jump/1.mp4": "jump",
        "nod/0.mp4": "nod",
        "nod/1.mp4": "nod",
    }
    assert maps(now) == before and now.class_names == ("clap", "jump", "nod")
    assert "moved or renamed, maps kept (1): clap/1.mp4 -> nod/from clap.mp4" in said
    assert "of another class now (1): nod/from clap.mp4: clap -> nod" in said
    assert any("train anew, or hcl embed" in line for line in said)


def test_a_renamed_class_keeps_maps_and_split(here: Path, again: Run, said: list[str]) -> None:
    (here / "videos" / "nod").rename(here / "videos" / "Nod yes")
    now = again()
    assert now.class_splits == {"clap": "novel", "jump": "novel", "Nod yes": "novel"}
    assert now.class_texts["Nod yes"] == "nod yes" and len(now.videos) == 6
    assert "classes without videos, removed (1): nod" in said
    (here / "videos" / "Nod yes").rename(here / "videos" / "nod")
    assert again().class_splits == {"clap": "novel", "jump": "novel", "nod": "novel"}


def test_names_may_change_places(here: Path, again: Run) -> None:
    before = maps(ZarrCache.open(here / "cache.zarr"))
    folder = here / "videos"
    (folder / "clap" / "0.mp4").rename(folder / "x")
    (folder / "nod" / "0.mp4").rename(folder / "clap" / "0.mp4")
    (folder / "x").rename(folder / "nod" / "0.mp4")
    (folder / "jump" / "0.mp4").unlink()
    (folder / "jump" / "1.mp4").rename(folder / "jump" / "0.mp4")
    now = again()
    assert sorted(now.videos.path) == ["clap/0.mp4", "clap/1.mp4", "jump/0.mp4", "nod/0.mp4", "nod/1.mp4"]
    gone = set(before) - set(maps(now))
    assert len(gone) == 1 and all(before[content] == value for content, value in maps(now).items())


def test_what_is_gone_is_kept_and_named_or_pruned(here: Path, again: Run, said: list[str]) -> None:
    shutil.rmtree(here / "videos" / "jump")
    now = again()
    assert len(now.rows("novel")) == 6
    assert f"not in {here / 'videos'}, and kept; --prune removes them (2): jump/0.mp4, jump/1.mp4" in said
    now = again(prune=True)
    assert len(now.rows("novel")) == 4 and set(now.class_splits) == {"clap", "nod"}
    assert f"removed, since not in {here / 'videos'} (2): jump/0.mp4, jump/1.mp4" in said
    (here / "videos" / "clap" / "0.mp4").rename(here / "videos" / "nod" / "9.mp4")
    assert labels(again())["nod/9.mp4"] == "nod"  # rows count what remains


def test_new_videos_follow_those_that_remain(here: Path, again: Run, write_video: Any) -> None:
    (here / "videos" / "clap" / "0.mp4").unlink()
    write_video(here / "videos" / "wave" / "0.mp4", seed=99, frames=4)
    now = again(read=1, prune=True)
    assert now.videos.path[-1] == "wave/0.mp4" and len(now.rows()) == 6
    assert np.isfinite(now.maps(5)).all() and now.maps(5).any()


def test_the_wrong_twin_of_an_earlier_move_is_removed(
    here: Path, again: Run, write_video: Any, said: list[str]
) -> None:
    """A cache of a version that kept both rows: the file was moved, and both places were extracted."""
    shutil.copy2(here / "videos" / "clap" / "1.mp4", here / "videos" / "nod" / "2.mp4")
    assert len(again(read=1).videos) == 7
    (here / "videos" / "clap" / "1.mp4").unlink()
    now = again()
    assert "clap/1.mp4" not in now.videos.path and labels(now)["nod/2.mp4"] == "nod" and len(now.rows()) == 6
    assert "replaced at its place or in its class, removed (1): clap/1.mp4" in said


def test_a_manifest_corrects_labels_groups_and_splits(here: Path, again: Run, said: list[str]) -> None:
    header, names = "path,label,split,group", {"clap": "base", "jump": "val", "nod": "novel"}
    lines = [f"videos/{name}/{copy}.mp4,{name},{split},tom" for name, split in names.items() for copy in range(2)]
    now = again(manifest(here, *lines, header=header), split_policy="auto")
    assert now.class_splits == names and set(now.videos.group) == {"tom"} and len(now.videos) == 6
    assert now.settings["split_origin"] == "given"
    lines[0] = "videos/clap/0.mp4,nod,novel,ann"
    now = again(manifest(here, *lines, header=header), split_policy="auto")
    assert labels(now)["videos/clap/0.mp4"] == "nod" and sorted(set(now.videos.group)) == ["ann", "tom"]
    assert "of another class now (1): videos/clap/0.mp4: clap -> nod" in said
    now = again(manifest(here, *(line.rsplit(",", 2)[0] for line in lines)), split_policy="auto")
    assert now.class_splits == names and "ann" in now.videos.group  # a list that says nothing of it changes nothing
    lines[0] = "videos/clap/0.mp4,,,"
    now = again(manifest(here, *lines, header=header), split_policy="auto")
    assert (
        labels(now)["videos/clap/0.mp4"] == "" and now.videos.split[list(labels(now)).index("videos/clap/0.mp4")] == ""
    )
    assert any(line.startswith("unlabelled: 1 videos") for line in said)


def test_a_forecast_tells_the_changes_and_makes_none(here: Path, small_config: ExtractConfig) -> None:
    from hcl.extract.pipeline.dry_run import forecast

    (here / "videos" / "clap" / "1.mp4").rename(here / "videos" / "nod" / "2.mp4")
    (here / "videos" / "jump" / "1.mp4").unlink()
    before = {file: file.read_bytes() for file in (here / "cache.zarr").rglob("*") if file.is_file()}
    found = forecast(here / "videos", here / "cache.zarr", small(small_config), prune=True)
    assert (found.to_read, found.cached) == (0, 5)
    assert any("clap/1.mp4 -> nod/2.mp4" in note for note in found.notes)
    assert any("removed, since not in" in note and "jump/1.mp4" in note for note in found.notes)
    assert before == {file: file.read_bytes() for file in (here / "cache.zarr").rglob("*") if file.is_file()}


def test_another_text_for_a_class_is_still_refused(here: Path, again: Run) -> None:
    (here / "names.csv").write_text("label,name\nnod,to nod\n")
    with pytest.raises(InputError, match="class 'nod' has the text 'nod' in the cache and 'to nod' now"):
        again(names=here / "names.csv")


def test_another_folder_never_prunes_a_whole_cache(here: Path, again: Run, write_video: Any) -> None:
    write_video(here / "others" / "wave" / "0.mp4", seed=99, frames=4)
    with pytest.raises(InputError, match=r"others: holds none of the 6 videos of .*cache\.zarr, and --prune would"):
        again("others", prune=True)
    assert len(ZarrCache.open(here / "cache.zarr").rows()) == 6
