"""The encoder that a method needs."""

from __future__ import annotations

from collections.abc import Mapping

from hcl.train.config import TrainConfig
from hcl.train.encoder import VideoEncoder
from hcl.train.peer_encoder import PeerEncoder
from hcl.train.untrained import MeanMaps, Untrained

Trainable = VideoEncoder | PeerEncoder
Encoder = Trainable | MeanMaps | Untrained


def make_encoder(config: TrainConfig, shape: Mapping[str, int | None]) -> Trainable | MeanMaps:
    """Make the encoder of config.method with its first weights.

    Args:
        config: of the training
        shape: channels, frames and patches of the maps; for hcl, also classes and text_width
    """
    if config.method == "resnet":
        return MeanMaps()
    made = VideoEncoder if config.method == "hcl" else PeerEncoder
    return made(config, **shape)  # type: ignore[arg-type]
