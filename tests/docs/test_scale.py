"""What an archive costs: the figures of docs/scale.md are those that benchmarks/scale.py prints, and are products."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SIZES = (1e6, 1e8)


@pytest.fixture(scope="module")
def scale() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scale", ROOT / "benchmarks" / "scale.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scale"] = module  # which its dataclasses look up
    spec.loader.exec_module(module)
    return module


def values(scale: ModuleType, videos: float, **costs: float) -> dict[str, float]:
    lines = [line for lines in scale.TABLES.values() for line in lines]
    return {f"{line.name} {line.unit}".strip(): line.value(videos, scale.Costs(**costs)) for line in lines}


def test_the_page_shows_what_the_script_prints(scale: ModuleType) -> None:
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    for lines in scale.TABLES.values():
        assert scale.table(lines, SIZES, scale.Costs()) in page
    assert f"{scale.feeding_rate(scale.Costs()):.1f} GB/s" in page
    for name, default in scale.Costs.__dataclass_fields__.items():
        assert f"| `--{name.replace('_', '-')}` | {default.default:g} |" in page, name


def test_the_figures_are_products(scale: ModuleType) -> None:
    costs = {"cache_bytes": 2e6, "gb_month": 0.5, "gpu_videos": 10.0, "gpu_hour": 2.0, "shard_videos": 8.0}
    training = {"epochs": 3.0, "labelled": 0.5, "step_videos": 10.0, "step_seconds": 0.1}
    found = values(scale, 3600, **costs, **training, pair_seconds=1e-3, listed_seconds=1e-3, short_list=100)
    assert found["cache GB"] == pytest.approx(7.2) and found["cache, a month $"] == pytest.approx(3.6)
    assert found["objects of the cache, in shards"] == 900 and found["objects of the cache, a file a chunk"] == 7200
    assert found["extraction GPU hours"] == pytest.approx(0.1) and found["extraction $"] == pytest.approx(0.2)
    assert found["training GPU hours"] == pytest.approx(3600 * 0.5 * 3 / 10 * 0.1 / 3600)
    assert found["read for it GB"] == pytest.approx(5400 * 2e6 / 1e9)
    assert found["a query against all, all levels s"] == pytest.approx(3.6)
    assert found["its second stage, whatever the archive s"] == pytest.approx(0.1)
    assert found["all pairs, all levels years"] == pytest.approx(3600 * 3599 / 2 * 1e-3 / 3600 / 24 / 365)
    feeding = scale.feeding_rate(scale.Costs(cache_bytes=2e6, step_videos=10.0, step_seconds=0.1))
    assert feeding == pytest.approx(0.2)


def test_figures_grow_with_videos(scale: ModuleType) -> None:
    one, many = values(scale, 1e6), values(scale, 1e8)
    quadratic = many["all pairs, all levels years"] / one["all pairs, all levels years"]
    assert quadratic == pytest.approx(1e4, rel=1e-3)
    fixed = "its second stage, whatever the archive s"
    assert many.pop(fixed) == one.pop(fixed)
    for name in one.keys() - {"all pairs, all levels years"}:
        assert many[name] == pytest.approx(100 * one[name]), name


@pytest.mark.parametrize(("name", "value"), [("gpu_hour", -1.0), ("shard_videos", 0.0), ("gpu_videos", 0.0)])
def test_costs_that_say_nothing_are_refused(scale: ModuleType, name: str, value: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        scale.Costs(**{name: value})


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.0391, "0.039"), (1, "1"), (9.26, "9.3"), (1234567, "1,200,000"), (27.4, "27")]
)
def test_figures_show_two_digits(scale: ModuleType, value: float, text: str) -> None:
    assert scale.shown(value) == text


def test_the_readers_own_costs_are_options() -> None:
    words = ("--videos", "1000", "--gpu-hour", "100", "--gpu-videos", "1")
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "scale.py"), *words], capture_output=True, text=True, check=True
    )
    assert "1,000 videos" in done.stdout and "| 28 " in done.stdout
