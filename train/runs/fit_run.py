"""Fit the encoder of one run: batches from the cache, validation, metrics and checkpoints into its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.system.progress import logger, progress_bar
from hcl.match.config import BASELINE, HCL
from hcl.train.config import TrainConfig
from hcl.train.data.batches import BatchPrefetcher
from hcl.train.data.cached_maps import CachedMaps
from hcl.train.data.class_augmentation import VERSIONS, ClassAugmentation
from hcl.train.data.device_storage import NumberedViews
from hcl.train.data.joined_caches import JoinedCaches
from hcl.train.data.map_source import MapSource
from hcl.train.data.map_storage import choose_storage, memory_limit
from hcl.train.data.sampler import ClassBalancedSampler
from hcl.train.distributed import is_main_process, processes_here, rank_slice, run_on_main
from hcl.train.encoders.factory import Trainable, make_encoder
from hcl.train.encoders.geometry import BaseVideo
from hcl.train.encoders.untrained import MeanMaps
from hcl.train.encoders.video_encoder import VideoEncoder, all_clips
from hcl.train.fitting.loop import EpochRecord, Fitted, fit
from hcl.train.fitting.set_validation import validation_of
from hcl.train.runs.run_folder import CHECKPOINT, RunConfig, save_encoder
from hcl.train.runs.tracking.metrics_log import metrics_log

MOST_VIDEOS = 2000  # base videos that the geometry is computed from


def fit_run(
    run: Path,
    source: MapSource,
    config: RunConfig,
    *,
    epochs: int | None = None,
    checks: Sequence[Callable[[], None]] = (),
) -> Trainable | MeanMaps:
    """Train the encoder of a run, from its checkpoint if it has one, and save its weights, if there are any to learn.

    Only base videos are trained on and only val videos choose the epoch. Of several processes the first one alone
    writes into the folder.

    Args:
        run: the run's folder
        source: of the maps, whose cache has the run's splits; on the device to train on
        config: of the run
        epochs: chosen before, so that the last weights are kept; None: as the settings say, and val videos choose
        checks: called after each epoch; what they raise ends the training

    Returns:
        the trained encoder, on the device, in evaluation mode
    """
    training = config.training if epochs is None else replace(config.training, epochs=epochs)
    encoder = make_encoder(training, config.encoder, source.layer4).to(source.device)
    if isinstance(encoder, MeanMaps):
        logger.info(f"method {training.method}: nothing to train")
        run_on_main(partial(save_encoder, run, {}))
        return encoder
    shrinkage = encoder.fit_geometry(base_videos(source, encoder, training))
    if shrinkage is not None:
        logger.info(f"within-class whitening: shrinkage {shrinkage:g}")
    texts = base_texts(source, config)
    if isinstance(encoder, VideoEncoder) and texts is not None:
        encoder.remember_texts(texts)
    batches = base_batches(source, training)
    validate = validation_of(source, training, config.scoring) if epochs is None else None
    if epochs is not None:
        logger.info(f"all base classes, {epochs} epochs")
    elif validate is None:
        logger.info("fewer than 2 val classes with 2 videos: no validation, the last weights are kept")
    with metrics_log(run, training, validation=validate) as log:

        def epoch_ended(record: EpochRecord) -> None:
            log.epoch(record)
            for check in checks:
                check()

        fitted = fit(
            encoder,
            batches,
            training,
            text=texts,
            validate=validate,
            checkpoint=run / CHECKPOINT,
            on_steps=log.steps,
            on_epoch=epoch_ended,
        )
    run_on_main(partial(save_encoder, run, fitted.state))
    kept = f"the weights of epoch {fitted.best_epoch} of {len(fitted.epochs)}"
    logger.info(f"kept {kept if fitted.best_epoch else 'the encoder as it began: no epoch was better'}")
    if validate is not None and is_main_process():
        warn_if_behind(fitted, validate.untrained)
        warn_if_undecided(fitted)
    return encoder.eval()


def warn_if_behind(fitted: Fitted, untrained: float) -> None:
    """Warn if the kept weights recognise fewer val classes than the maps that they began with."""
    kept = None if fitted.kept is None else fitted.kept.validation
    if kept is not None and kept < untrained:
        logger.warning(
            f"on the val classes the kept encoder is behind the ImageNet ResNet without training ({kept:.1f} % against"
            f" {untrained:.1f} %): lower --epochs or --learning-rate, add base classes, or go without training:"
            " hcl embed CACHE --untrained"
        )


def warn_if_undecided(fitted: Fitted) -> None:
    """Warn if the val classes were all recognised after several epochs, so that they chose between none of these."""
    perfect = [epoch for epoch in fitted.epochs if epoch.validation is not None and epoch.validation >= 100]
    if len(perfect) > 1:
        logger.warning(
            f"validation reads 100 % from epoch {perfect[0].epoch} on: these val classes are too easy to choose an"
            " epoch, and the earliest weights that reach it are kept; give more val classes, or learn from them, too,"
            " by --train-on val"
        )


def base_videos(source: MapSource, encoder: Trainable, training: TrainConfig) -> Iterator[BaseVideo]:
    """The base videos, a seeded choice of them where there are many."""
    cache = source.cache
    videos = CachedMaps(cache, "base")
    chosen = np.arange(len(videos))
    if len(chosen) > MOST_VIDEOS:
        chosen = np.sort(np.random.default_rng(training.seed).choice(chosen, MOST_VIDEOS, replace=False))
    views = cache.resolve_views(training.views)
    with progress_bar(len(chosen), "video", "geometry of the base videos") as bar:
        read = source.read_ahead(videos.rows[chosen], 1, views)
        for place, (_, of_views) in zip(chosen, read, strict=True):
            maps = torch.cat([view.for_encoder(encoder) for view in of_views])
            yield BaseVideo(maps, int(videos.labels[place]), str(videos.groups[place]))
            bar.update()


def base_texts(source: MapSource, config: RunConfig) -> torch.Tensor | None:
    """The (classes, E) text embeddings of the base classes and their versions; None without semantic attention."""
    text = source.cache.text_embeddings
    if config.text_model is None or text is None:
        return None
    names = source.cache.class_names
    of_base = text[[names.index(name) for name in config.base_classes]]
    versions = VERSIONS[config.training.class_augmentation]
    return torch.from_numpy(np.tile(of_base, (len(versions), 1))).to(source.device)


def base_sampler(cache: FrameMapCache, training: TrainConfig) -> ClassBalancedSampler:
    """Draws the batches of the base videos and their transformed copies.

    Raises:
        InputError: if fewer than two classes have enough videos
    """
    videos = CachedMaps(cache, "base")
    augmentation = ClassAugmentation(VERSIONS[training.class_augmentation], cache.grid)
    sets = cache.set_numbers[videos.rows] if isinstance(cache, JoinedCaches) else np.zeros_like(videos.rows)
    return ClassBalancedSampler(
        augmentation.labels(videos.labels, len(videos.class_names)),
        augmentation.class_names(videos.class_names),
        classes_per_batch=training.classes_per_batch,
        videos_per_class=training.videos_per_class,
        seed=training.seed,
        sets=np.tile(sets, len(augmentation.versions)),
    )


def refuse_untrainable(cache: FrameMapCache, config: RunConfig) -> None:
    """Refuse, before anything is written, what the first step of a training would refuse.

    Raises:
        InputError: if clips need more frames than there are, too few classes have the videos of a batch, or several
            processes cannot share one evenly
    """
    training, frames = config.training, config.encoder["frames"]
    if training.method == HCL and frames is not None:
        all_clips(frames, training.clip_sizes)
    if training.method != BASELINE and training.epochs:
        rank_slice(base_sampler(cache, training).batch_size)


def base_batches(source: MapSource, training: TrainConfig) -> BatchPrefetcher:
    """Make the batches of the base videos; what differs from the settings is logged."""
    cache = source.cache
    videos = CachedMaps(cache, "base")
    augmentation = ClassAugmentation(VERSIONS[training.class_augmentation], cache.grid)
    sampler = base_sampler(cache, training)
    if sampler.left_out:
        logger.info(f"left out, with fewer than {training.videos_per_class} videos: {', '.join(sampler.left_out)}")
    if sampler.classes_per_batch < training.classes_per_batch:
        logger.info(
            f"{sampler.classes_per_batch} classes per batch, not {training.classes_per_batch}:"
            f" there are only {sampler.classes_per_batch} training classes"
        )
    storage = choose_storage(
        NumberedViews(cache, videos.rows, cache.resolve_views(training.views), cache.waits),
        training.map_storage,
        source.device,
        host_bytes=memory_limit() // processes_here(),
    )
    return BatchPrefetcher(
        sampler,
        storage,
        device=source.device,
        num_workers=training.num_workers,
        augmentation=augmentation,
        share=rank_slice(sampler.batch_size),
    )
