"""cache_schema.md against what is written."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from hcl.classify.embedding.origin import Origin
from hcl.classify.support.store import write_support
from hcl.classify.support.support_set import SupportSet
from hcl.extract.cache.video_table import VideoTable
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.videos import Video
from hcl.match.config import HCL, EpisodeConfig, ScoreConfig
from hcl.match.embeddings import HCL_AXES, KNOWN_AXES, MEAN_MAP, ZERO_SHOT_AXES, Embeddings
from hcl.match.episodes.drawing import Episodes
from hcl.match.episodes.episode_file import EpisodeList, write_episodes
from hcl.match.evaluation.level_weights import ATTRIBUTE as LEVEL_WEIGHTS
from hcl.match.evaluation.level_weights import LevelWeights
from hcl.match.evaluation.score_cache import ScoreCache, score_settings, write_scores
from hcl.match.methods.registry import BASELINES
from hcl.match.store.batch import EmbeddedBatch
from hcl.match.store.embedding_store import EmbeddingStore, write_store

DOCUMENT = Path(__file__).parents[1] / "cache_schema.md"
CODECS = ["zstd", "crc32c"]


def documented(section: str) -> dict[str, tuple[int, str]]:
    """The axes and dtype of every array in a section of the document."""
    text = DOCUMENT.read_text(encoding="utf-8").split(f"schema `{section}`")[1].split("\n## ")[0]
    arrays: dict[str, tuple[int, str]] = {}
    for row in re.findall(r"^\| (`.+?) \| \((.+?)\) \| (\w+) \|", text, flags=re.MULTILINE):
        for name in re.findall(r"`(\w+)`", row[0]):
            arrays[name] = (len(row[1].split(",")), row[2])
    return arrays


def written(path: Path) -> dict[str, tuple[int, str]]:
    group = zarr.open_group(path, mode="r", zarr_format=3)
    arrays = {}
    for name, array in group.arrays():
        kind = array.metadata.to_dict()["data_type"]
        arrays[name] = (array.ndim, str(kind))
        assert [codec.to_dict()["name"] for codec in array.compressors] == CODECS, name
        assert array.compressors[0].to_dict()["configuration"]["level"] == 1, name
    return arrays


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    made = ZarrCache.create(tmp_path / "cache.zarr", {"split_origin": "given"}, shape=(2, 3, 4))
    made.set_text_model(np.zeros((0, 5), np.float32), {"model": "m", "sha256": "s"})
    made.add_classes({"a": "base"}, {"a": "a"}, np.zeros((1, 5), np.float32))
    made.add_videos([Video("a/1.mp4", Path("a/1.mp4"), "a")])
    return made.path


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A cache with everything that may be absent."""
    made = ZarrCache.create(
        tmp_path / "full.zarr", {"split_origin": "given"}, shape=(2, 3, 4), views=3, dtype="uint8", embedding=5
    )
    made.set_text_model(np.zeros((0, 5), np.float32), {"model": "m", "sha256": "s"})
    return made.path


@pytest.fixture
def stores(tmp_path: Path) -> list[Path]:
    """An embedding store of each method, that of HCL with all that is known without gradients."""
    embeddings = Embeddings(
        torch.zeros(1, 4), torch.zeros(1, 1, 4), torch.zeros(1, 2, 3, 4), ((0, 1),), torch.zeros(1, 4)
    )
    facts, mean_map, paths = VideoTable(("a",), ("a",), ("base",), ("",), ("",)), np.zeros((1, 6), np.float32), []
    for name, method in {HCL: None, **BASELINES}.items():
        axes = {} if method is None else {array: of for array, of in method.axes.items() if array not in MEAN_MAP}
        known = {array: torch.zeros(*[1] * len(of)) for array, of in KNOWN_AXES.items()}
        by_name = {array: torch.zeros(1, 5) for array in ZERO_SHOT_AXES}
        arrays = (
            {**embeddings.arrays(), **known, **by_name}
            if method is None
            else {array: torch.zeros(*[1] * len(axes[array])) for array in axes}
        )
        frames = embeddings.clip_frames if method is None else None
        paths.append(tmp_path / f"{name}.zarr")
        weights = {LEVEL_WEIGHTS: LevelWeights({}, "2 val classes", is_own=True).to_dict()} if method is None else {}
        write_store(paths[-1], weights, facts, [EmbeddedBatch(arrays, mean_map, frames)], method=name)
    return paths


