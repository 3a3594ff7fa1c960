"""What validation reads, and what it measures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.decoding.source import Source
from hcl.match.config import LEVELS, ScoreConfig
from hcl.match.embeddings import Embeddings
from hcl.match.episodes.drawing import draw_for_choice
from hcl.match.scoring.scores import match
from hcl.match.store.batch import EmbeddedBatch
from hcl.train.config import TERMS, TrainConfig
from hcl.train.data.map_source import MapSource
from hcl.train.encoders.video_encoder import VideoEncoder
from hcl.train.fitting.validation import concatenate, make_validation

MakeCache = Callable[..., ZarrCache]


class CountingCache(ZarrCache):
    """A cache that notes which views are read."""

    def view(self, row: int, view: int, out: NDArray[np.float16] | None = None) -> NDArray[np.float16]:
        self.__dict__.setdefault("reads", []).append((row, view))
        return super().view(row, view, out)


def small_config(**settings: Any) -> TrainConfig:
    return TrainConfig(**{"dim": 16, "heads": 2, "mlp_dim": 16, "val_episodes": 20, **settings})


def small_encoder(config: TrainConfig) -> VideoEncoder:
    return VideoEncoder(config, channels=12, frames=4, patches=4, classes=3, text_width=5)


@pytest.mark.parametrize(("test_views", "views"), [(1, [0]), (2, [0, 1]), (0, [0, 1, 2])])
def test_validation_reads_the_views_that_are_embedded_of_val_videos_once(
    make_cache: MakeCache, tmp_path: Path, test_views: int, views: list[int]
) -> None:
    cache = CountingCache.open(make_cache(tmp_path / "cache.zarr", views=3).path)
    config = small_config(test_views=test_views)
    validate = make_validation(MapSource(cache), config, ScoreConfig())
    assert "reads" not in vars(cache)
    assert validate is not None and 0 <= validate(small_encoder(config)) <= 100
    assert sorted(vars(cache)["reads"]) == [(int(row), view) for row in cache.rows("val") for view in views]


def test_the_splits_that_the_cache_is_seen_with_count(make_cache: MakeCache, tmp_path: Path) -> None:
    stored = CountingCache.open(make_cache(tmp_path / "cache.zarr").path)
    cache = stored.with_splits({name: "val" if name in "abf" else "base" for name in "abcdefg"})
    validate = make_validation(MapSource(cache), small_config(), ScoreConfig())
    assert validate is not None
    assert validate.case == "3-way 1-shot"  # val_way is 5, and there are 3 classes
    validate(small_encoder(small_config()))
    assert {cache.videos.label[row] for row, _ in vars(cache)["reads"]} == {"a", "b", "f"}
    alone = stored.with_splits(dict.fromkeys("abcdef", "base") | {"g": "val"})
    assert make_validation(MapSource(alone), small_config(), ScoreConfig()) is None


def test_batches_are_put_together_in_their_order() -> None:
    parts = [
        EmbeddedBatch({"global": torch.full((count, 2), float(count))}, np.full((count, 3), count, np.float32))
        for count in (1, 3, 2)
    ]
    whole = concatenate(parts)
    assert whole.arrays["global"][:, 0].tolist() == whole.mean_map[:, 0].tolist() == [1, 3, 3, 3, 2, 2]


def test_the_accuracy_without_training_is_that_of_the_mean_maps(make_cache: MakeCache, tmp_path: Path) -> None:
    """Against a loop over the same episodes, whose queries and supports of a class share no group. Maps are noise."""
    cache, noise = make_cache(tmp_path / "cache.zarr"), np.random.default_rng(0).normal(size=(28, 4, 4, 12))
    cache.write([MapRecord(row, maps.astype(np.float16), source=Source(f"n{row}")) for row, maps in enumerate(noise)])
    validate = make_validation(MapSource(cache), small_config(), ScoreConfig())
    assert validate is not None
    rows = cache.rows("val")
    means = [cache.maps(int(row)).astype(np.float64).mean(axis=(0, 1)) for row in rows]
    labels = [cache.videos.label[row] for row in rows]
    groups = [cache.videos.group[row] for row in rows]
    episodes = draw_for_choice(labels, groups, shot=1, way=2, episodes=20)
    assert episodes is not None
    right = []
    for support, query in zip(episodes.support, episodes.query, strict=True):
        assert all(groups[one] != groups[other] for one, other in zip(support[:, 0], query[:, 0], strict=True))
        for place, row in enumerate(query[:, 0]):
            cosines = [
                means[row] @ means[other] / np.linalg.norm(means[row]) / np.linalg.norm(means[other])
                for other in support[:, 0]
            ]
            right.append(int(np.argmax(cosines)) == place)
    assert validate.untrained == pytest.approx(100 * np.mean(right)) and 0 < np.mean(right) < 1


@pytest.mark.parametrize(
    ("on", "levels"),
    [
        (("cross_entropy",), ("global",)),
        (("cross_entropy", "temporal_cycle"), ("global", "temporal")),
        (("spatial_contrast",), ("spatial",)),
        (TERMS, LEVELS),
    ],
)
def test_the_levels_that_choose_the_epoch_are_the_trained_ones(
    make_cache: MakeCache, tmp_path: Path, on: tuple[str, ...], levels: tuple[str, ...]
) -> None:
    """Against a loop over the same episodes; each level is drawn, so that each gives another accuracy."""
    cache = make_cache(tmp_path / "cache.zarr")
    config = small_config(**{term: term in on for term in TERMS}, val_episodes=60)
    generator = torch.Generator().manual_seed(0)
    random = [torch.randn(8, *shape, 16, generator=generator) for shape in ((), (6,), (4, 4))]
    frames = tuple((one, other) for one in range(4) for other in range(one + 1, 4))
    drawn = Embeddings(random[0], random[1], random[2].half().float(), frames)
    validate = make_validation(MapSource(cache), config, ScoreConfig())
    assert validate is not None

    class Drawn(VideoEncoder):
        def forward(self, maps: torch.Tensor, text: torch.Tensor | None = None) -> Embeddings:
            return drawn

    encoder = Drawn(config, channels=12, frames=4, patches=4, classes=3, text_width=5)
    scores = match(drawn, drawn)
    parts = {"global": scores.global_, "temporal": scores.temporal, "spatial": scores.spatial}
    table = torch.stack([parts[level] for level in levels]).sum(dim=0).numpy()
    rows = cache.rows("val")
    labels, groups = (getattr(cache.videos.take(rows), name) for name in ("label", "group"))
    episodes = draw_for_choice(labels, groups, shot=1, way=2, episodes=60)
    assert episodes is not None
    right = [
        int(np.argmax(table[row, support[:, 0]])) == place
        for support, query in zip(episodes.support, episodes.query, strict=True)
        for place, row in enumerate(query[:, 0])
    ]
    assert validate(encoder) == pytest.approx(100 * np.mean(right))
