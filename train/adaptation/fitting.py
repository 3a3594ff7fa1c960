"""The training of an adaptation: the weights of a run learn on, with classes of further clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from hcl.extract.cache.video_table import Rows
from hcl.extract.system.device import choose_device
from hcl.extract.system.errors import InputError
from hcl.match.scoring.cosines import l2_normalise
from hcl.train.adaptation.carry_over import OF_CLASSES, carry_over, class_rows
from hcl.train.adaptation.planning import Adaptation
from hcl.train.data.map_source import MapSource
from hcl.train.encoders.factory import make_encoder
from hcl.train.encoders.video_encoder import VideoEncoder
from hcl.train.fitting.loop import fit
from hcl.train.runs.fit_run import base_batches, base_texts
from hcl.train.runs.run_folder import CHECKPOINT, RunConfig, load_encoder
from hcl.train.runs.tracking.metrics_log import metrics_log


def adapted_state(folder: Path, plan: Adaptation, rows: Rows) -> dict[str, Tensor]:
    """Train the run's weights further, from the checkpoint of the folder if it has one.

    The last weights are those: no val class can say when an encoder knows the classes of the clips. The geometry of the
    base videos stays the run's.

    Args:
        folder: for the checkpoint and the metrics
        plan: what is learned from
        rows: (V,) of the clips' cache

    Returns:
        weights for the classes of `plan.run_config(rows)`, on the CPU
    """
    joined = plan.learned_from(rows)
    config, before = plan.training_config(joined), plan.run.config
    training = config.training
    source = MapSource(joined, plan.weights, choose_device(training.device))
    texts = base_texts(source, config)
    trained = load_encoder(plan.run.folder).state_dict()
    encoder = _start(config, source, trained, before.base_classes, texts)
    folder.mkdir(parents=True, exist_ok=True)
    with metrics_log(folder, training) as log:
        fitted = fit(
            encoder,
            base_batches(source, training),
            training,
            text=texts,
            checkpoint=folder / CHECKPOINT,
            on_steps=log.steps,
            on_epoch=log.epoch,
        )
    classes = plan.run_config(rows).base_classes
    return widened(fitted.state, config.base_classes, trained, before.base_classes, classes, versions_of(config))


def _start(
    config: RunConfig, source: MapSource, trained: Mapping[str, Tensor], old: Sequence[str], texts: Tensor | None
) -> VideoEncoder:
    """The encoder of a run, for the classes of `config`, on the device."""
    encoder = make_encoder(config.training, config.encoder, source.layer4).to(source.device)
    if not isinstance(encoder, VideoEncoder):
        raise ValueError(f"{type(encoder)} learns no classes")
    fresh = encoder.state_dict()
    if texts is not None:  # as `remember_texts`, by the mean that the run's gate is measured from
        fresh["base_texts"] = l2_normalise(texts - trained["mean_text"].to(texts))
    encoder.load_state_dict(carry_over(fresh, trained, old, config.base_classes, versions_of(config)))
    return encoder


def versions_of(config: RunConfig) -> int:
    """The versions of each base class that an encoder of the run tells apart."""
    classes = config.encoder["classes"]
    if not classes or classes % len(config.base_classes):
        raise InputError(f"{classes} outputs for {len(config.base_classes)} base classes; train the run anew")
    return classes // len(config.base_classes)


def widened(
    state: Mapping[str, Tensor],
    learned: Sequence[str],
    before: Mapping[str, Tensor],
    old: Sequence[str],
    wanted: Sequence[str],
    versions: int,
) -> dict[str, Tensor]:
    """Give weights rows for all the classes that were ever trained on.

    Args:
        state: weights for the classes `learned`
        learned: classes that were learned from now
        before: weights for the classes `old`
        old: classes that were learned from before
        wanted: classes of the result, each learned now or before
        versions: of each class
    """
    result = dict(state)
    for name in OF_CLASSES:
        if name not in state:
            continue
        rows = torch.zeros(len(wanted) * versions, *state[name].shape[1:], dtype=state[name].dtype)
        for weights, classes in ((before, old), (state, learned)):
            to, since = class_rows(classes, wanted, versions)
            rows[to] = weights[name][since].to(rows)
        result[name] = rows
    return result
