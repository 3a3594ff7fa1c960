"""The support set: laws of adding and removing, what it refuses, its folder and harm to it."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hcl.classify.embedding.origin import Origin
from hcl.classify.support.store import change_support, read_support, write_support
from hcl.classify.support.support_set import SupportSet, as_stored
from hcl.extract.cache.video_table import VideoTable
from hcl.extract.system.errors import InputError
from hcl.extract.system.lock import sole_writer
from hcl.match.store.batch import EmbeddedBatch
from hcl.train.encoders.geometry import change_of, power_mean
from hcl.train.encoders.untrained import Untrained, untrained_embeddings

SETTINGS = {
    "backbone": "resnet18",
    "weights": "w",
    "weights_sha256": "abc",
    "frames": 3,
    "size": 64,
    "motion": "rgbdiff",
}
ORIGIN = Origin("", "", SETTINGS | {"grid": [2, 1], "channels": 8}, 1)


def maps_of(rows: Sequence[int]) -> torch.Tensor:
    """Drawn maps (V, 3, 2, 8) of some videos, as float16 has them."""
    return torch.stack([torch.randn(3, 2, 8, generator=torch.Generator().manual_seed(row)).half() for row in rows])


def some(rows: Sequence[int], labels: str = "aabbcc") -> SupportSet:
    """A support set of drawn maps; video 1 is of class a, and so on."""
    maps, encoder = maps_of(rows), Untrained(inputs=2)
    mean_map = maps.float().mean(dim=(1, 2)).numpy()
    batch = as_stored(EmbeddedBatch.of(encoder(maps), mean_map, encoder.known(maps)))
    count = len(rows)
    table = VideoTable(
        tuple(f"{labels[row]}/{row}.mp4" for row in rows),
        tuple(labels[row] for row in rows),
        ("novel",) * count,
        ("",) * count,
        tuple(f"hash{row}" for row in rows),
    )
    return SupportSet(table, tuple(f"/videos/{row}.mp4" for row in rows), batch, ORIGIN)


def assert_same(one: SupportSet, other: SupportSet) -> None:
    assert (one.videos, one.sources, one.origin, one.text_model) == (
        other.videos,
        other.sources,
        other.origin,
        other.text_model,
    )
    assert set(one.batch.arrays) == set(other.batch.arrays) and one.batch.clip_frames == other.batch.clip_frames
    for name, array in one.batch.arrays.items():
        assert torch.equal(array, other.batch.arrays[name]), name
    np.testing.assert_array_equal(one.batch.mean_map, other.batch.mean_map)


def test_added_videos_are_as_if_they_had_been_there_from_the_start() -> None:
    whole, parts = some(range(6)), some(range(4)).joined(some(range(3, 6)))
    assert_same(whole, parts)
    assert whole.class_names == ("a", "b", "c") and whole.classes.tolist() == [0, 0, 1, 1, 2, 2]
    assert_same(whole.without("c"), some(range(4)))
    assert_same(whole.without("a/0.mp4"), some(range(1, 6)))
    assert_same(whole.without("/videos/0.mp4"), some(range(1, 6)))
    for name, array in whole.compared(whole.batch).arrays.items():
        assert torch.equal(array, parts.compared(parts.batch).arrays[name])


def test_untrained_supports_are_compared_as_if_their_mean_had_been_known() -> None:
    support, maps = some(range(6)), maps_of(range(6))
    frames = power_mean(maps)
    encoder = Untrained(support.mean, frames.mean(dim=(0, 1)), change_of(frames).mean(dim=0), inputs=2)
    expected = {**untrained_embeddings(maps, support.mean).arrays(), **encoder.known(maps)}
    arrays = support.compared(support.batch).arrays
    assert set(arrays) == set(expected)
    for name, array in expected.items():
        torch.testing.assert_close(arrays[name].float(), array, atol=3e-3, rtol=3e-3)


def test_what_a_support_set_refuses() -> None:
    other = replace(some([5]), origin=replace(ORIGIN, encoder_sha256="ef" * 32))
    twin = some([3], labels="aaac")
    cases: list[tuple[str, Callable[[], object]]] = [
        ("class 'none': so a video is called that is of no class", lambda: relabelled(some([0, 1]), "none")),
        ("b/3.mp4 = c/3.mp4: the same video as a support of b and of c", lambda: some(range(4)).joined(twin)),
        ("encoder untrained there, efefefefefef here", lambda: some(range(3)).joined(other)),
        ("z: no class or video of the support set; its classes are a, b", lambda: some(range(4)).without("z")),
        ("a: nothing would be left of the support set", lambda: some(range(2)).without("a")),
        (
            "class texts are embedded by another model",
            lambda: some([1]).joined(replace(some([2]), text_model={"model": "bert", "sha256": "1"})),
        ),
    ]
    for message, call in cases:
        with pytest.raises(InputError, match=re.escape(message)):
            call()


def relabelled(support: SupportSet, label: str) -> SupportSet:
    return replace(support, videos=replace(support.videos, label=(label,) * len(support)))


def test_a_folder_gives_a_support_set_back(tmp_path: Path) -> None:
    path, support = tmp_path / "gestures.support", replace(some(range(6)), text_model={"model": "bert", "sha256": "1"})
    write_support(path, support)
    assert_same(read_support(path), support)
    before = (path / "zarr.json").read_bytes()
    write_support(path, support)
    assert (path / "zarr.json").read_bytes() == before  # the same set gives the same bytes
    changed = change_support(path, lambda stored: stored.without("b"))
    assert_same(read_support(path), changed)
    assert changed.class_names == ("a", "c")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["gestures.support", "gestures.support.lock"]


def test_harm_to_a_folder_is_named(tmp_path: Path, edit_attributes: Callable[..., None]) -> None:
    path = tmp_path / "x.support"
    write_support(path, some(range(4)))
    harms: list[tuple[str, Callable[[Path], object]]] = [
        ("no such support set; make one with: hcl index", shutil.rmtree),
        (
            "array 'patches' is damaged",
            lambda copy: (copy / "patches" / "c" / "0" / "0" / "0" / "0").write_bytes(b"x" * 40),
        ),
        ("array 'source' is missing", lambda copy: shutil.rmtree(copy / "source")),
        ("the attributes in its zarr.json are damaged", lambda copy: swap(copy / "zarr.json", "resnet18", "resnet34")),
        ("an embedding store, which hcl evaluate", edited(edit_attributes, schema="hcl-embeddings")),
        ("schema hcl-support version 9", edited(edit_attributes, version=9)),
        ("does not say how its videos were embedded", edited(edit_attributes, origin={"run": 3})),
        ("not as a support set is written", edited(edit_attributes, clip_frames=[[0, 9]])),
        ("a link out of", lambda copy: (copy / "source" / "out").symlink_to(tmp_path)),
    ]
    for number, (message, harm) in enumerate(harms):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(path, copy)
        harm(copy)
        with pytest.raises(InputError, match=re.escape(message)):
            read_support(copy)


def edited(edit_attributes: Callable[..., None], **changed: Any) -> Callable[[Path], object]:
    return lambda copy: edit_attributes(copy, lambda attributes: attributes.update(changed))


def swap(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert json.loads(text) and old in text
    file.write_text(text.replace(old, new))


def test_one_writer_at_a_time_and_nothing_else_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.support"
    write_support(path, some(range(4)))
    with sole_writer(path), pytest.raises(InputError, match="is writing to it; wait until it ends"):
        change_support(path, lambda stored: stored)
    (tmp_path / "videos").mkdir()
    with pytest.raises(InputError, match="an empty folder; expected a support set, made with: hcl index"):
        write_support(tmp_path / "videos", some(range(4)))