@pytest.fixture
def scores(tmp_path: Path, stores: list[Path]) -> Path:
    table = ScoreCache(1, np.zeros((1, 2), np.int64), np.zeros((1, 3), np.float32))
    settings = score_settings(EmbeddingStore.open(stores[0]), ScoreConfig(), spatial=True)
    write_scores(tmp_path / "scores.zarr", table, settings)
    return tmp_path / "scores.zarr"


def test_every_array_of_the_cache_is_documented_and_the_other_way_round(cache: Path) -> None:
    arrays = documented("hcl-cache")
    for name in ("views", "scales", "quantisation_error", "image_embedding"):
        del arrays[name]
    assert written(cache) == arrays


def test_every_array_of_a_uint8_cache_with_views_is_documented_and_the_other_way_round(full: Path) -> None:
    codes = {name: (axes, "uint8") for name, (axes, _) in documented("hcl-cache").items() if name in ("maps", "views")}
    assert written(full) == documented("hcl-cache") | codes


def test_every_array_of_the_embedding_store_is_documented_and_the_other_way_round(stores: list[Path]) -> None:
    found = {name: array for path in stores for name, array in written(path).items()}
    assert found == documented("hcl-embeddings")


def test_every_array_of_the_scores_is_documented_and_the_other_way_round(scores: Path) -> None:
    assert written(scores) == documented("hcl-scores")


def test_every_array_of_a_support_set_is_documented_and_every_attribute(stores: list[Path], tmp_path: Path) -> None:
    """Its arrays are those of an embedding store of hcl, and columns of its own."""
    store = next(store for store in map(EmbeddingStore.open, stores) if store.method == HCL)
    rows = np.arange(len(store.videos))
    arrays = store.arrays([name for name in store.names if name != "mean_map"], rows)
    batch = EmbeddedBatch(arrays, store.mean_map, store.embeddings(rows).clip_frames)
    videos = replace(store.videos, content=tuple(f"c{row}" for row in rows))
    path = tmp_path / "x.support"
    write_support(path, SupportSet(videos, ("",) * len(videos), batch, Origin("", "", {}, 1)))
    arrays_of_hcl = {*HCL_AXES, *KNOWN_AXES, *MEAN_MAP, *ZERO_SHOT_AXES}
    columns = {name: shape for name, shape in written(path).items() if name not in arrays_of_hcl}
    assert columns == documented("hcl-support")
    assert {name: shape for name, shape in written(path).items() if name in arrays_of_hcl}.items() <= documented(
        "hcl-embeddings"
    ).items()
    section = DOCUMENT.read_text(encoding="utf-8").split("schema `hcl-support`")[1].split("\n## ")[0]
    for name in zarr.open_group(path, mode="r", zarr_format=3).attrs:
        assert f"`{name}`" in section, name


def test_every_key_of_an_episode_file_is_documented(tmp_path: Path) -> None:
    drawn = Episodes(np.zeros((1, 1, 1), np.int64), np.ones((1, 1, 1), np.int64))
    write_episodes(tmp_path / "e.json", EpisodeList(("a", "b"), ("x", "x"), ("", ""), drawn), asdict(EpisodeConfig()))
    content = json.loads((tmp_path / "e.json").read_text())
    text = DOCUMENT.read_text(encoding="utf-8")
    for name in (*content, *content["drawn"], *content["videos"][0]):
        assert f"`{name}`" in text, name


def test_every_attribute_is_documented(cache: Path, stores: list[Path], scores: Path) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for path in (cache, *stores, scores):
        attributes = dict(zarr.open_group(path, mode="r").attrs)
        for name in (*attributes, *attributes.get(LEVEL_WEIGHTS, {})):
            assert f"`{name}`" in text, name


def test_maps_have_a_chunk_a_video(cache: Path) -> None:
    assert zarr.open_group(cache, mode="r")["maps"].chunks == (1, 2, 3, 4)


def test_views_and_scales_have_a_chunk_a_view(full: Path) -> None:
    group = zarr.open_group(full, mode="r")
    assert group["views"].shape == (0, 2, 2, 3, 4) and group["views"].chunks == (1, 1, 2, 3, 4)
    assert group["scales"].shape == (0, 3, 2, 4) and group["scales"].chunks == (1, 1, 2, 4)
