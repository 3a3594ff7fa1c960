"""A real Ray cluster of several workers: the same bytes as one machine, whoever dies meanwhile."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hcl.extract.cache.base import DONE, PENDING
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.config import ExtractConfig
from hcl.extract.pipeline.cluster.config import ClusterConfig
from hcl.extract.pipeline.cluster.extraction import ClusterEngine, extract_on_cluster
from hcl.extract.pipeline.cluster.tasks import run_tasks
from hcl.extract.pipeline.extraction import extract
from hcl.extract.system.errors import InputError
from hcl.match.config import EpisodeConfig, EvaluationConfig
from hcl.match.evaluation import class_scoring
from hcl.match.evaluation.evaluator import Evaluator
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.train.runs import remote_embedding
from hcl.train.runs.embed_cache import embed_cache
from hcl.train.studies.crossval import cross_validate
from hcl.train.studies.folds import CrossvalConfig

ray = pytest.importorskip("ray", reason="the extra cluster is not installed: work on a Ray cluster is not tested")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kills processes as Linux does")
TWO = ClusterConfig(ray="auto", cpus=1)  # two workers, on one core each
A_NODE = ClusterConfig(ray="auto")  # a worker a node, with its two cores


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A small cluster of this machine, which all tests share."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 2, "object_store_memory": 100 * 2**20, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)  # whose workers stand back behind all else
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory, write_video: Callable[..., Path]) -> Path:
    """Three classes of real small videos, many of them copies."""
    folder = tmp_path_factory.mktemp("videos")
    for number, name in enumerate(("clap", "jump", "nod")):
        for copy in range(3):
            first = write_video(folder / name / f"{copy}.mp4", seed=10 * number + copy)
            for further in range(5):
                (folder / name / f"{copy} again {further}.mp4").write_bytes(first.read_bytes())
    return folder


@pytest.fixture(scope="module")
def config(small_config: ExtractConfig) -> ExtractConfig:
    """An extraction into small shards."""
    return replace(small_config, split_policy="all-novel", views=2, shard_videos=4)


@pytest.fixture(scope="module")
def expected(videos: Path, config: ExtractConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the cache that one machine alone makes."""
    path = tmp_path_factory.mktemp("plain") / "cache.zarr"
    extract(videos, path, config)
    return files(path)


