"""Stores scored by other methods than their own, and the weights that a store keeps for its method."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hcl.extract.cache.video_table import VideoTable
from hcl.extract.system.errors import InputError
from hcl.match.config import METHODS
from hcl.match.embeddings import Embeddings
from hcl.match.evaluation.evaluate import evaluate
from hcl.match.methods.matcher import MatcherWeights, make_matcher
from hcl.match.methods.registry import BASELINES
from hcl.match.store import scorer
from hcl.match.store.batch import EmbeddedBatch
from hcl.match.store.embedding_store import EmbeddingStore, write_store
from hcl.match.store.scorer import arrays_for, choose_method, scorer_of, served_methods, serves

VIDEOS, FRAMES, WIDTH = 12, 3, 4
LABELS = tuple("abc"[row // 4] for row in range(VIDEOS))
PATHS = tuple(f"{row}.mp4" for row in range(VIDEOS))
FACTS = VideoTable(PATHS, LABELS, ("novel",) * VIDEOS, ("",) * VIDEOS, PATHS)


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def write(path: Path, method: str, matcher: MatcherWeights | None = None) -> EmbeddingStore:
    """A store of another method than HCL."""
    sizes = {"video": VIDEOS, "frame": FRAMES, "tuple": 3, "embedding": WIDTH, "state": WIDTH}
    arrays = {
        name: random(place, *(sizes[axis] for axis in axes))
        for place, (name, axes) in enumerate(BASELINES[method].axes.items())
    }
    batch = EmbeddedBatch.of(arrays, random(9, VIDEOS, 6).numpy())
    write_store(path, {"origin": {}}, FACTS, [batch], method=method, matcher=matcher)
    return EmbeddingStore.open(path)


def weights_of(method: str) -> MatcherWeights:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        matcher = make_matcher(BASELINES[method], FRAMES, WIDTH)
    assert matcher is not None
    return MatcherWeights.of(matcher, FRAMES, WIDTH)


@pytest.mark.parametrize(
    ("method", "served"),
    [
        ("hcl", ("hcl", "resnet", "protonet", "matchingnet", "otam", "bimhm")),
        ("otam", ("resnet", "protonet", "matchingnet", "otam", "bimhm")),
        ("protonet", ("resnet", "protonet", "matchingnet")),
        ("trx", ("resnet", "trx")),
        ("tarn", ("resnet", "tarn")),
    ],
)
def test_a_store_serves_the_methods_that_need_no_weights_for_it(
    tmp_path: Path, write_embeddings: Callable[..., Path], method: str, served: tuple[str, ...]
) -> None:
    path = tmp_path / "s.zarr"
    store = EmbeddingStore.open(write_embeddings(path)) if method == "hcl" else write(path, method)
    assert served_methods(store) == served
    for name in METHODS:
        if name in served:
            assert choose_method(store, name) == name
            continue
        told = f"embeddings of {method}, not of {name}; train with: hcl train CACHE --method {name}, or score these by"
        with pytest.raises(InputError, match=f"{told} one of {', '.join(served)}"):
            choose_method(store, name)
    assert choose_method(store, None) == method


def test_frames_and_videos_are_means_of_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_embeddings: Callable[..., Embeddings], write_embeddings: Any
) -> None:
    monkeypatch.setattr(scorer, "VIDEOS_AT_A_TIME", 2)
    embeddings, rows = make_embeddings(), np.array([4, 0, 4, 29, 7])
    of_hcl = EmbeddingStore.open(write_embeddings(tmp_path / "hcl.zarr"))
    found = arrays_for(of_hcl, BASELINES["bimhm"], rows)["frames"]
    torch.testing.assert_close(found, embeddings.patches[rows].mean(dim=2))
    assert torch.equal(arrays_for(of_hcl, BASELINES["protonet"], rows)["global"], embeddings.global_[rows])
    of_frames, some = write(tmp_path / "otam.zarr", "otam"), np.array([3, 11, 0])
    frames = of_frames.arrays(("frames",), some)["frames"]
    assert torch.equal(arrays_for(of_frames, BASELINES["bimhm"], some)["frames"], frames)
    torch.testing.assert_close(arrays_for(of_frames, BASELINES["protonet"], some)["global"], frames.mean(dim=1))
    with pytest.raises(InputError, match="no array 'keys_2' in this store of method otam"):
        arrays_for(of_frames, BASELINES["trx"], some)


def test_a_method_of_ones_own_scores_any_store_of_its_arrays(tmp_path: Path, write_embeddings: Any) -> None:
    store = EmbeddingStore.open(write_embeddings(tmp_path / "s.zarr"))
    module = tmp_path / "served_strangers.py"
    text = "class {}:\n    axes = {}\n    pairwise = False\n    class_scores = make_head = None\n"
    module.write_text(
        text.format("Frames", {"frames": ("video", "frame", "embedding")})
        + text.format("Odd", {"frames": ("video", "embedding")})
        + text.format("Words", {"words": ("video", "embedding")})
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        assert [serves(store, f"served_strangers:{name}") for name in ("Frames", "Odd", "Words")] == [
            True,
            False,
            False,
        ]


def test_evaluations_by_another_method_are_of_its_scores(tmp_path: Path, write_embeddings: Any) -> None:
    store = EmbeddingStore.open(write_embeddings(tmp_path / "s.zarr"))
    found = evaluate(store, way=3, shot=2, episodes=10, method="bimhm")
    outcome, arrays = found.outcomes[0], arrays_for(store, BASELINES["bimhm"], np.arange(30))
    assert found.method == outcome.headline == "bimhm" and list(outcome.accuracies) == ["resnet", "bimhm"]
    for predicted, support, query in zip(
        outcome.predictions["bimhm"], found.scored.support, found.scored.query, strict=True
    ):
        asked, given = ({"frames": arrays["frames"][torch.from_numpy(rows)]} for rows in (query.ravel(), support))
        assert BASELINES["bimhm"].class_scores(asked, given).argmax(dim=1).tolist() == predicted.tolist()


@pytest.mark.parametrize("method", ["maml", "hyrsm"])
def test_weights_come_back_from_a_store_and_count_in_its_identity(tmp_path: Path, method: str) -> None:
    weights = weights_of(method)
    store = write(tmp_path / "a.zarr", method, weights)
    found = store.matcher_weights
    assert found is not None and (found.frames, found.width) == (FRAMES, WIDTH)
    assert found.values.keys() == weights.values.keys()
    for name, values in weights.values.items():
        np.testing.assert_array_equal(found.values[name], values)
    assert write(tmp_path / "b.zarr", method, weights).identity == store.identity
    changed = dict(weights.values)
    last = sorted(changed)[-1]
    changed[last] = changed[last] + 1
    other = write(tmp_path / "c.zarr", method, MatcherWeights(FRAMES, WIDTH, changed))
    assert other.identity != store.identity
    arrays = arrays_for(store, BASELINES[method], np.arange(VIDEOS))
    asked, given = {k: a[:3] for k, a in arrays.items()}, {k: a[3:9].unflatten(0, (2, 3)) for k, a in arrays.items()}
    scores = [scorer_of(one, method).class_scores(asked, given) for one in (store, other)]
    assert scores[0].shape == (3, 2) and not torch.allclose(*scores)


def test_a_store_without_its_weights_or_with_others_is_refused(
    tmp_path: Path, edit_attributes: Callable[[Path, Callable[[dict[str, Any]], object]], None]
) -> None:
    with pytest.raises(InputError, match="no matcher weights of method pal in this store; write the store anew with"):
        scorer_of(write(tmp_path / "a.zarr", "pal"), "pal")
    with pytest.raises(InputError, match="its matcher weights are not those of method pal .*fusion.bias differs"):
        scorer_of(write(tmp_path / "b.zarr", "pal", weights_of("hyrsm")), "pal")
    for place, made_for in enumerate(("nonsense", {"frames": 3}, {"frames": 3, "width": 10**12})):
        path = tmp_path / f"c{place}.zarr"
        write(path, "pal", weights_of("pal"))
        edit_attributes(path, lambda attributes, made_for=made_for: attributes.update(matcher=made_for))  # type: ignore[misc]
        with pytest.raises(InputError, match="its matcher is|its matcher weights are not those of method pal"):
            scorer_of(EmbeddingStore.open(path), "pal")


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    path = tmp_path / "s.zarr"
    write(path, "maml", weights_of("maml"))
    (path / "matcher.linear.weight" / "c" / "0" / "0").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="array 'matcher.linear.weight' is damaged.*hcl embed"):
        scorer_of(EmbeddingStore.open(path), "maml")
    shutil.rmtree(path / "matcher.linear.weight")
    with pytest.raises(InputError, match="array 'matcher.linear.weight' is missing"):
        scorer_of(EmbeddingStore.open(path), "maml")
    assert json.loads((path / "zarr.json").read_text())["attributes"]["matcher"] == {"frames": 3, "width": 4}
