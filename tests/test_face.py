"""The Python face: what a notebook imports, what it returns, and that it prints nothing."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import hcl
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.match.scoring import scores

SETTINGS = {
    "dim": 16,
    "heads": 2,
    "mlp_dim": 16,
    "epochs": 1,
    "steps_per_epoch": 2,
    "val_episodes": 10,
    "device": "cpu",
}


@pytest.mark.parametrize("name", hcl.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    value = getattr(hcl, name)
    text = inspect.getdoc(value) or ""
    assert len(text.splitlines()) >= 3 or name == "InputError", text


def test_another_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(AttributeError, match="no attribute 'clasify'; its names are CachedMaps, "):
        _ = hcl.clasify
    assert set(hcl.__all__) <= set(dir(hcl))


def test_match_is_the_stage_and_its_main_function(make_embeddings: Callable[..., hcl.Embeddings]) -> None:
    """`import hcl.match.config` binds the name to the package: calling that must do what the function does."""
    embeddings = make_embeddings(10)
    called, expected = hcl.match(embeddings, embeddings, top_clips=2), scores.match(embeddings, embeddings, top_clips=2)
    assert callable(hcl.match) and torch.equal(called.total(), expected.total())
    assert inspect.signature(hcl.match) == inspect.signature(scores.match)
    assert "Score each query video against each support video" in (inspect.getdoc(type(hcl.match).__call__) or "")


def test_a_notebook(
    make_cache: Callable[..., ZarrCache], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    from hcl.train.runs.running import train

    monkeypatch.chdir(tmp_path)
    made = make_cache(tmp_path / "cache.zarr")
    train("cache.zarr", run="run", preset="quick", settings=SETTINGS, latest=False)
    cache = hcl.open_cache("cache.zarr")
    assert cache.class_splits == made.class_splits
    novel = hcl.CachedMaps(cache, split="novel")
    encoder = hcl.load_encoder("run")
    with torch.inference_mode():
        embeddings = encoder(torch.stack([novel[number][0] for number in range(len(novel))]))
    assert isinstance(embeddings, hcl.Embeddings) and len(embeddings) == len(novel) == 8
    total = hcl.match(embeddings, embeddings).total()
    assert total.shape == (8, 8) and torch.equal(total.argmax(dim=1), torch.arange(8))  # each is most like itself
    result = hcl.evaluate("run", way=2, shot=1, episodes=20)
    assert result.to_dict()["episodes"]["episodes"] == 20
    pandas = pytest.importorskip("pandas")
    table = result.to_pandas()
    assert isinstance(table, pandas.DataFrame) and "accuracy" in table.columns
    with pytest.raises(hcl.InputError, match="nowhere: no such file or folder; expected a run"):
        hcl.evaluate("nowhere")
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""
