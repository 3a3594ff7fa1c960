"""The paper's Tables 5 and 6: methods on a published benchmark and its split, beside the paper's numbers."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hcl.cli import main
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.benchmarks.definitions import DEFINED
from hcl.extract.catalog.benchmarks.listing import Listed, Listing
from hcl.match.config import ALL_LEVELS
from hcl.match.evaluation.evaluate import evaluate
from hcl.train.runs.run_folder import read_config
from hcl.train.studies.published import OF_BENCHMARKS, SYSTEMS

QUICK = "--dim 16 --heads 2 --mlp-dim 16 --epochs 1 --steps-per-epoch 2 --val-episodes 5 --device cpu --preset quick"
ASKED = ("--way", "2", "--episodes", "20", *QUICK.split())


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, make_cache: Callable[..., ZarrCache]) -> Path:
    """A cache that says that it holds HMDB-51, of which it lacks a video."""
    made = make_cache(tmp_path_factory.mktemp("published") / "hmdb.zarr")
    split = made.class_splits
    videos = [Listed(split[label], label, f"{label}/{row}") for row, label in enumerate(made.videos.label)]
    made.set_benchmark(Listing(DEFINED["hmdb-arn"], (*videos, Listed("novel", "g", "g/gone")), "here"))
    return made.path


def ablate(cache: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["ablate", str(cache), *options, *ASKED])


def test_methods_are_trained_on_the_published_split(cache: Path, tmp_path: Path) -> None:
    done = ablate(cache, "--table", "6", "--shot", "1,2", "--out", str(tmp_path), "--json", str(tmp_path / "t.json"))
    assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"
    assert "Table 6: methods on hmdb-arn, published split" in done.output
    assert "novel 8 of 9 videos; incomplete" in done.output
    (table,) = json.loads((tmp_path / "t.json").read_text())["tables"]
    rows = {row["row"]: row for row in table["rows"]}
    names = ["ResNet, no training", "ProtoNet", "TARN", "TRX", "HCL, all levels weighted", "HCL"]
    assert list(rows) == [name for name in names if name in rows] and {"ProtoNet", "TRX", "HCL"} <= set(rows)
    assert rows["TRX"]["paper"] == {"1": 52.0, "5": 75.6}
    assert "| TARN" in done.output and set(rows["TARN"]["shots"]) == {"1", "2"}
    for name, method, score in (("ProtoNet", "protonet", "protonet"), ("HCL", "hcl", ALL_LEVELS)):
        run = tmp_path / f"method-{method}" / "fold0-seed0"
        assert read_config(run).base_classes == ("a", "b", "c"), "the cache's own split"
        alone = evaluate(run, way=2, shot=(1, 2), episodes=20)
        for shot, outcome in zip(("1", "2"), alone.outcomes, strict=True):
            expected = outcome.accuracies[score].accuracy
            assert rows[name]["shots"][shot]["accuracy"]["mean"] == pytest.approx(expected)
    assert rows["HCL"]["shots"]["1"]["difference"]["mean"] == 0.0


def test_a_cache_of_another_set_is_refused_before_anything_is_trained(
    cache: Path, tmp_path: Path, make_cache: Callable[..., ZarrCache]
) -> None:
    refused = ablate(cache, "--table", "5,1", "--out", str(tmp_path / "out"))
    assert refused.exit_code == 2 and "holds the benchmark hmdb-arn, Table 5 is of kinetics-cmn" in refused.output
    plain = make_cache(tmp_path / "plain.zarr")
    refused = ablate(plain.path, "--table", "6", "--out", str(tmp_path / "out"))
    assert refused.exit_code == 2 and "holds no published benchmark" in refused.output
    refused = ablate(cache, "--table", "6,9", "--out", str(tmp_path / "out"))
    assert refused.exit_code == 2 and "got 9" in refused.output and not (tmp_path / "out").exists()


def test_each_benchmark_of_a_table_has_the_papers_own_row() -> None:
    *_, ours = SYSTEMS
    assert set(ours.paper) == {name for names in OF_BENCHMARKS.values() for name in names} == set(DEFINED)
    assert all(set(system.paper) <= set(DEFINED) for system in SYSTEMS)
