"""The commands of training: every setting is an option, in groups that can be read."""

from dataclasses import fields

import click
import pytest
from click.testing import CliRunner

from hcl.extract.commands import RAY_NAMES
from hcl.extract.system.settings import GROUPS
from hcl.train.commands import ABLATED, ablate, crossval, train
from hcl.train.config import TrainConfig
from hcl.train.studies.folds import CrossvalConfig

SETTINGS = {field.name for field in fields(TrainConfig)}
FOLDS = {field.name for field in fields(CrossvalConfig)}


@pytest.mark.parametrize(
    ("command", "settings", "own"),
    [
        (train, SETTINGS, {"caches", "run", "splits", "merge_classes", "train_on"}),
        (crossval, (SETTINGS - {"seed"}) | FOLDS, {"cache", "out", "json_file", "markdown"}),
        (
            ablate,
            (SETTINGS - {"seed", *ABLATED}) | FOLDS,
            {"cache", "out", "json_file", "markdown", "tables", "others"},
        ),
    ],
)
def test_every_setting_is_an_option(command: click.Command, settings: set[str], own: set[str]) -> None:
    episodes = {*RAY_NAMES, "n_way", "shots", "n_query", "episodes", "group_disjoint", "split", "min_videos"}
    assert {option.name for option in command.params} == settings | own | (set() if command is train else episodes)


def test_the_help_shows_few_settings_before_the_many_and_the_values_of_both_presets() -> None:
    shown = CliRunner().invoke(train, ["--help"], terminal_width=200).output
    places = [shown.index(f"\n{title}:\n") for title in GROUPS]
    assert places == sorted(places)
    first = shown[: places[-1]]
    assert all(f"--{name}" in first for name in ("preset", "method", "splits", "epochs", "learning-rate", "device"))
    assert first.count("\n  --") < shown[places[-1] :].count("\n  --")
    assert "[quick: 8]  [paper: 15]" in first


def test_an_option_that_is_left_out_keeps_the_value_of_the_preset() -> None:
    context = train.make_context("train", ["cache.zarr", "--epochs", "2", "--no-motion", "--clip-sizes", "2,3"])
    given = {name: value for name, value in context.params.items() if name in SETTINGS and value is not None}
    assert given == {"epochs": 2, "motion": False, "clip_sizes": (2, 3)}


@pytest.mark.parametrize(("command", "folder"), [(crossval, "crossval"), (ablate, "ablation")])
def test_each_study_has_a_folder_of_its_own(command: click.Command, folder: str) -> None:
    (out,) = (option for option in command.params if option.name == "out")
    assert out.default == folder


def test_auto_leaves_the_sizes_of_folds_to_the_classes() -> None:
    context = crossval.make_context("crossval", ["cache.zarr", "--novel", "auto", "--val", "0", "--seeds", "0,1"])
    config = {name: context.params[name] for name in FOLDS}
    assert CrossvalConfig(**config) == CrossvalConfig(novel=None, val=0, folds=None, seeds=(0, 1))