def files(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("dies", ["worker", "node"])
def test_what_dies_midway_costs_what_it_had_and_no_more(
    cluster: Any,
    videos: Path,
    config: ExtractConfig,
    expected: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: list[str],
    dies: str,
) -> None:
    mark, marked = ZarrCache.mark, list[int]()
    other = cluster.add_node(num_cpus=2, object_store_memory=80 * 2**20) if dies == "node" else None
    with ExitStack() as held:
        engine = ClusterEngine(TWO if other is None else A_NODE, held)

        def mark_and_kill(cache: ZarrCache, of: Any) -> None:
            if not marked:
                assert len(engine.crew.ready) == 2
                if other is None:
                    os.kill(engine.crew.ready[0].introduction.process, signal.SIGKILL)  # type: ignore[union-attr]
                else:
                    cluster.remove_node(other, allow_graceful=False)
            marked.extend(video.row for video in of)
            mark(cache, of)

        monkeypatch.setattr(ZarrCache, "mark", mark_and_kill)
        assert extract(videos, tmp_path / "cache.zarr", config, engine=engine).extracted == 54
    assert files(tmp_path / "cache.zarr") == expected
    assert sorted(marked) == list(range(54))  # nothing that was reported is done twice
    assert any("is gone (" in line and "its shards go to others: " in line for line in said)
    cores = f"{1 if other is None else 2} cores"
    assert sum("process" in line and cores in line for line in said) >= 2


def test_half_a_gpu_each_puts_two_workers_on_the_node_that_has_one(
    cluster: Any, videos: Path, config: ExtractConfig, expected: dict[str, bytes], tmp_path: Path
) -> None:
    """Ray hands out what a node says that it has; the workers compute on the processor, where there is no GPU."""
    other = cluster.add_node(num_cpus=2, num_gpus=1, object_store_memory=80 * 2**20)
    try:
        with ExitStack() as held:
            engine = ClusterEngine(ClusterConfig(ray="auto", gpus=0.5), held)
            assert extract(videos, tmp_path / "cache.zarr", config, engine=engine).extracted == 54
            assert str(engine.crew.share) == "1 cores and 0.5 GPUs" and len(engine.crew.ready) == 2
    finally:
        cluster.remove_node(other)
    assert files(tmp_path / "cache.zarr") == expected


def test_a_driver_killed_midway_is_run_again(
    cluster: Any, videos: Path, config: ExtractConfig, expected: dict[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "cache.zarr"
    options = "--size 64 --precision float32 --workers 1 --batch-size 16 --views 2 --split-policy all-novel --no-text"
    command = [sys.executable, "-m", "hcl.cli", "extract", str(videos), str(path), "--weights", config.weights]
    command += [*options.split(), "--frames", "4", "--shard-videos", "4", "--ray", cluster.address, "--ray-cpus", "1"]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 300
    while not list(path.glob("maps/c/*/0/0/0")) and driver.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    driver.kill()
    driver.wait()
    status = ZarrCache.open(path).sources.status
    assert (status == PENDING).any()
    summary = extract_on_cluster(videos, path, config, A_NODE)
    assert summary.extracted == (status == PENDING).sum() and summary.plan.kept == (status == DONE).sum()
    assert files(path) == expected


def test_a_node_with_another_version_is_refused_or_recorded(
    cluster: Any, videos: Path, config: ExtractConfig, tmp_path: Path
) -> None:
    told = "from importlib import metadata\nfound = metadata.version\n"
    told += 'metadata.version = lambda name: "9.9.9" if name == "hcl" else found(name)\n'
    (tmp_path / "sitecustomize.py").write_text(told)  # Python imports it wherever it starts with this path
    paths = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    other = cluster.add_node(num_cpus=2, object_store_memory=80 * 2**20, env_vars={"PYTHONPATH": paths})
    try:
        with pytest.raises(InputError, match=r"the worker on .*hcl 9\.9\.9 there, .* on most others.*--mixed"):
            extract_on_cluster(videos, tmp_path / "cache.zarr", config, A_NODE)
        assert not (tmp_path / "cache.zarr").exists()
        few = tmp_path / "few"
        for name in ("clap", "jump"):
            (few / name).mkdir(parents=True)
            (few / name / "0.mp4").write_bytes((videos / name / "0.mp4").read_bytes())
        extract_on_cluster(few, tmp_path / "cache.zarr", replace(config, mixed=True), A_NODE)
    finally:
        cluster.remove_node(other)
    found = ZarrCache.open(tmp_path / "cache.zarr")
    assert sorted(kind["hcl"] for kind in found.attributes["made_by"])[-1] == "9.9.9"
    assert len(found.attributes["made_by"]) == 2 and found.rows().tolist() == [0, 1]


def test_what_a_worker_cannot_do_is_one_line_with_its_node(
    cluster: Any, videos: Path, config: ExtractConfig, tmp_path: Path, make_cache: Callable[..., ZarrCache]
) -> None:
    with pytest.raises(InputError, match=r"worker 1 on its node: .*nowhere\.safetensors"):
        extract_on_cluster(videos, tmp_path / "a.zarr", replace(config, weights="nowhere.safetensors"), A_NODE)
    assert not (tmp_path / "a.zarr").exists()
    plain = make_cache(tmp_path / "plain.zarr").path
    with pytest.raises(InputError, match=r"has a file a video, and --ray writes whole shards; copy it with: hcl conv"):
        extract_on_cluster(videos, plain, config, A_NODE)

    def refuse_odd(shared: Any, number: int) -> int:
        if number % 2:
            raise InputError(f"{number} is odd")
        return number + int(shared.sum())

    tasks = run_tasks(refuse_odd, [0, 2, 4, 5, 6], A_NODE, shared=np.arange(3), name=str, on_cpu=True)
    with pytest.raises(InputError, match="5 is odd"):
        for number, expected in zip(tasks, (3, 5, 7), strict=False):
            assert number == expected  # in the order of the tasks


def test_blocks_of_pairs_are_scored_as_here(
    cluster: Any, tmp_path: Path, write_embeddings: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EmbeddingStore.open(write_embeddings(tmp_path / "store.zarr"))
    monkeypatch.setattr(class_scoring, "PAIRS_PER_SLICE", 100)
    here, there = (
        Evaluator(store, EvaluationConfig(shots=(1, 2)), cluster=on).run(EpisodeConfig(n_way=3, episodes=40))
        for on in (None, A_NODE)
    )
    assert here.to_dict() == there.to_dict()
    np.testing.assert_array_equal(here.outcomes[0].scores, there.outcomes[0].scores)


def test_a_cache_is_embedded_and_runs_are_trained_as_here(
    cluster: Any, tmp_path: Path, make_cache: Callable[..., ZarrCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_cache(tmp_path / "cache.zarr", splits=dict.fromkeys("abcdefghi", "novel")).path
    settings = {"dim": 16, "heads": 2, "mlp_dim": 16, "epochs": 1, "steps_per_epoch": 2, "val_episodes": 5}
    folds, episodes = CrossvalConfig(novel=3, val=2, folds=2), EpisodeConfig(n_way=3, episodes=12)
    plan: Any = (folds, episodes, EvaluationConfig(), settings | {"device": "cpu"})
    there = cross_validate(cache, tmp_path / "there", *plan, cluster=TWO)
    here = cross_validate(cache, tmp_path / "here", *plan, preset="quick")
    assert here.accuracy(0, "global").mean == pytest.approx(there.accuracy(0, "global").mean, abs=10)
    monkeypatch.setattr(remote_embedding, "BATCHES_PER_TASK", 2)
    for run in (None, tmp_path / "here" / "fold0-seed0"):
        stores = []
        for name, on in (("there", A_NODE), ("here", None)):
            embedded = embed_cache(cache, tmp_path / f"{name}.zarr", run=run, cluster=on)
            stores.append(EmbeddingStore.open(embedded.store))
        rows = np.arange(len(stores[0].videos))
        assert stores[0].videos == stores[1].videos and stores[0].names == stores[1].names
        for name in stores[0].names:
            of_both = [store.arrays((name,), rows)[name] for store in stores]
            torch.testing.assert_close(*of_both)
