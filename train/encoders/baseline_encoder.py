"""The encoder of a method other than HCL: the same trunk, the method's own head, and its matcher if it has one."""

from __future__ import annotations

from torch import Tensor

from hcl.extract.system.errors import InputError
from hcl.match.methods.matcher import MatcherWeights, bound, make_matcher
from hcl.match.methods.registry import Method, find_method
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
            self.matcher = make_matcher(method, frames, config.dim)
        self.method, self.array_names = config.method, tuple(method.axes)
        self._scores, self._sizes = method, (frames, config.dim)

    @property
    def scorer(self) -> Method:
        """The method with the weights of its matcher: what scores the arrays that this encoder gives."""
        return bound(self._scores, self.matcher)

    @property
    def matcher_weights(self) -> MatcherWeights | None:
        """What a store must keep beside the arrays of videos; None where the method has no matcher."""
        return None if self.matcher is None else MatcherWeights.of(self.matcher, *self._sizes)

    def known(self, maps: Tensor) -> dict[str, Tensor]:
        """Nothing: a baseline scores from its own arrays alone."""
        return {}

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        """Embed videos: (B, T, P, C) to the method's arrays (B, ...), float32, by their names in a store.

        Raises:
            InputError: if the head gives other arrays than the method scores from
        """
        patches = self.patch_embeddings(maps)  # (B, T, P or fewer, D)
        arrays = self.head(patches if getattr(self.head, "takes_patches", False) else patches.mean(dim=2))
        if set(arrays) != set(self.array_names):
            raise InputError(
                f"method {self.method}: its head gives the arrays {', '.join(arrays)}, its axes name"
                f" {', '.join(self.array_names)}; correct one of them"
            )
        return {name: arrays[name].float() for name in arrays}
