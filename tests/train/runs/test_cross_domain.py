"""A run is evaluated on another cache, without the classes that it was trained on under another name."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hcl.cli import main
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.benchmarks.coverage import Coverage
from hcl.extract.catalog.benchmarks.listing import Listed, Listing, read_listing
from hcl.extract.system.errors import InputError
from hcl.match.commands import evaluate as bare_evaluate
from hcl.match.episodes.class_overlap import centred_cosines
from hcl.match.evaluation.evaluate import evaluate
from hcl.match.reports.report import as_text
from hcl.match.store.locate import STORE
from hcl.train.runs.cross_domain import store_on, text_cosines, trained_names
from hcl.train.runs.inspection import describe
from hcl.train.runs.run_folder import read_config
from hcl.train.runs.running import TrainedRun

MakeCache = Callable[..., ZarrCache]
Train = Callable[..., TrainedRun]
HERE = {"wave": "base", "jump": "base", "clap": "base", "d": "val", "e": "val", "f": "novel", "g": "novel"}
OTHER = dict.fromkeys(("waving", "Jump", "kick", "sit", "throw"), "novel") | {"v": "val", "clap": "base"}


def listed_as_benchmark(cache: ZarrCache) -> None:
    """Let a cache hold a benchmark, of which it lacks one video."""
    benchmark = read_listing("ucf-arn").benchmark
    table = zip(cache.videos.split, cache.videos.label, cache.videos.path, strict=True)
    last = max(label for label, split in cache.class_splits.items() if split == "novel")
    videos = [Listed(split, label, f"{label}/{path.replace('/', ' ')}") for split, label, path in table]
    cache.set_benchmark(Listing(benchmark, (*videos, Listed("novel", last, f"{last}/gone")), "here"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, make_cache: MakeCache, small_train: Train) -> Path:
    """A folder with a run on a cache, and another cache, both without texts."""
    folder = tmp_path_factory.mktemp("cross")
    cache = make_cache(folder / "cache.zarr", splits=HERE, text=False)
    listed_as_benchmark(cache)
    small_train(cache, folder / "run")
    other = make_cache(folder / "other.zarr", splits=OTHER, text=False, seed=3, content="o")
    listed_as_benchmark(other)
    return folder


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_overlapping_classes_are_left_out_and_a_file_decides(trained: Path, tmp_path: Path, said: list[str]) -> None:
    asked = ("evaluate", trained / "run", "--on", trained / "other.zarr", "--episodes", 10)
    file = tmp_path / "overlap.csv"
    printed = run(*asked, "--way", 3, "--overlap", file)
    assert "left out, since the run was trained on these classes: Jump, waving" in printed
    assert "same name" in printed and "nearly the same name" in printed and "12 novel videos of 3 classes" in printed
    assert "novel 20 of 21 videos; incomplete" in printed and "missing or unreadable: waving 1 of 5" in printed
    assert any("told by their names alone" in line for line in said)
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [(row["label"], row["leave_out"]) for row in rows] == [("Jump", "yes"), ("waving", "yes")]

    (store,) = (trained / "run" / "on").glob("*.zarr")
    written = store.stat().st_mtime_ns
    file.write_text(file.read_text().replace("waving,wave,nearly the same name,,yes", "waving,wave,no,,no"))
    assert "16 novel videos of 4 classes" in run(*asked, "--way", 4, "--overlap", file)
    assert "20 novel videos of 5 classes" in run(*asked, "--way", 5, "--keep-trained-classes")
    assert store.stat().st_mtime_ns == written and store.name.startswith("other-novel-"), "it is embedded once"


def test_python_gives_the_same_and_the_stores_say_how_complete_they_are(trained: Path) -> None:
    store = store_on(trained / "run", trained / "other.zarr", device="cpu")
    assert set(store.videos.split) == {"novel"} and store.trained_classes == ("Jump", "waving")
    evaluation = evaluate(store, way=3, episodes=10)
    assert evaluation.class_names == ("kick", "sit", "throw") and evaluation.left_out.trained == ("Jump", "waving")
    assert "| waving" in as_text(evaluation) and evaluation.to_dict()["origin"]["overlap"][0]["label"] == "Jump"
    told = evaluation.to_dict()["benchmark"]
    assert told["name"] == "ucf-arn" and not told["complete_novel"] and told["missing"] == {"waving": 1}
    assert told["videos"]["novel"] == {"present": 20, "listed": 21}
    own = describe(trained / "run")
    assert own.store is not None and isinstance(own.store.coverage, Coverage)
    assert own.store.coverage.totals("base") == (12, 12), "of the cache, not of the videos that were embedded"
    assert "benchmark ucf-arn: base 12 of 12" in str(describe(trained / "cache.zarr"))


def test_a_cache_that_moved_or_a_store_for_a_run_is_told(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--on embeds by an encoder, so name the folder of a run"):
        store_on(trained / "run" / STORE, trained / "other.zarr")
    with pytest.raises(InputError, match="holds no finished val videos|no finished"):
        shutil.copytree(trained / "other.zarr", tmp_path / "c.zarr")
        ZarrCache.open(tmp_path / "c.zarr", mode="r+")._update("status", np.arange(28), [0] * 28)
        store_on(trained / "run", tmp_path / "c.zarr", split="val", device="cpu")
    result = CliRunner().invoke(main, ["evaluate", "--overlap", "x.csv"])
    assert result.exit_code == 2 and "--overlap goes with --on" in result.output
    result = CliRunner().invoke(bare_evaluate, ["--on", "x.zarr"])
    assert result.exit_code == 2 and "`hcl evaluate` alone can" in result.output


def test_texts_of_both_caches_tell_meanings(trained: Path, make_cache: MakeCache, tmp_path: Path) -> None:
    cache, other = make_cache(tmp_path / "a.zarr", splits=HERE), make_cache(tmp_path / "b.zarr", splits=OTHER, seed=4)
    config = read_config(trained / "run")
    assert trained_names(config) == ("wave", "jump", "clap")
    config.cache["path"] = str(tmp_path / "a.zarr")
    first, second = cache.text_embeddings, other.text_embeddings
    assert first is not None and second is not None
    expected = centred_cosines(second[[2, 3]], first[:3])
    found = text_cosines(("kick", "sit"), trained_names(config), config, other)
    assert found is not None
    np.testing.assert_allclose(found, expected, atol=1e-6)
    config.cache["path"] = str(tmp_path / "gone.zarr")
    config.cache["paths"] = {"A": str(tmp_path / "a.zarr")}  # of a run on several sets
    of_sets = text_cosines(("kick", "sit"), trained_names(config), config, other)
    assert of_sets is not None and np.array_equal(of_sets, found)
    del config.cache["paths"]
    assert text_cosines(("kick", "sit"), trained_names(config), config, other) is None
