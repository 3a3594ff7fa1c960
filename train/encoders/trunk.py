"""What every encoder begins with: a transformer from frame maps to patch embeddings in view of the whole video.

It may start at the maps: turned onto the base set's principal axes, they pass through a residual path, and all that
learns begins at zero. Such an encoder scores as the centred maps do before it learns, and training adds to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hcl.match.config import HCL
from hcl.train.config import TrainConfig
from hcl.train.encoders.geometry import BaseVideo, Geometry
from hcl.train.encoders.layer4 import Averaged, Layer4, to_matmul_dtype

GAIN_RATE = 100  # how much faster the gains of the residual path learn: an axis that misleads can be turned off in time


class Augmentation(nn.Module):
    """Leaves out patches and channels at random while training; in evaluation mode maps stay as they are.

    Random numbers come from torch's generator, as those of dropout do.

    Args:
        patch_keep_rate: share of the patches that are kept, the same in all frames of a video
        channel_dropout: share of the channels that are zero in all of a video; the others are scaled up
    """

    def __init__(self, *, patch_keep_rate: float, channel_dropout: float) -> None:
        super().__init__()
        self.patch_keep_rate, self.channel_dropout = patch_keep_rate, channel_dropout

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor | None]:
        """Augment maps.

        Args:
            maps: (B, T, P, C)

        Returns:
            (B, T, K, C), and the places (B, K) of these patches within their frames; None if all are kept
        """
        if not self.training:
            return maps, None
        places = None
        if self.patch_keep_rate < 1:
            places = random_places(len(maps), maps.shape[2], self.patch_keep_rate, maps.device)
            maps = take_patches(maps, places)
        if self.channel_dropout > 0:
            maps = maps * F.dropout(maps.new_ones(len(maps), 1, 1, maps.shape[3]), self.channel_dropout)
        return maps, places


def take_patches(maps: Tensor, places: Tensor) -> Tensor:
    """Take the patches at some places (B, K) of all frames: (B, T, P, C) to (B, T, K, C), row by row."""
    videos, frames, patches, channels = maps.shape
    firsts = torch.arange(videos * frames, device=maps.device).view(videos, frames, 1) * patches
    rows = (firsts + places[:, None]).flatten()
    return maps.reshape(-1, channels).index_select(0, rows).view(videos, frames, -1, channels)


def random_places(videos: int, patches: int, share: float, device: torch.device) -> Tensor:
    """Draw different places for each video: (B, K) int64, K = share * patches, one at least."""
    return torch.rand(videos, patches, device=device).topk(max(1, round(share * patches)), dim=1).indices


@contextmanager
def first_weights(seed: int) -> Iterator[None]:
    """Let the weights that are made within follow from a seed alone; torch's generator is restored afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


