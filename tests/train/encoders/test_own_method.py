"""A method of another package: it is trained, validated, stored, evaluated and compared like the shipped ones."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from click.testing import CliRunner

from hcl.cli import main
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.system.errors import InputError
from hcl.match.evaluation.evaluate import evaluate
from hcl.match.methods.registry import find_method
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE
from hcl.train.config import TrainConfig
from hcl.train.encoders.baseline_encoder import BaselineEncoder
from hcl.train.losses.episodic import episodic_loss, method_loss

MODULE = """
import torch
from torch import nn


class Changes(nn.Module):
    def __init__(self, frames, width):
        super().__init__()
        self.linear = nn.Linear(width, 5)

    def forward(self, frame_embeddings):
        embedded = self.linear(frame_embeddings)
        return {"first": embedded[:, 0], "changes": embedded.diff(dim=1)}


class Mine:
    axes = {"first": ("video", "mood"), "changes": ("video", "step", "mood")}
    pairwise = False

    def class_scores(self, queries, supports):
        scores = 0
        for name in self.axes:
            prototypes = supports[name].mean(dim=-2 - (name == "changes"))
            differences = queries[name].unsqueeze(-2 - (name == "changes")) - prototypes.unsqueeze(
                -3 - (name == "changes")
            )
            scores = scores - differences.square().flatten(-1 - (name == "changes")).mean(dim=-1)
        return scores

    def make_head(self, frames, width):
        return Changes(frames, width)


class Pairs(Mine):
    pairwise = True

    def class_scores(self, queries, supports):
        differences = queries["first"][..., :, None, None, :] - supports["first"][..., None, :, :, :]
        return -differences.abs().mean(dim=-1).mean(dim=-1)

    def loss(self, arrays, n_way):
        return sum(array.square().mean() for array in arrays.values())


class PatchChanges(Changes):
    takes_patches = True

    def forward(self, patch_embeddings):
        return super().forward(patch_embeddings.mean(dim=2))


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, queries, supports):
        return self.scale * Mine().class_scores(queries, supports)

    def episode_loss(self, queries, supports, truth):
        return nn.functional.cross_entropy(self(queries, supports), truth) + (self.scale - 3).square()


class Learned:
    axes, pairwise = Mine.axes, False

    def make_head(self, frames, width):
        return PatchChanges(frames, width)

    def make_matcher(self, frames, width):
        return Scaled()


class Forgetful(Mine):
    def make_head(self, frames, width):
        return nn.Identity() if frames < 0 else Shortened()


class Shortened(nn.Module):
    def forward(self, frame_embeddings):
        return {"first": frame_embeddings[:, 0]}
"""
SMALL = ("--dim", 12, "--heads", 2, "--mlp-dim", 16, "--precision", "float32", "--device", "cpu", "--tracker", "none")
SHORT = ("--epochs", 2, "--steps-per-epoch", 3, "--val-episodes", 10, "--classes-per-batch", 3)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of another: a module on sys.path, and its entry points."""
    name, place = f"stranger_{tmp_path.name.strip('_')}", tmp_path / "site"
    info = place / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (place / f"{name}.py").write_text(MODULE)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[hcl.methods]\nmine = {name}:Mine\npairs = {name}:Pairs\n")
    monkeypatch.syspath_prepend(str(place))
    importlib.invalidate_caches()
    monkeypatch.chdir(tmp_path)
    return name


