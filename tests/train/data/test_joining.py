"""Caches that do not fit together are refused by name, and what would make a test dishonest is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.system.errors import InputError
from hcl.train.data.joining import contested_classes, join_caches, log_sets, name_sets, refuse_two_splits

MakeCache = Callable[..., ZarrCache]


def test_sets_are_named_after_files_or_else_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert list(name_sets(["x/ucf.zarr", Path("x/hmdb.h5")])) == ["ucf", "hmdb"]
    assert name_sets(["ucf/cache.zarr", "cache.zarr"]) == {
        "ucf": Path("ucf/cache.zarr"),
        tmp_path.name: Path("cache.zarr"),
    }
    with pytest.raises(InputError, match=r"a/x/c.zarr, b/x/c.zarr: neither files nor folders .*; rename one"):
        name_sets(["a/x/c.zarr", "b/x/c.zarr"])
    with pytest.raises(InputError, match=r"^x/../ucf.zarr: this cache is named twice; name each cache once"):
        name_sets(["x/../ucf.zarr", "hmdb.zarr", "ucf.zarr"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"backbone_layer": "layer3"}, r"backbone_layer layer4 in .*A.zarr, layer3 here; extract one of them anew"),
        ({"motion": "rgbdiff"}, r"motion none in .*A.zarr, rgbdiff here; extract one of them anew"),
        ({"exposure": "auto"}, r"exposure none in .*A.zarr, auto here; extract one of them anew"),
        ({"frames": 8}, r"frames 4 in .*A.zarr, 8 here; extract one of them anew with the settings of the other"),
        ({"size": 96, "weights_sha256": "v"}, r"weights_sha256 w in .*A.zarr, v here; size 64 in .*A.zarr, 96 here"),
        ({"text": False}, r"class texts by no text model, those of .*A.zarr by small bert; .*the same --text-model"),
    ],
)
def test_unlike_caches_are_refused_by_name(
    make_cache: MakeCache, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    paths = [make_cache(tmp_path / "A.zarr").path, make_cache(tmp_path / "B.zarr", **changed).path]
    with pytest.raises(InputError, match=r"B.zarr: " + ("" if "text" in changed else "other maps.*: ") + message):
        join_caches(paths)


@pytest.mark.parametrize("split", ["val", "novel"])
def test_a_merged_class_has_one_split(make_cache: MakeCache, tmp_path: Path, split: str) -> None:
    of_b = {"c": split, "x": "base"}
    paths = [make_cache(tmp_path / "A.zarr").path, make_cache(tmp_path / "B.zarr", splits=of_b, content="b").path]
    message = rf"class 'c' is base in .*A.zarr and {split} in .*B.zarr, .*--splits FILE, or leave out --merge-classes"
    merged, apart = (join_caches(paths, merge_classes=merge) for merge in (True, False))
    with pytest.raises(InputError, match=message):
        refuse_two_splits(merged)
    splits = dict.fromkeys("abcdefgx", "novel") | {"a": "base", "x": "base"}
    seen = merged.with_splits(splits)
    refuse_two_splits(seen)
    assert seen.class_splits == splits and len(seen.rows("base")) == 8
    refuse_two_splits(apart)  # each class keeps its own
    assert len(apart.rows("base")) == 16


def test_what_the_sets_share_is_named(make_cache: MakeCache, tmp_path: Path, said: list[str]) -> None:
    first = make_cache(tmp_path / "A.zarr", splits={"FanDown": "base", "wave": "base"}, views=2)
    other = make_cache(tmp_path / "B.zarr", splits={"fan_down": "novel", "wave": "base"})
    joined = join_caches([first.path, other.path])
    assert contested_classes(joined) == ["A/FanDown base, B/fan_down novel"]
    log_sets(joined)
    told = "\n".join(said)
    assert f"set A: 2 base, 0 val, 0 novel classes, 8 videos in {first.path}" in said
    assert f"views of each video to draw from: 1; {other.path} holds no more" in said
    assert "left out, 4 base videos that are byte-identical to a val or novel video of another set" in told
    assert "A/FanDown/0.mp4 = B/fan_down/0.mp4; A/FanDown/1.mp4" in told
    assert "in different splits: A/FanDown base, B/fan_down novel; " in told and "--splits FILE" in told


def test_of_many_names_some_are_shown(make_cache: MakeCache, tmp_path: Path, said: list[str]) -> None:
    paths = [
        make_cache(tmp_path / f"{split}.zarr", splits=dict.fromkeys("abcd", split)).path for split in ("base", "novel")
    ]
    log_sets(join_caches(paths))
    (line,) = (line for line in said if line.startswith("left out, 16 base videos"))
    assert line.count(" = ") == 10 and line.endswith(" and 6 more")