class Trunk(nn.Module):
    """A linear projection and a transformer over all patches of a video; the encoders of all methods share it.

    Args:
        config: the encoder's settings are read, the others are not
        channels: of the maps, behind layer 4
        frames: T, of the maps
        patches: P, of the maps, behind layer 4
        inputs: I, images that were mapped for each frame: their channels stand side by side
        layer4: runs first where maps are those of layer 3; config says if a copy is finetuned or it is skipped
    """

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
        super().__init__()
        self.inputs = inputs
        self.layer4 = Averaged(layer4.grid) if layer4 is not None and config.skip_layer4 else deepcopy(layer4)
        if self.layer4 is not None:
            self.layer4.requires_grad_(config.finetune == "layer4")
        self.augment = Augmentation(patch_keep_rate=config.patch_keep_rate, channel_dropout=config.channel_dropout)
        self.normalise = config.normalise_maps
        self.starts_at_maps = starts_at_maps = config.start == "maps"
        self.geometry: Geometry | None = None
        if starts_at_maps or config.method == HCL:  # whose levels without gradients follow from it
            self.geometry = Geometry(channels=channels, frames=frames, width=config.dim, inputs=inputs)
        inputs = self.geometry.axis_count if self.geometry is not None and starts_at_maps else channels
        self.channels = channels
        self.projection = nn.Linear(inputs, config.dim)
        self.motion_projection = nn.Linear(inputs, config.dim, bias=False) if config.motion else None
        self.gain = nn.Parameter(torch.zeros(config.dim)) if starts_at_maps else None  # see _project
        self.frame_position = nn.Parameter(torch.empty(frames, 1, config.dim))
        self.patch_position = nn.Parameter(torch.empty(patches, config.dim))
        nn.init.trunc_normal_(self.frame_position, std=0.02)
        nn.init.trunc_normal_(self.patch_position, std=0.02)
        blocks = [TransformerBlock(config) for _ in range(config.depth)]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.Identity() if starts_at_maps else nn.LayerNorm(config.dim)
        if starts_at_maps:
            self._begin_at_zero(blocks)

    def _begin_at_zero(self, blocks: Sequence[TransformerBlock]) -> None:
        """Let nothing but the residual path contribute at first."""
        nn.init.zeros_(self.frame_position)
        nn.init.zeros_(self.patch_position)
        begin_at_zero(self.projection)
        if self.motion_projection is not None:
            begin_at_zero(self.motion_projection)
        for block in blocks:
            begin_at_zero(block.attention_out)
            begin_at_zero(block.feedforward_out)

    @torch.no_grad()
    def fit_geometry(self, videos: Iterable[BaseVideo]) -> float | None:
        """Learn the geometry of the base videos, in closed form, where the encoder has one.

        Args:
            videos: their maps as `patch_embeddings` takes them, on the device

        Returns:
            as of `Geometry.fit`; None without a geometry
        """
        if self.geometry is None:
            return None
        return self.geometry.fit(video._replace(maps=self._through_backbone(video.maps)) for video in videos)

    def known(self, maps: Tensor) -> dict[str, Tensor]:
        """Describe videos by what needs no gradients (see Geometry): (B, T, P, C) to (B, ...) by name, or nothing."""
        return {} if self.geometry is None else self.geometry.vectors(self._through_backbone(maps))

    def _through_backbone(self, maps: Tensor) -> Tensor:
        """Run layer 4 where it is missing, and normalise where the residual path takes such maps."""
        if self.layer4 is not None:
            maps = self.layer4(maps)
        return normalised(maps.float(), self.inputs) if self.normalise and self.starts_at_maps else maps

    def patch_embeddings(self, maps: Tensor) -> Tensor:
        """Embed the patches of videos; while training, a random part of them.

        Args:
            maps: (B, T, P, C), float16, bfloat16 or float32; what layer 4 takes, where it runs first

        Returns:
            (B, T, P or fewer, D), float32
        """
        if self.layer4 is not None:
            maps = self.layer4(maps)
        frames, patches, channels = len(self.frame_position), len(self.patch_position), self.channels
        if maps.shape[1:] != (frames, patches, channels):
            raise ValueError(f"{maps.shape = } is not (B, {frames}, {patches}, {channels})")
        maps, places = self.augment(maps)  # (B, T, K, C), (B, K)
        patch_position = self.patch_position if places is None else F.embedding(places, self.patch_position)[:, None]
        tokens = self._project(maps) + self.frame_position + patch_position  # (B, T, K, D)
        tokens = self.norm(self.blocks(tokens.flatten(1, 2))).float()  # (B, T * K, D)
        embeddings: Tensor = tokens.unflatten(1, (frames, -1))
        return embeddings

    def _project(self, maps: Tensor) -> Tensor:
        """(B, T, K, C) to (B, T, K, D); what a patch shows, and how that differs from its mean over the frames."""
        maps = to_matmul_dtype(maps, self.projection.weight)
        if self.normalise:
            maps = normalised(maps, self.inputs)
        if self.geometry is not None and self.starts_at_maps:
            maps = self.geometry.rotate(maps)  # (B, T, K, A)
        tokens: Tensor = self.projection(maps)
        if self.gain is not None:
            tokens = tokens + first_axes(maps, tokens.shape[-1]) * (1 + GAIN_RATE * self.gain).clamp(min=0)
        if self.motion_projection is not None:
            change = self.motion_projection(maps)
            tokens = tokens + change - change.mean(dim=1, keepdim=True)  # linear: as good as projecting the difference
        return tokens


def normalised(maps: Tensor, inputs: int) -> Tensor:
    """Bring the channels of each of I images of a patch to mean 0 and variance 1: (..., I * C) as they are."""
    of_inputs = maps.view(*maps.shape[:-1], inputs, -1)
    return F.layer_norm(of_inputs, of_inputs.shape[-1:]).flatten(-2)


def first_axes(rotated: Tensor, width: int) -> Tensor:
    """Take the principal axes of the largest variance, and zeros where there are fewer: (..., A) to (..., D)."""
    return F.pad(rotated[..., :width], (0, max(0, width - rotated.shape[-1])))


def begin_at_zero(layer: nn.Linear) -> None:
    """Set the weights and the bias of a layer to zero."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class TransformerBlock(nn.Module):
    """Self-attention and a feed-forward layer, each normalised first and added to what came in.

    No dropout within the attention: with it torch leaves its fused attention, which is several times faster.
    """

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.attention_norm = nn.LayerNorm(config.dim)
        self.queries_keys_values = nn.Linear(config.dim, 3 * config.dim)
        self.attention_out = nn.Linear(config.dim, config.dim)
        self.feedforward_norm = nn.LayerNorm(config.dim)
        self.feedforward_in = nn.Linear(config.dim, config.mlp_dim)
        self.feedforward_out = nn.Linear(config.mlp_dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, D) to (B, N, D)."""
        tokens = tokens + self.dropout(self._attend(self.attention_norm(tokens)))
        hidden = F.gelu(self.feedforward_in(self.feedforward_norm(tokens)))
        enriched: Tensor = tokens + self.dropout(self.feedforward_out(hidden))
        return enriched

    def _attend(self, tokens: Tensor) -> Tensor:
        parts = self.queries_keys_values(tokens).unflatten(2, (3, self.heads, -1))  # (B, N, 3, heads, D / heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)  # each (B, heads, N, D / heads)
        attended = F.scaled_dot_product_attention(queries, keys, values)
        joined: Tensor = self.attention_out(attended.transpose(1, 2).flatten(2))
        return joined
