"""What is settled before a video is read: one cache holds maps of one kind alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.config import DEFAULTS, ExtractConfig
from hcl.extract.pipeline.dry_run import forecast
from hcl.extract.pipeline.extraction import extract
from hcl.extract.pipeline.preparation import choose_backbone, prepare, refuse_other_settings
from hcl.extract.system.errors import InputError


def test_other_views_are_refused_side_by_side(tmp_path: Path) -> None:
    plain: dict[str, Any] = {"frames": 8, "split_origin": "given"}
    views = plain | {"views": 2, "view_seed": 0, "flip": False}
    for then, now, message in (
        (plain, plain | {"cache_dtype": "uint8"}, "cache_dtype float16 there, uint8 now"),
        (plain, plain | {"motion": "rgbdiff"}, "motion none there, rgbdiff now"),
        (plain, plain | {"exposure": "auto"}, "exposure none there, auto now"),
        (plain, views, "views 1 there, 2 now"),
        (views, plain, "views 2 there, 1 now"),
        (views, views | {"crops": "moving"}, "crops random there, moving now"),
        (views, views | {"view_seed": 1, "flip": True}, "view_seed 0 there, 1 now; flip False there, True now"),
    ):
        cache = ZarrCache.create(tmp_path / f"{message[:12]}.zarr", then, shape=(8, 4, 2))
        refuse_other_settings(cache, then | {"split_origin": "all-novel"})
        with pytest.raises(InputError, match=message):
            refuse_other_settings(cache, now)


def test_other_settings_are_refused_side_by_side(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    extract(videos, tmp_path / "cache.zarr", config)
    for begin in (extract, forecast):
        with pytest.raises(InputError, match="frames 4 there, 3 now; size 64 there, 96 now"):
            begin(videos, tmp_path / "cache.zarr", replace(config, frames=3, size=96))


def test_every_setting_of_a_cache_is_documented(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    document = (Path(__file__).parents[3] / "cache_schema.md").read_text(encoding="utf-8")
    settings = prepare(
        videos, tmp_path / "c.zarr", replace(config, views=2, cache_dtype="uint8"), choose_backbone
    ).settings
    assert {"backbone_layer", "cache_dtype", "split_origin", "views"} <= {*settings, *DEFAULTS}
    for name in {*settings, *DEFAULTS}:
        assert f"`{name}`" in document, name


def test_a_cache_decides_what_was_left_open(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    path = tmp_path / "cache.zarr"
    extract(videos, path, config)
    prepared = prepare(videos, path, replace(config, precision="auto"), choose_backbone)
    assert prepared.config.precision == "float32" and prepared.cache is not None
    assert prepared.settings == prepared.cache.settings and prepared.maps_shape == prepared.cache.shape
    assert prepared.plan.kept == 9 and not prepared.plan.pending
