"""Runs in a bucket: trained from a cache in a bucket, resumed, described, evaluated; the same as in a folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hcl.extract.cache.formats import convert
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.system.places.location import place_of
from hcl.match.config import EpisodeConfig, EvaluationConfig
from hcl.match.evaluation.evaluate import evaluate
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.train.fitting import loop
from hcl.train.fitting.checkpoint import save_checkpoint
from hcl.train.runs.embed_cache import embed_cache
from hcl.train.runs.inspection import describe
from hcl.train.runs.run_folder import load_encoder
from hcl.train.runs.running import train
from hcl.train.studies.crossval import cross_validate
from hcl.train.studies.folds import CrossvalConfig

QUICK = {
    "start": "maps",
    "normalise_maps": False,
    "dim": 16,
    "heads": 2,
    "mlp_dim": 16,
    "epochs": 2,
    "steps_per_epoch": 3,
    "val_episodes": 20,
    "device": "cpu",
}


@pytest.fixture
def cache(tmp_path: Path, bucket: str, make_cache: Callable[..., ZarrCache]) -> str:
    """The URL of a cache; the same one is in the folder."""
    convert(make_cache(tmp_path / "cache.zarr").path, f"{bucket}/cache.zarr")
    return f"{bucket}/cache.zarr"


@pytest.mark.each_cloud
def test_a_run_in_a_bucket_interrupted_or_not_is_the_run_in_a_folder(
    tmp_path: Path, bucket: str, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(file: Path, state: dict[str, Any]) -> None:
        save_checkpoint(file, state)
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    run = f"{bucket}/runs/a"
    train("cache.zarr", run="run", preset="quick", settings=QUICK, latest=False)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt, match=f"--run {run}"):
        patched.setattr(loop, "save_checkpoint", interrupted)
        train(cache, run=run, preset="quick", settings=QUICK)
    assert describe(run).facts["state"].startswith("unfinished")
    assert str(train(cache, run=run)).startswith(
        f"{run}: trained, 16 val and novel videos embedded; next: hcl evaluate"
    )
    assert not (tmp_path / "runs").exists() and not (tmp_path / "s3:").exists()
    weights = [load_encoder(one).state_dict() for one in ("run", run)]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])
    local, remote = (EmbeddingStore.open(place_of(one) / "embeddings.zarr") for one in ("run", run))
    assert local.identity == remote.identity and describe(run, verify=True).all_damaged == ()
    of_runs = [evaluate(one, episodes=50, way=2).to_dict()["levels"] for one in ("run", run)]
    assert of_runs[0] == of_runs[1]
    embed_cache(cache, f"{bucket}/all.zarr", run=run)
    assert len(EmbeddingStore.open(f"{bucket}/all.zarr").videos) == 28
    assert sorted(each.name for each in place_of(bucket).iterdir()) == ["all.zarr", "cache.zarr", "runs"]
    assert any(each.name.startswith("events") for each in (place_of(run) / "tensorboard").iterdir())


def test_a_study_keeps_its_runs_in_a_bucket(bucket: str, cache: str) -> None:
    config = CrossvalConfig(novel=2, val=2, folds=1)
    episodes, plan = EpisodeConfig(n_way=2, episodes=10), EvaluationConfig(shots=(1,))
    settings = {**QUICK, "epochs": 1, "steps_per_epoch": 1, "tracker": "none"}
    folder = place_of(f"{bucket}/study")
    found = [
        cross_validate(place_of(cache), folder, config, episodes, plan, settings, preset="quick") for _ in range(2)
    ]  # the second time nothing is trained
    assert found[0].to_dict() == found[1].to_dict()
    assert sorted(each.name for each in folder.iterdir()) == ["fold0-seed0", "fold0.csv"]