def succeed(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("name", ["{}:Mine", "mine", "pairs", "{}:Learned"])
def test_a_strangers_method_is_trained_evaluated_and_compared(
    module: str, name: str, make_cache: Callable[..., ZarrCache]
) -> None:
    method = name.format(module)
    cache = make_cache(Path("cache.zarr"))
    for run, seed in (("runs/a", 0), ("runs/b", 1)):
        succeed(
            "train", cache.path, "--run", run, "--preset", "quick", *SMALL, *SHORT, "--method", method, "--seed", seed
        )
    epochs = [json.loads(line) for line in Path("runs/a/metrics.jsonl").read_text().splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == [0, 1, 2]
    assert all(0 <= epoch["validation"] <= 100 for epoch in epochs)
    store = EmbeddingStore.open(Path("runs/a", STORE))
    assert store.method == method and {**store.axes} == {
        "first": ("video", "mood"),
        "changes": ("video", "step", "mood"),
        "mean_map": ("video", "channel"),
    }
    stored = zarr.open_group(store.path, mode="r")["changes"]
    assert stored.metadata.dimension_names == ("video", "step", "mood")  # type: ignore[union-attr]
    weights = store.matcher_weights  # towards the 3 of its loss
    assert weights is None if "Learned" not in name else weights is not None and 2 < weights.values["scale"][0] < 3
    few = ("--way", 2, "--episodes", 20)
    assert method in succeed("evaluate", "--method", method, *few, "--json", "r.json")
    (read,) = json.loads(Path("r.json").read_text())["runs"]
    assert read["method"] == method and list(read["levels"]) == [method]
    assert read["store"].startswith("runs/b")  # the latest run of it
    assert method in succeed("compare", "runs/a", "runs/b", *few)
    assert "verified" in succeed("info", "runs/a", "--verify")


def test_evaluation_scores_as_the_method_does(module: str, make_cache: Callable[..., ZarrCache]) -> None:
    cache = make_cache(Path("cache.zarr"))
    succeed("train", cache.path, "--run", "run", "--preset", "quick", *SMALL, *SHORT, "--method", f"{module}:Mine")
    store = EmbeddingStore.open(Path("run", STORE))
    found = evaluate(store, way=2, queries=2, shot=2, episodes=5)
    method, names = find_method(f"{module}:Mine"), ("first", "changes")
    for number, predicted in enumerate(found.outcomes[0].predictions[f"{module}:Mine"]):
        support, query = found.scored.support[number], found.scored.query[number].ravel()
        queries = store.arrays(names, query)
        flat = store.arrays(names, support.ravel())
        supports = {name: array.view(2, 2, *array.shape[1:]) for name, array in flat.items()}
        assert method.class_scores(queries, supports).argmax(dim=1).tolist() == predicted.tolist()


def test_a_strangers_method_scores_the_embeddings_of_another(module: str, make_cache: Callable[..., ZarrCache]) -> None:
    cache = make_cache(Path("cache.zarr"))
    succeed("embed", cache.path, "--untrained", "--out", "store.zarr")
    given = ("--way", 2, "--episodes", 20, "--split", "base")
    assert "| bimhm" in succeed("evaluate", "store.zarr", *given, "--method", "bimhm")
    result = CliRunner().invoke(main, ["evaluate", "store.zarr", "--method", f"{module}:Mine"])
    assert result.exit_code == 2 and "score these by one of hcl, resnet, protonet" in result.output


def test_a_loss_of_ones_own_takes_the_place_of_the_cross_entropy(module: str) -> None:
    arrays = {"first": torch.ones(4, 5), "changes": torch.full((4, 3, 5), 2.0)}
    assert method_loss(find_method("pairs"), arrays, 2) == 1 + 4
    mine = find_method("mine")
    assert method_loss(mine, arrays, 2) == episodic_loss(mine, arrays, 2) == np.float32(np.log(2))


def test_a_head_that_forgets_an_array_is_named(module: str) -> None:
    config = TrainConfig(method=f"{module}:Forgetful", dim=12, heads=2, mlp_dim=16)
    encoder = BaselineEncoder(config, channels=6, frames=4, patches=3)
    with pytest.raises(InputError, match="its head gives the arrays first, its axes name first, changes"):
        encoder(torch.zeros(2, 4, 3, 6))


def test_an_unknown_method_is_refused_before_anything_is_written(
    module: str, make_cache: Callable[..., ZarrCache]
) -> None:
    cache = make_cache(Path("cache.zarr"))
    for method, told in (("tsn", "must be one of hcl"), (f"{module}:Nobody", "has no attribute 'Nobody'")):
        result = CliRunner().invoke(main, ["train", str(cache.path), "--run", "run", "--method", method])
        assert result.exit_code == 2 and told in result.output and not Path("run").exists()
