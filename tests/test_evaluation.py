"""The evaluation of a whole store: honest, reproducible, and equal to a loop over match."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hcl.extract.errors import InputError
from hcl.match.config import EpisodeConfig
from hcl.match.embedded import EmbeddedBatch
from hcl.match.embeddings import Embeddings
from hcl.match.episodes import draw_episode, make_pool
from hcl.match.evaluation import BASELINE, evaluate
from hcl.match.pooling import ALL_LEVELS
from hcl.match.report import as_json, as_text, write_json
from hcl.match.scores import match
from hcl.match.store import EmbeddingStore, StoredVideos, write_store

CLASSES, SIZE, WIDTH, CLIPS = 6, 5, 16, ((0, 1), (0, 2), (1, 2))


def embeddings(videos: int, signal: float, seed: int = 0) -> Embeddings:
    """Random embeddings with a class signal of the given strength; class k has every SIZE-th k."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.arange(videos) // SIZE
    centres = torch.randn(CLASSES, WIDTH, generator=generator)[classes % CLASSES]
    noisy = [torch.randn(videos, *shape, WIDTH, generator=generator) for shape in ((), (3,), (3, 4))]
    shaped = [centres.reshape(videos, *(1,) * (part.ndim - 2), WIDTH) for part in noisy]
    global_, clips, patches = (part + signal * centre for part, centre in zip(noisy, shaped, strict=True))
    return Embeddings(global_, clips, patches.half().float(), CLIPS, torch.randn(videos, WIDTH, generator=generator))


def write(path: Path, found: Embeddings, **facts: tuple[str, ...]) -> Path:
    count = len(found)
    labels = tuple(f"class {row // SIZE}" for row in range(count))
    known = {
        "path": tuple(f"v{row}.mp4" for row in range(count)),
        "label": labels,
        "fold": ("novel",) * count,
        "group": tuple(f"g{row % 2}" for row in range(count)),
        "content": tuple(f"hash{row}" for row in range(count)),
    }
    batch = EmbeddedBatch.of(found, found.patches.mean(dim=(1, 2)).numpy())
    write_store(path, {"origin": {}}, StoredVideos(**known | facts), [batch])
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write(tmp_path / "store.zarr", embeddings(CLASSES * SIZE, 1.0))


def test_a_store_gives_back_what_was_written(store: Path) -> None:
    found, expected = EmbeddingStore.open(store).embeddings(np.array([3, 1])), embeddings(CLASSES * SIZE, 1.0)
    assert found.clip_frames == CLIPS and found.patches.dtype == torch.float16
    for name in ("global_", "clips", "patches", "class_keys"):
        torch.testing.assert_close(getattr(found, name).float(), getattr(expected, name)[[3, 1]], rtol=0, atol=0)


@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_accuracy_equals_a_loop_over_match(store: Path, aggregate: str) -> None:
    config = EpisodeConfig(n_way=3, k_shot=2, n_query=2, episodes=12, seed=5)
    found = evaluate(store, config, {"aggregate": aggregate, "top_clips": 2, "top_patches": 3})
    given = embeddings(CLASSES * SIZE, 1.0)
    labels = [f"class {row // SIZE}" for row in range(CLASSES * SIZE)]
    pool = make_pool(np.arange(CLASSES * SIZE), labels, [""] * len(labels), config)
    right = dict.fromkeys(found.accuracies, 0)
    for index in range(12):
        support, query = draw_episode(pool, config, index)
        for way, queries in enumerate(query):
            for row in queries:
                scores = {name: [] for name in right}
                for supports in support:
                    rows = torch.tensor(supports)
                    of = match(given.rows(torch.tensor([row])), given.rows(rows), top_clips=2, top_patches=3)
                    maps = given.patches.mean(dim=(1, 2))
                    cosines = torch.cosine_similarity(maps[row][None], maps[rows])
                    parts = {"global": of.global_[0], "temporal": of.temporal[0], "spatial": of.spatial[0]}
                    for name in right:
                        values = cosines if name == BASELINE else None
                        reduced = torch.mean if aggregate == "mean" else torch.max
                        scores[name].append(
                            float(reduced(values))
                            if values is not None
                            else sum(float(reduced(parts[level])) for level in name.split("+"))
                        )
                for name, values in scores.items():
                    right[name] += int(np.argmax(values)) == way
    for name, value in found.accuracies.items():
        assert value.accuracy == pytest.approx(100 * right[name] / (12 * 3 * 2)), name


def test_random_embeddings_score_at_chance(tmp_path: Path) -> None:
    path = write(tmp_path / "store.zarr", embeddings(CLASSES * SIZE, 0.0))
    found = evaluate(path, EpisodeConfig(episodes=3000))
    for value in found.accuracies.values():
        low, high = value.bootstrap95
        assert low - 3 < 20 < high + 3


