"""The encoders of HCL's baselines: the same trunk, and of its frame embeddings what each method scores from."""

from __future__ import annotations

from torch import Tensor, nn

from hcl.train.config import TrainConfig
from hcl.train.encoders.layer4 import Layer4
from hcl.train.encoders.trunk import Trunk, first_weights
from hcl.train.encoders.tuple_head import TupleHead


class BaselineEncoder(Trunk):
    """The trunk and the head of a method; its first weights follow from config.seed alone.

    Args:
        config: the method and the encoder's settings are read, the others are not
        channels: of the maps, of layer 4
        frames: T, of the maps
        patches: P, of the maps, of layer 4
        layer4: as the trunk takes it
    """

    reads_text = False

    def __init__(
        self, config: TrainConfig, *, channels: int, frames: int, patches: int, layer4: Layer4 | None = None
    ) -> None:
        with first_weights(config.seed):
            super().__init__(config, channels=channels, frames=frames, patches=patches, layer4=layer4)
            self.head = make_head(config.method, frames, config.dim)
        self.method = config.method

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        """Embed videos: (B, T, P, C) to the method's arrays (B, ...), float32, by their names in a store."""
        frame_features = self.patch_embeddings(maps).mean(dim=2)  # (B, T, D)
        return {name: array.float() for name, array in self.head(frame_features).items()}


def make_head(method: str, frames: int, width: int) -> nn.Module:
    """Make the part that differs from method to method."""
    if method == "trx":
        return TupleHead(frames, width)
    heads: dict[str, type[nn.Module]] = {"protonet": VideoHead, "matchingnet": VideoHead, "otam": FrameHead}
    return heads[method]()


class VideoHead(nn.Module):
    """One embedding a video."""

    def forward(self, frame_features: Tensor) -> dict[str, Tensor]:
        """(B, T, D) to (B, D)."""
        return {"global": frame_features.mean(dim=1)}


class FrameHead(nn.Module):
    """One embedding a frame."""

    def forward(self, frame_features: Tensor) -> dict[str, Tensor]:
        """(B, T, D) as they are."""
        return {"frames": frame_features}
