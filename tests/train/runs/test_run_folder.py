"""Runs are read back as they were written, and refused by name when they cannot be."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.system.errors import InputError
from hcl.match.embeddings import Embeddings
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE
from hcl.train.config import TrainConfig
from hcl.train.runs.planning import make_run_config
from hcl.train.runs.run_folder import (
    CONFIG,
    WEIGHTS,
    RunConfig,
    load_encoder,
    read_config,
    write_config,
)
from hcl.train.runs.running import TrainedRun

MakeCache = Callable[..., ZarrCache]
Train = Callable[..., TrainedRun]


def test_damaged_runs_are_named(small_train: Train, make_cache: MakeCache, here: Path) -> None:
    small_train(make_cache(here / "cache.zarr"), here / "one")
    shutil.copytree(here / "one", here / "two")
    (here / "one" / WEIGHTS).write_bytes(b"nonsense")
    with pytest.raises(InputError, match="weights that do not fit"):
        load_encoder(here / "one")
    (here / "two" / CONFIG).write_text("{}")
    with pytest.raises(InputError, match="not the settings of a run"):
        load_encoder(here / "two")
    with pytest.raises(InputError, match="not a run"):
        load_encoder(here)


def test_settings_are_read_back_as_they_were_written(make_cache: MakeCache, here: Path) -> None:
    config = make_run_config(make_cache(here / "cache.zarr"), TrainConfig(clip_sizes=(2, 3)))
    write_config(here / "run", config)
    assert read_config(str(here / "run")) == config
    stored = json.loads((here / "run" / CONFIG).read_text())
    assert stored["splits"]["d"] == "val" and RunConfig.from_dict(stored) == config


def test_runs_of_another_version_are_refused_with_the_remedy(make_cache: MakeCache, here: Path) -> None:
    config = make_run_config(make_cache(here / "cache.zarr"), TrainConfig())
    write_config(here / "run", config)
    stored = json.loads((here / "run" / CONFIG).read_text())
    for changes, message in (
        (
            {"schema_version": 1, "hcl": "0.1.0"},
            r"a run of hcl 0.1.0 \(schema hcl-run version 1\); .* reads version 5; train",
        ),
        ({"training": stored["training"] | {"invented": 1}, "hcl": "9"}, "invented.*it was written by hcl 9: use that"),
    ):
        (here / "run" / CONFIG).write_text(json.dumps(stored | changes))
        with pytest.raises(InputError, match=message):
            load_encoder(here / "run")


def test_an_untrained_run_has_no_encoder_yet(make_cache: MakeCache, here: Path) -> None:
    write_config(here / "run", make_run_config(make_cache(here / "cache.zarr"), TrainConfig()))
    with pytest.raises(InputError, match="not trained to its end; let it finish with: hcl train CACHE --run"):
        load_encoder(here / "run")


@pytest.mark.parametrize("method", ["hcl", "protonet", "resnet"])
def test_a_loaded_encoder_embeds_maps_without_more(
    small_train: Train, make_cache: MakeCache, here: Path, method: str
) -> None:
    cache = make_cache(here / "cache.zarr")
    small_train(cache, here / "one", epochs=1, method=method)
    encoder = load_encoder(str(here / "one"))
    assert not encoder.training and encoder.run_config == read_config(here / "one")
    maps = torch.from_numpy(np.stack([cache.maps(row) for row in (3, 26)]))
    with torch.inference_mode():
        embeddings = encoder(maps)
    if method == "hcl":
        assert isinstance(embeddings, Embeddings) and embeddings.global_.shape == (2, 16)
        store = EmbeddingStore.open(here / "one" / STORE)
        place = store.videos.path.index(cache.videos.path[26])
        torch.testing.assert_close(
            embeddings.clips[1:], store.embeddings(np.array([place])).clips, rtol=1e-4, atol=1e-5
        )
    else:
        assert set(embeddings) == ({"global"} if method == "protonet" else set())
