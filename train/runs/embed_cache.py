"""Embed the videos of a cache by the encoder of a run, or straight from their maps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.extract.cache.base import FrameMapCache, map_settings
from hcl.extract.cache.formats import open_cache
from hcl.extract.hub.class_texts import clean_name
from hcl.extract.pipeline.cluster.config import ClusterConfig
from hcl.extract.system.atomic import in_bucket
from hcl.extract.system.device import choose_device
from hcl.extract.system.errors import InputError
from hcl.extract.system.installation import package_version
from hcl.extract.system.places.location import place_of
from hcl.extract.system.progress import logger
from hcl.extract.system.settings import list_differences
from hcl.match.config import BASELINE, HCL
from hcl.match.evaluation.level_weights import ATTRIBUTE as LEVEL_WEIGHTS
from hcl.match.evaluation.level_weights import LevelWeights, choose_level_weights
from hcl.match.store.embedding_store import COVERAGE, LEFT_OUT, TRAINED_CLASSES, TRAINED_LEVELS, EmbeddingStore
from hcl.match.store.locate import STORE, set_stores
from hcl.train.config import TrainConfig
from hcl.train.data.map_source import MapSource
from hcl.train.embedding import batch_means, embed_to_store
from hcl.train.encoders.factory import Encoder
from hcl.train.encoders.layer4 import inputs_in
from hcl.train.encoders.untrained import Untrained
from hcl.train.losses.objective import trained_levels
from hcl.train.runs.file_hashes import file_hash
from hcl.train.runs.planning import BASE_CONTENTS, BASE_LABELS, held_out_twins, labels_of, log_left_out
from hcl.train.runs.remote_embedding import remote_batches, remote_means
from hcl.train.runs.run_folder import CHOICE, WEIGHTS, Run, RunConfig, load_encoder, read_config

UNTRAINED = "untrained"  # what a store names in place of its run


@dataclass(frozen=True)
class EmbeddedCache:
    """An embedding store that was written."""

    store: Path
    videos: int

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return {"store": str(self.store), "videos": self.videos}

    def __str__(self) -> str:
        return f"{self.store}: {self.videos} videos embedded; next: hcl evaluate {self.store}"


def embed_cache(
    cache: str | Path,
    out: str | Path,
    *,
    run: str | Path | None = None,
    weights: str = "auto",
    test_views: int | None = None,
    device: str = "auto",
    split: str | None = None,
    cluster: ClusterConfig | None = None,
) -> EmbeddedCache:
    """Embed every finished video of a cache, or of one of its splits, keeping its splits.

    A val or novel video that is byte-identical to one of an earlier split, or to one that the run was trained on, is
    left out, and named.

    Args:
        cache: path of the cache
        out: embedding store to write
        run: folder of the run whose encoder embeds; None embeds straight from the maps
        weights: of the backbone, where the cache ends before layer 4; "auto": those of the run or the cache
        test_views: of each video, whose embeddings are averaged; 0: all of them; None: as the run has it
        device: "auto", "cpu" or "cuda"
        split: whose videos are embedded; None: all
        cluster: whose workers embed, on their own devices; None: this machine

    Raises:
        InputError: if the run does not fit the cache's maps or its text model, or the cache holds too few views
    """
    opened, out = open_cache(cache), place_of(out)
    encoder: Encoder | None = None
    trained = None if run is None else Run(place_of(run), read_config(run))
    if trained is not None:
        encoder = load_encoder(trained.folder)
        refuse_other_maps(opened, trained.config)
        weights = trained.config.training.weights if weights == "auto" else weights
        warn_if_relabelled(opened, trained)
    source = MapSource(opened, weights, choose_device(device))
    source.load()
    rows = opened.rows(split)
    if not len(rows):
        raise InputError(f"{cache}: holds no finished {f'{split} ' if split else ''}videos; run hcl extract first")
    twins = held_out_twins(opened, trained)
    rows = np.setdiff1d(rows, list(twins)).astype(np.int64)
    if not len(rows):
        raise InputError(f"{cache}: every video is left out, since {run} was trained on it; embed another cache")
    log_left_out(twins)
    if encoder is None:
        means = means_of_maps(source, rows, cluster, device=device)
        encoder = Untrained(*means, inputs=inputs_in(opened.settings))
    encoder = encoder.to(source.device)
    write_embeddings(encoder, source, rows, out, trained, test_views=test_views, cluster=cluster, device=device)
    return EmbeddedCache(out, len(rows))


def means_of_maps(
    source: MapSource, rows: NDArray[np.int64], cluster: ClusterConfig | None = None, *, device: str = "auto"
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What untrained embeddings are centred by: means over the videos that are not novel, else over all.

    Args:
        source: of the maps
        rows: (V,), of its cache
        cluster: whose workers read the maps; None: this machine
        device: of these workers

    Returns:
        (C,) of all patches, (C,) of the frames' power means, and (C,) of how far these spread in a video
    """
    known = np.setdiff1d(rows, source.cache.rows("novel"))
    rows = known if len(known) else rows
    if cluster is None:
        means = batch_means(source, rows)
    else:
        means = list(remote_means(source, rows, cluster, device=device))
    of_patches, of_frames, of_changes = torch.from_numpy(np.concatenate(means, axis=1).mean(axis=1))
    return of_patches, of_frames, of_changes


