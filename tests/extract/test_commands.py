"""The commands of this stage: what they print, and their exit codes."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from hcl.extract.cache.formats import open_cache
from hcl.extract.commands import convert, demo_videos, extract
from hcl.extract.config import ExtractConfig
from hcl.extract.system.errors import InputError

COMMANDS = [extract, convert, demo_videos]


@pytest.fixture
def small(small_weights: Path) -> list[str]:
    """Options of an extraction that takes milliseconds a video."""
    options = ["--split-policy", "all-novel", "--no-text", "--size", "64", "--workers", "1", "--precision", "float32"]
    return [*options, "--weights", str(small_weights)]


def test_videos_are_forecast_extracted_and_converted(tmp_path: Path, small: list[str], write_video: Any) -> None:
    runner, videos, cache = CliRunner(), str(tmp_path / "videos"), str(tmp_path / "cache.zarr")
    write_video(tmp_path / "videos" / "nod" / "0.mp4")
    told = runner.invoke(extract, [videos, cache, *small, "--dry-run"])
    assert told.exit_code == 0 and "1 videos to read" in told.output and not (tmp_path / "cache.zarr").exists()
    done = runner.invoke(extract, [videos, cache, *small])
    assert done.exit_code == 0 and "1 videos extracted, 0 already cached" in done.output
    again = runner.invoke(extract, [videos, cache, *small, "--repair"])
    assert again.exit_code == 0 and "0 videos extracted, 1 already cached" in again.output
    copied = runner.invoke(convert, [cache, str(tmp_path / "cache.h5")])
    assert copied.exit_code == 0 and "1 of 1 videos" in copied.output
    assert open_cache(str(tmp_path / "cache.h5")).identity == open_cache(cache).identity


def test_broken_videos_make_exit_code_1_and_are_named(tmp_path: Path, small: list[str], write_video: Any) -> None:
    write_video(tmp_path / "videos" / "nod" / "0.mp4")
    (tmp_path / "videos" / "nod" / "1.mp4").write_bytes(b"no video")
    done = CliRunner().invoke(extract, [str(tmp_path / "videos"), str(tmp_path / "cache.zarr"), *small])
    assert done.exit_code == 1 and "1 videos failed" in done.output and "nod/1.mp4: " in done.output


def test_the_demo_names_the_next_command(tmp_path: Path) -> None:
    options = ["--classes", "1", "--videos-per-class", "1", "--workers", "1"]
    done = CliRunner().invoke(demo_videos, [str(tmp_path / "demo"), *options])
    assert done.exit_code == 0 and f"hcl extract {tmp_path / 'demo' / 'manifest.csv'}" in done.output
    assert f"{tmp_path / 'demo'}: 1 videos generated; next:" in done.output


def test_a_demo_set_that_is_there_is_told(tmp_path: Path) -> None:
    arguments = [str(tmp_path / "demo"), "--workers", "1", "--videos-per-class", "1", "--classes"]
    CliRunner().invoke(demo_videos, [*arguments, "2"])
    done = CliRunner().invoke(demo_videos, [*arguments, "1"])
    assert "0 videos generated, 2 were there already" in done.output
    assert (
        "1 of them are of an earlier call that asked for more; for a set without them name a new folder" in done.output
    )


def test_a_refused_extraction_leaves_nothing(tmp_path: Path, small: list[str]) -> None:
    result = CliRunner().invoke(extract, [str(tmp_path / "nowhere"), str(tmp_path / "c.zarr"), *small])
    assert isinstance(result.exception, InputError) and list(tmp_path.glob("c.zarr*")) == []


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(extract, [str(tmp_path), str(tmp_path / "c.zarr"), "--frames", "0"])
    assert isinstance(result.exception, InputError) and "--frames must be at least 1" in str(result.exception)


def test_every_setting_is_an_option_whose_default_is_that_of_the_configuration() -> None:
    options = {parameter.name: parameter for parameter in extract.params}
    for field in fields(ExtractConfig):
        assert options[field.name].default == field.default, field.name


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_option_has_help(command: click.Command) -> None:
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []
