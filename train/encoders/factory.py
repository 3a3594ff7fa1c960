"""The encoder that a method needs."""

from __future__ import annotations

from collections.abc import Mapping

from hcl.train.config import TrainConfig
from hcl.train.encoders.baseline_encoder import BaselineEncoder
from hcl.train.encoders.layer4 import Layer4
from hcl.train.encoders.untrained import MeanMaps, Untrained
from hcl.train.encoders.video_encoder import VideoEncoder

Trainable = VideoEncoder | BaselineEncoder
Encoder = Trainable | MeanMaps | Untrained


def make_encoder(
    config: TrainConfig, shape: Mapping[str, int | None], layer4: Layer4 | None = None
) -> Trainable | MeanMaps:
    """Make the encoder of config.method with its first weights.

    Args:
        config: of the training
        shape: channels, frames, patches and inputs of the maps of layer 4; for hcl, also classes and text_width
        layer4: where maps are those of layer 3
    """
    if config.method == "resnet":
        return MeanMaps()
    made = VideoEncoder if config.method == "hcl" else BaselineEncoder
    return made(config, **shape, layer4=layer4)  # type: ignore[arg-type]
