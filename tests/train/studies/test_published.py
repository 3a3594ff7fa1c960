"""The paper's Tables 5 to 7: methods on a published benchmark and its split, or across sets, beside its numbers."""

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
from hcl.train.runs.cross_domain import other_sets, store_on
from hcl.train.runs.run_folder import read_config
from hcl.train.studies.method_tables import runs_of_tables
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


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, make_cache: Callable[..., ZarrCache]) -> Path:
    """A cache of another set, of whose classes one is trained on, and another is called nearly alike."""
    splits = dict.fromkeys(("kick", "sit", "a", "throw"), "novel") | {"x": "base", "y": "val"}
    made = make_cache(tmp_path_factory.mktemp("across") / "other.zarr", splits=splits, seed=3, content="o", text=False)
    videos = [Listed(splits[label], label, f"{label}/{row}") for row, label in enumerate(made.videos.label)]
    made.set_benchmark(Listing(DEFINED["ucf-arn"], tuple(videos), "here"))
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
    assert [system.name for system in SYSTEMS if system.across] == ["MAML", "ProtoNet", "HCL"]


def test_across_sets_each_row_is_its_runs_own_evaluation_on_the_other(
    other: Path, tmp_path: Path, make_cache: Callable[..., ZarrCache]
) -> None:
    """Trained on Kinetics, tested on UCF-101 without the class that both have, beside the numbers of Table 7."""
    made = make_cache(tmp_path / "kinetics.zarr", text=False)
    videos = [Listed(made.class_splits[label], label, f"{label}/{row}") for row, label in enumerate(made.videos.label)]
    made.set_benchmark(Listing(DEFINED["kinetics-cmn"], tuple(videos), "here"))
    out = tmp_path / "out"
    asked = ("--table", "7", "--on", str(other), "--shot", "1,2", "--out", str(out), "--json", str(tmp_path / "t.json"))
    done = ablate(made.path, *asked)
    assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"
    assert "Table 7: methods trained on kinetics-cmn, on ucf-arn" in done.output
    assert "same name" in done.output and "left out" in done.output
    (table,) = json.loads((tmp_path / "t.json").read_text())["tables"]
    rows = {row["row"]: row for row in table["rows"]}
    assert list(rows) == ["ResNet, no training", "MAML", "ProtoNet", "HCL, all levels weighted", "HCL"]
    assert rows["MAML"]["paper"] == {"1": 62.4, "5": 80.7} and rows["HCL"]["paper"]["1"] == 76.1
    assert [pair["label"] for pair in table["overlap"]] == ["a"] and set(table["benchmarks"]) == {"trained_on", "on"}
    for name, method in (("MAML", "maml"), ("HCL", "hcl")):
        store = store_on(out / f"method-{method}" / "fold0-seed0", other, device="cpu")
        assert store.trained_classes == ("a",)
        alone = evaluate(store, way=2, shot=(1, 2), episodes=20)
        assert alone.class_names == ("kick", "sit", "throw")
        for shot, outcome in zip(("1", "2"), alone.outcomes, strict=True):
            expected = outcome.accuracies[ALL_LEVELS if name == "HCL" else method].accuracy
            assert rows[name]["shots"][shot]["accuracy"]["mean"] == pytest.approx(expected)
    planned = runs_of_tables((7,), made, other_sets(made, (other,), out, device="cpu"))
    assert set(planned) == {run.name for run in out.iterdir() if run.is_dir()}, "known before anything is trained"
    file = out / "overlap-other.csv"
    file.write_text(file.read_text().replace(",yes", ",no"))
    again = json.loads((tmp_path / "t.json").read_text()) if ablate(made.path, *asked).exit_code == 0 else {}
    assert not any(pair["leave_out"] for pair in again["tables"][0]["overlap"]), "the file decides"


def test_table_7_and_other_sets_go_together_and_what_cannot_be_is_refused_before_training(
    cache: Path, other: Path, tmp_path: Path, make_cache: Callable[..., ZarrCache]
) -> None:
    out = ("--out", str(tmp_path / "out"))
    for asked in (("--table", "7"), ("--table", "6", "--on", str(other))):
        refused = ablate(cache, *asked, *out)
        assert refused.exit_code == 2 and "evaluates on another set, which --on names" in refused.output
    refused = ablate(cache, "--table", "7", "--on", str(other), "--on", str(other), *out)
    assert refused.exit_code == 2 and "two caches are called other" in refused.output
    moving = make_cache(tmp_path / "moving.zarr", motion="rgbdiff")
    refused = ablate(cache, "--table", "7", "--on", str(moving.path), *out)
    assert refused.exit_code == 2 and "other maps: motion" in refused.output and not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "overlap-other.csv").write_text("label,leave_out\na,yes\nkick,yes\nsit,yes\n")
    plain = make_cache(tmp_path / "plain.zarr", text=False)
    refused = ablate(plain.path, "--table", "7", "--on", str(other), *out)
    assert refused.exit_code == 2 and "without the classes of" in refused.output and "--way" in refused.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["overlap-other.csv"]
