"""The forecast says what an extraction would take, and writes nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from hcl.extract.config import ExtractConfig
from hcl.extract.pipeline.dry_run import describe_forecast, forecast
from hcl.extract.pipeline.extraction import extract
from hcl.extract.system.errors import InputError


def test_the_forecast_writes_nothing(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    before = sorted(tmp_path.rglob("*"))
    found = forecast(str(videos), str(tmp_path / "cache.zarr"), config)
    assert (found.to_read, found.cached, found.ignored) == (9, 0, 0) and found.seconds > 0
    assert "novel: 3 classes, 9 videos: clap (3), jump (3), nod (3)" in found.splits[2]
    assert found.to_dict()["to_read"] == 9
    assert sorted(tmp_path.rglob("*")) == before


def test_the_forecast_counts_the_bytes_of_all_views_and_differences(
    videos: Path, tmp_path: Path, config: ExtractConfig
) -> None:
    still = forecast(videos, tmp_path / "cache.zarr", replace(config, views=1, motion="none"))
    one = forecast(videos, tmp_path / "cache.zarr", replace(config, views=1))
    three = forecast(videos, tmp_path / "cache.zarr", replace(config, views=3))
    extract(videos, tmp_path / "cache.zarr", replace(config, views=3))
    assert (
        still.raw_bytes == 9 * 4 * 4 * 512 * 2
        and one.raw_bytes == 2 * still.raw_bytes
        and three.raw_bytes == 3 * one.raw_bytes
    )
    assert 0 < three.bytes_on_disk < three.raw_bytes
    done = forecast(videos, tmp_path / "cache.zarr", replace(config, views=3))
    assert (done.to_read, done.cached, done.raw_bytes, done.seconds) == (0, 9, 0, 0)


def test_the_forecast_counts_damaged_videos_where_they_are_repaired(
    videos: Path, tmp_path: Path, config: ExtractConfig
) -> None:
    path = tmp_path / "cache.zarr"
    extract(videos, path, config)
    (path / "maps" / "c" / "3" / "0" / "0" / "0").unlink()
    assert forecast(videos, path, config).to_read == 0
    assert forecast(videos, path, config, repair=True).to_read == 1


def test_the_forecast_is_refused_as_the_extraction_is(
    videos: Path, tmp_path: Path, small_config: ExtractConfig
) -> None:
    with pytest.raises(InputError, match="3 classes are too few to split"):
        forecast(videos, tmp_path / "cache.zarr", small_config)


def test_the_text_tells_every_number(videos: Path, tmp_path: Path, config: ExtractConfig) -> None:
    found = replace(
        forecast(videos, tmp_path / "cache.zarr", config),
        to_read=345,
        cached=678,
        ignored=91,
        bytes_on_disk=2_500_000_000,
        raw_bytes=7_000_000,
        seconds=600.0,
    )
    text = describe_forecast(found)
    for told in (*found.splits, "345 videos", "678 already cached", "91 other files", "2.5 GB", "7 MB", "10 min"):
        assert told in text