def write_embeddings(
    encoder: Encoder,
    source: MapSource,
    rows: NDArray[np.int64],
    out: Path,
    run: Run | None,
    *,
    test_views: int | None = None,
    of_set: str = "",
    fallback: LevelWeights | None = None,
    cluster: ClusterConfig | None = None,
    device: str = "auto",
) -> None:
    """Write an embedding store that says which run and cache it comes from.

    Args:
        encoder: on the source's device
        source: of the maps
        rows: (V,), of the cache
        out: embedding store to write
        run: whose encoder it is; None: untrained
        test_views: as of `embed_cache`
        of_set: which of several sets that the run was trained on this is; "": none of them
        fallback: level weights where neither the store nor the run has classes to choose them on
        cluster: whose workers embed; None: this machine
        device: of these workers
    """
    cache, config = source.cache, None if run is None else run.config
    if test_views is None:
        test_views = config.training.test_views if config else TrainConfig.test_views
    TrainConfig(test_views=test_views)  # refuses numbers below 0
    one_view = encoder.method == "resnet"  # its mean maps are of the canonical view
    views = 1 if one_view else cache.resolve_views(test_views, "--test-views")
    origin = {
        "run": str(run.folder) if run else UNTRAINED,
        "cache": str(cache.path),
        "cache_identity": cache.identity,
        "test_views": views,
        **({} if run else {"settings": dict(cache.settings)}),
    }
    if run and (run.folder / WEIGHTS).is_file():
        origin["encoder_sha256"] = file_hash(run.folder / WEIGHTS)
    attributes: dict[str, Any] = {
        "origin": {**origin, "hcl": package_version()},
        "scoring": asdict(config.scoring) if config and config.training.method == "hcl" else {},
        "text_model": config.text_model if config else None,
        LEFT_OUT: list(held_out_twins(cache, run).values()),
        **({COVERAGE: cache.coverage.to_dict()} if cache.coverage else {}),
    }
    if config:
        attributes["origin"]["base_classes"] = list(config.base_classes)
        attributes[TRAINED_CLASSES] = trained_classes(config, (cache.videos.label[row] for row in rows))
    if config and config.training.method == HCL:
        attributes[TRAINED_LEVELS] = list(trained_levels(config.training))

    def finish(store: EmbeddingStore) -> dict[str, Any]:
        weights = choose_level_weights(store, without=store.trained_classes)
        weights = weights or (weights_of_run(run, of_set) if run else None) or fallback
        return {} if weights is None else {LEVEL_WEIGHTS: weights.to_dict()}

    batches = None
    if cluster is not None:
        batches = remote_batches(encoder, source, rows, cluster, views=views, device=device)
    embed_to_store(encoder, source, rows, out, attributes, views=views, finish=finish, batches=batches)


def trained_classes(config: RunConfig, labels: Iterable[str]) -> list[str]:
    """Those of some classes that a run was trained on: the names read alike, whatever their capitals and underscores.

    Args:
        config: of the run; one on several sets calls a class SET/class
        labels: classes, as a cache calls them
    """
    if config.training.method == BASELINE:
        return []  # it learns nothing
    sets = config.cache.get("sets", {})
    names = {*config.base_classes, *(name.removeprefix(f"{of}/") for name in config.base_classes for of in sets)}
    readable = {clean_name(name) for name in names}
    return sorted(label for label in set(labels) if clean_name(label) in readable)


def weights_of_run(run: Run, of_set: str = "") -> LevelWeights | None:
    """The level weights that a run's own store keeps, for stores that have no classes to choose on.

    Of several sets those of the set that is named, else of the first one that has any.
    """
    found = map(LevelWeights.of, map(EmbeddingStore.open, stores_of_run(run, of_set)))
    chosen = next((weights for weights in found if weights is not None), None)
    return None if chosen is None else replace(chosen, chosen_on=f"{chosen.chosen_on} of {run.folder}", is_own=False)


def stores_of_run(run: Run, of_set: str = "") -> list[Path]:
    """The stores that a training made: of its own, one a set, then of the run that chose without some base classes.

    Those of the set that is named come first.
    """
    runs = (run.folder, run.folder / CHOICE)
    folders = [folder for one in runs for folder in (one / STORE, *set_stores(one)) if folder.is_dir()]
    return sorted(folders, key=lambda folder: folder.stem != of_set)  # in place otherwise


def warn_if_relabelled(cache: FrameMapCache, run: Run) -> None:
    """Warn where the run learned from this cache while its base videos had other classes, or were all there."""
    then = run.config.cache
    if not _is_path(then["path"], cache.path) or BASE_LABELS not in then:
        return
    if then[BASE_LABELS] != labels_of(cache, then.get(BASE_CONTENTS, "").split()):
        logger.warning(f"{cache.path}: base videos have other classes, or are gone, since {run.folder} was trained")


def _is_path(recorded: str, path: Path) -> bool:
    """Whether a recorded path or URL is that of a place."""
    return recorded == str(path) or (not in_bucket(path) and Path(recorded).resolve() == path.resolve())


def refuse_other_maps(cache: FrameMapCache, config: RunConfig) -> None:
    """Refuse a cache whose maps or texts come from other models than those the run learned from."""
    then, now = map_settings(config.cache["settings"]), map_settings(cache.settings)
    if differences := list_differences(then, now, there="in the run", here="in the cache"):
        raise InputError(
            f"{cache.path}: other maps than the run was trained on: {differences}; extract with the run's settings"
        )
    if config.text_model and config.text_model != cache.text_model:
        model = cache.text_model["model"] if cache.text_model else "no text model"
        raise InputError(
            f"{cache.path}: class texts by {model}, the run was trained with {config.text_model['model']};"
            " extract with that --text-model"
        )
