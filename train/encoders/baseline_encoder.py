"""The encoder of a method other than HCL: the same trunk, and the method's own head on its frame embeddings."""

from __future__ import annotations

from torch import Tensor

from hcl.extract.system.errors import InputError
from hcl.match.methods.registry import find_method
from hcl.train.config import TrainConfig
from hcl.train.encoders.layer4 import Layer4
from hcl.train.encoders.trunk import Trunk, first_weights


class BaselineEncoder(Trunk):
    """The trunk and the head of a method; its first weights follow from config.seed alone.

    Args:
        config: the method and the encoder's settings are read, the others are not
        channels: of the maps, of layer 4
        frames: T, of the maps
        patches: P, of the maps, of layer 4
        inputs, layer4: as the trunk takes them
    """

    reads_text = False

    def __init__(
        self,
        config: TrainConfig,
        *,
        channels: int,
        frames: int,
        patches: int,
        inputs: int = 1,
        layer4: Layer4 | None = None,
    ) -> None:
        method = find_method(config.method)
        with first_weights(config.seed):
            super().__init__(config, channels=channels, frames=frames, patches=patches, inputs=inputs, layer4=layer4)
            self.head = method.make_head(frames, config.dim)
        self.method, self.array_names = config.method, tuple(method.axes)

    def known(self, maps: Tensor) -> dict[str, Tensor]:
        """Nothing: a baseline scores from its own arrays alone."""
        return {}

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        """Embed videos: (B, T, P, C) to the method's arrays (B, ...), float32, by their names in a store.

        Raises:
            InputError: if the head gives other arrays than the method scores from
        """
        arrays = self.head(self.patch_embeddings(maps).mean(dim=2))  # of (B, T, D)
        if set(arrays) != set(self.array_names):
            raise InputError(
                f"method {self.method}: its head gives the arrays {', '.join(arrays)}, its axes name"
                f" {', '.join(self.array_names)}; correct one of them"
            )
        return {name: arrays[name].float() for name in arrays}
