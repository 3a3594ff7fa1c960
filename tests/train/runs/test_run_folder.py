"""Runs are read back as they were written, and refused by name when they cannot be."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.system.atomic import document_hash
from hcl.extract.system.errors import InputError
from hcl.match.embeddings import Embeddings
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE
from hcl.train.config import TrainConfig
from hcl.train.runs.file_hashes import SUMS, write_sums
from hcl.train.runs.planning import make_run_config
from hcl.train.runs.run_folder import (
    CONFIG,
    WEIGHTS,
    RunConfig,
    load_encoder,
    read_config,
    save_encoder,
    write_config,
)
from hcl.train.runs.running import TrainedRun

MakeCache = Callable[..., ZarrCache]
Train = Callable[..., TrainedRun]


def test_damaged_runs_are_named(small_train: Train, make_cache: MakeCache, here: Path) -> None:
    small_train(make_cache(here / "cache.zarr"), here / "one")
    shutil.copytree(here / "one", here / "two")
    (here / "one" / WEIGHTS).write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"encoder\.safetensors: damaged or changed: its SHA-256 "):
        load_encoder(here / "one")
    write_sums(here / "one", (WEIGHTS,))
    with pytest.raises(InputError, match="weights that do not fit"):
        load_encoder(here / "one")
    (here / "two" / CONFIG).write_text("{}")
    with pytest.raises(InputError, match="not the settings of a run"):
        load_encoder(here / "two")
    with pytest.raises(InputError, match="a folder of runs or stores .*; name one of them; expected a run"):
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
            r"a run of hcl 0.1.0 \(schema hcl-run version 1\); .* reads version 9; train",
        ),
        (
            {"training": stored["training"] | {"invented": 1}, "hcl": "9"},
            r"config\.json: no setting is called 'invented'; .*\(it was written by hcl 9\)",
        ),
    ):
        edit(here / "run", **stored | changes)
        with pytest.raises(InputError, match=message):
            load_encoder(here / "run")


def edit(run: Path, **changes: object) -> None:
    """Change config.json and prove it whole again, as a hostile writer can."""
    content = json.loads((run / CONFIG).read_text()) | changes
    (run / CONFIG).write_text(json.dumps(content | {"sha256": document_hash(content)}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cache": None}, "'cache' is null, expected an object"),
        ({"cache": {}}, "'path' of 'cache' is null, expected a text"),
        ({"cache": {"path": "c", "identity": "i", "settings": 3}}, "'settings' of 'cache' is 3, expected an object"),
        ({"base_classes": "abc"}, "'base_classes' is \"abc\", expected a list"),
        ({"training": {"dim": "16"}}, "setting 'dim' is '16', expected a whole number"),
        ({"training": {"dim": True}}, "setting 'dim' is True, expected a whole number"),
        ({"training": {"clip_sizes": [2, None]}}, r"setting 'clip_sizes' is \[2, None\], expected a list of whole"),
        ({"training": {"dim": 0}}, "--dim must be at least 1, got 0"),
        ({"training": {}}, "setting 'preset' is missing"),
    ],
)
def test_settings_of_the_wrong_kind_are_named(
    make_cache: MakeCache, here: Path, changes: dict[str, Any], message: str
) -> None:
    write_config(here / "run", make_run_config(make_cache(here / "cache.zarr"), TrainConfig()))
    stored = json.loads((here / "run" / CONFIG).read_text())
    if changes.get("training"):
        changes = {"training": stored["training"] | changes["training"]}
    edit(here / "run", **changes)
    with pytest.raises(InputError, match=rf"config\.json: {message}.*; restore the file or train the run anew$"):
        read_config(here / "run")


@pytest.mark.parametrize("place", range(0, 2000, 171))
def test_a_flipped_byte_of_the_settings_is_noticed(make_cache: MakeCache, here: Path, place: int) -> None:
    write_config(here / "run", make_run_config(make_cache(here / "cache.zarr"), TrainConfig()))
    content = bytearray((here / "run" / CONFIG).read_bytes())
    before = json.loads(content)
    content[place] ^= 1
    (here / "run" / CONFIG).write_bytes(content)
    if content[place] ^ 1 in b" \n" and content[place] in b" \t\n\r":
        assert json.loads(content) == before
        return
    with pytest.raises(InputError, match="run"):
        read_config(here / "run")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(
    small_train: Train, make_cache: MakeCache, here: Path, value: float
) -> None:
    small_train(make_cache(here / "cache.zarr"), here / "one", epochs=1)
    state = load_encoder(here / "one").state_dict()
    name = next(name for name, weight in state.items() if weight.ndim == 2)
    state[name][0, 0] = value
    save_encoder(here / "one", state)
    with pytest.raises(InputError, match=rf"encoder\.safetensors: {name} holds infinite or NaN weights; train"):
        load_encoder(here / "one")


def test_a_flipped_byte_of_the_weights_is_noticed(small_train: Train, make_cache: MakeCache, here: Path) -> None:
    small_train(make_cache(here / "cache.zarr"), here / "one", epochs=1)
    content = (here / "one" / WEIGHTS).read_bytes()
    for place in np.random.default_rng(0).integers(len(content), size=20).tolist():
        flipped = bytearray(content)
        flipped[place] ^= 1
        (here / "one" / WEIGHTS).write_bytes(flipped)
        with pytest.raises(InputError, match="is not the one in SHA256SUMS"):
            load_encoder(here / "one")
    (here / "one" / WEIGHTS).write_bytes(content)
    assert subprocess.run(["sha256sum", "-c", SUMS], cwd=here / "one", check=False).returncode == 0
    load_encoder(here / "one")
    (here / "one" / SUMS).unlink()
    with pytest.raises(InputError, match="expected encoder.safetensors and its hash in SHA256SUMS"):
        load_encoder(here / "one")


def test_a_run_that_leads_out_of_its_folder_is_refused(make_cache: MakeCache, here: Path) -> None:
    write_config(here / "run", make_run_config(make_cache(here / "cache.zarr"), TrainConfig()))
    (here / "mine.txt").write_text("mine")
    (here / "run" / "checkpoint.pt").symlink_to(here / "mine.txt")
    with pytest.raises(InputError, match=r"checkpoint\.pt: a link out of .*run to .*mine\.txt; put a copy"):
        read_config(here / "run")


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
