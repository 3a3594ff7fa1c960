"""The settings of a training: the paper's figures, and what is refused."""

import subprocess
import sys
from dataclasses import fields

import pytest

from hcl.extract.system.errors import InputError
from hcl.extract.system.settings import setting_of
from hcl.train.config import TERMS, TrainConfig, preset_config


def test_paper_preset_has_the_figures_of_section_4_1() -> None:
    config = preset_config("paper")
    assert (config.classes_per_batch, config.videos_per_class) == (24, 2)
    assert (config.global_weight, config.temporal_weight, config.spatial_weight) == (0.5, 0.3, 0.3)
    assert (config.top_clips, config.top_patches) == (10, 10)
    assert (config.optimiser, config.learning_rate) == ("sgd", 0.001)
    assert (config.lr_step_size, config.lr_gamma) == (6, 0.5)
    assert (config.epochs, config.steps_per_epoch) == (15, 3000)
    assert config.clip_sizes == (2,)
    assert all(getattr(config, term) for term in TERMS)


def test_paper_preset_has_nothing_that_the_paper_has_not() -> None:
    config = preset_config("paper")
    assert (config.class_augmentation, config.finetune, config.test_views) == ("none", "none", 1)
    assert (config.cycle_temperature, config.patch_keep_rate) == (1, 1)
    assert (config.ema_decay, config.max_grad_norm, config.label_smoothing, config.channel_dropout) == (0, 0, 0, 0)
    assert not (config.normalise_maps or config.motion)


def test_quick_is_the_default() -> None:
    assert preset_config("quick") == TrainConfig()
    assert (TrainConfig().optimiser, TrainConfig().dim) == ("adamw", 256)


def test_overrides_win_and_none_keeps_the_preset() -> None:
    config = preset_config("paper", epochs=2, dim=None)
    assert (config.preset, config.epochs, config.dim) == ("paper", 2, preset_config("paper").dim)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("epochs", -1, "--epochs must be at least 0, got -1"),
        ("temperature", 0.0, "--temperature must be above 0"),
        ("learning_rate", float("nan"), "--learning-rate must be above 0, got nan"),
        ("weight_decay", float("nan"), "--weight-decay must be at least 0"),
        ("dropout", 1.0, "--dropout must be at least 0 and below 1, got 1.0"),
        ("optimiser", "adam", "--optimiser must be one of adamw, sgd"),
        ("heads", 7, "--dim must be a multiple of --heads"),
        ("clip_sizes", (2, 2), "such as 2 or 2,3"),
        ("clip_sizes", (), "such as 2 or 2,3"),
        ("videos_per_class", 0, "--videos-per-class must be at least 1"),
    ],
)
def test_bad_settings_are_refused_by_name(setting: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        preset_config("quick", **{setting: value})


def test_unknown_preset_and_no_term_at_all_are_refused() -> None:
    with pytest.raises(InputError, match="one of quick, paper"):
        preset_config("slow")
    with pytest.raises(InputError, match="leave on at least one"):
        preset_config("quick", **dict.fromkeys(TERMS, False))


def test_reading_the_settings_loads_no_torch() -> None:
    code = "import sys, hcl.train.config; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_setting_has_help_and_its_presets_are_allowed() -> None:
    for field in fields(TrainConfig):
        known = setting_of(field)
        assert known is not None and known.help.endswith("."), field.name
        assert known.presets.keys() <= {"paper"} and all(value != field.default for value in known.presets.values())