def test_no_label_of_a_query_reaches_its_score(tmp_path: Path) -> None:
    """Other class keys for the queries of an episode change nothing: Eq. 5 takes the support's."""
    found = embeddings(CLASSES * SIZE, 0.5)
    config = EpisodeConfig(n_way=2, episodes=1)
    pool = make_pool(np.arange(10), ["a"] * 5 + ["b"] * 5, [""] * 10, config)
    _, query = draw_episode(pool, config, 0)
    keys = found.class_keys.clone()
    keys[query.ravel()] = 100 * torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(9))
    labels = ("a",) * 5 + ("b",) * 5
    few = found.rows(slice(0, 10))
    other = Embeddings(few.global_, few.clips, few.patches, CLIPS, keys[:10])
    results = [
        evaluate(write(tmp_path / name, which, label=labels), config)
        for name, which in (("a.zarr", few), ("b.zarr", other))
    ]
    assert results[0].spread == results[1].spread


def test_byte_identical_videos_never_meet(tmp_path: Path) -> None:
    """With two videos a class, twins in one class leave it a single video."""
    twins = ("same", "same", "c", "d", "e", *(f"h{row}" for row in range(25)))
    path = write(tmp_path / "store.zarr", embeddings(CLASSES * SIZE, 1.0), content=twins)
    found = evaluate(path, EpisodeConfig(episodes=20))
    assert found.duplicates == (("v0.mp4", "v1.mp4"),) and found.class_sizes == (4, 5, 5, 5, 5, 5)
    assert "v0.mp4 = v1.mp4" in as_text(found)
    with pytest.raises(InputError, match=r"too few in class 0 \(4\)"):
        evaluate(path, EpisodeConfig(k_shot=4, episodes=1))


def test_confusion_and_classes_add_up(store: Path) -> None:
    found = evaluate(store, EpisodeConfig(n_way=4, n_query=2, episodes=50))
    assert found.confusion.sum() == 50 * 4 * 2
    overall = 100 * np.trace(found.confusion) / found.confusion.sum()
    assert overall == pytest.approx(found.accuracies[ALL_LEVELS].accuracy)
    for number, name in enumerate(found.class_names):
        assert found.per_class[name] == pytest.approx(
            100 * found.confusion[number, number] / found.confusion[number].sum()
        )


def test_the_report_holds_what_programs_ask_for(store: Path, tmp_path: Path) -> None:
    found = evaluate(store, EpisodeConfig(episodes=30))
    write_json(tmp_path / "report.json", found)
    read = json.loads((tmp_path / "report.json").read_text())
    assert set(read["levels"]["global+temporal+spatial"]) == {"accuracy", "ci95", "bootstrap95"}
    assert len(read["levels"]) == 7 and 0 <= read["baseline"]["accuracy"] <= 100
    assert read == json.loads(json.dumps(as_json(evaluate(store, EpisodeConfig(episodes=30)))))
    text = as_text(found)
    for name in ("untrained ResNet", "global + temporal + spatial", "class 3", "true \\ predicted"):
        assert name in text


def test_a_report_that_cannot_be_written_is_an_input_error(store: Path, tmp_path: Path) -> None:
    found = evaluate(store, EpisodeConfig(episodes=2))
    with pytest.raises(InputError, match="name another file with --json"):
        write_json(tmp_path / "nowhere" / "report.json", found)


def test_an_absent_fold_is_refused(store: Path) -> None:
    with pytest.raises(InputError, match="no videos of fold 'val', it holds novel; choose with --fold"):
        evaluate(store, EpisodeConfig(), fold="val")


def test_damage_is_named(store: Path) -> None:
    (store / "patches" / "c" / "2" / "0" / "0" / "0").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"array 'patches' is damaged.*hcl embed"):
        evaluate(store, EpisodeConfig(episodes=50))


def test_a_store_is_replaced_only_by_a_store(store: Path, tmp_path: Path) -> None:
    write(store, embeddings(10, 1.0), label=("a",) * 10)
    assert len(EmbeddingStore.open(store).videos) == 10
    (tmp_path / "notes").mkdir()
    with pytest.raises(InputError, match="not a Zarr v3 store"):
        write(tmp_path / "notes", embeddings(10, 1.0))


def test_patches_beyond_half_precision_are_refused(tmp_path: Path) -> None:
    found = embeddings(10, 1.0)
    huge = Embeddings(found.global_, found.clips, found.patches * 1e6, CLIPS)
    with pytest.raises(InputError, match="pass the range of float16"):
        write(tmp_path / "store.zarr", huge)
    assert not (tmp_path / "store.zarr").exists()
