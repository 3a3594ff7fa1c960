"""Fit the encoder of one run: batches from the cache, validation, metrics and checkpoints into its folder."""

from functools import partial
from pathlib import Path

import numpy as np
import torch

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.system.progress import logger
from hcl.train.data.batches import BatchSource, ClassDraw, memory_limit
from hcl.train.data.class_augmentation import versions_of, with_versions
from hcl.train.distributed import processes_here, rank_slice, run_on_main
from hcl.train.encoders.factory import Trainable, make_encoder
from hcl.train.encoders.layer4 import Layer4
from hcl.train.encoders.untrained import MeanMaps
from hcl.train.fitting.loop import fit
from hcl.train.fitting.validation import make_validation
from hcl.train.runs.metrics_log import metrics_log
from hcl.train.runs.run_folder import CHECKPOINT, RunConfig, save_encoder


def fit_run(
    run: Path,
    cache: FrameMapCache,
    config: RunConfig,
    device: torch.device,
    *,
    layer4: Layer4 | None = None,
) -> Trainable | MeanMaps:
    """Train the encoder of a run, from its checkpoint if it has one, and save its weights, if there are any to learn.

    Only base videos are trained on and only val videos choose the epoch. Of several processes the first one alone
    writes into the folder.

    Args:
        run: the run's folder
        cache: of the maps
        config: of the run
        device: to train on
        layer4: the backbone's own, where the cache ends before it

    Returns:
        the trained encoder, on the device
    """
    training = config.training
    encoder = make_encoder(training, config.encoder, layer4).to(device)
    if isinstance(encoder, MeanMaps):
        logger.info(f"method {training.method}: nothing to train")
        run_on_main(partial(save_encoder, run, {}))
        return encoder
    source = base_source(cache, config, device)
    validate = make_validation(cache, config.splits, training, config.scoring, device)
    if validate is None:
        logger.info("fewer than 2 val classes with 2 videos: no validation, the last weights are kept")
    with metrics_log(run, training) as log:
        fitted = fit(
            encoder,
            source,
            training,
            text=base_texts(cache, config, device),
            validate=validate,
            checkpoint=run / CHECKPOINT,
            on_steps=log.steps,
            on_epoch=log.epoch,
        )
    run_on_main(partial(save_encoder, run, fitted.state))
    logger.info(f"kept the weights of epoch {fitted.best_epoch} of {len(fitted.epochs)}")
    return encoder.eval()


def base_texts(cache: FrameMapCache, config: RunConfig, device: torch.device) -> torch.Tensor | None:
    """The (classes, E) text embeddings of the base classes and their versions; None without semantic attention."""
    text = cache.text_embeddings
    if config.text_model is None or text is None:
        return None
    names = cache.class_names
    of_base = text[[names.index(name) for name in config.base_classes]]
    return torch.from_numpy(np.tile(of_base, (len(versions_of(config.training)), 1))).to(device)


def base_source(cache: FrameMapCache, config: RunConfig, device: torch.device) -> BatchSource:
    """Make the batches of the base videos, and say where they differ from what was asked for."""
    training = config.training
    numbers = {name: number for number, name in enumerate(config.base_classes)}
    rows = np.array([row for row in cache.rows() if cache.videos.label[row] in numbers], dtype=np.int64)
    versions = versions_of(training)
    of_videos = np.array([numbers[cache.videos.label[row]] for row in rows], dtype=np.int64)
    labels = with_versions(of_videos, len(numbers), len(versions))
    draw = ClassDraw(
        labels,
        [name + version.suffix for version in versions for name in config.base_classes],
        classes_per_batch=training.classes_per_batch,
        videos_per_class=training.videos_per_class,
        seed=training.seed,
    )
    if draw.left_out:
        logger.info(f"left out, with fewer than {training.videos_per_class} videos: {', '.join(draw.left_out)}")
    if draw.classes_per_batch < training.classes_per_batch:
        logger.info(
            f"{draw.classes_per_batch} classes a batch instead of {training.classes_per_batch}: there are no more"
        )
    return BatchSource(
        cache,
        rows,
        labels,
        draw,
        device=device,
        map_storage=training.map_storage,
        num_workers=training.num_workers,
        views=training.views,
        host_bytes=memory_limit() // processes_here(),
        share=rank_slice(draw.size),
        versions=versions,
        grid=cache.grid,
    )
