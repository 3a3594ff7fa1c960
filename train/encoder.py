"""From frame maps to embeddings on three levels: section 3.1 of the paper.

Sipeng Zheng, Shizhe Chen, Qin Jin: Few-shot Action Recognition with Hierarchical Matching and Contrastive Learning,
2022. The backbone is frozen and ran before: its maps are the input.
"""

from __future__ import annotations

from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hcl.extract.errors import InputError
from hcl.match.embeddings import Clips, Embeddings
from hcl.train.config import TrainConfig


def all_clips(frames: int, sizes: tuple[int, ...]) -> Clips:
    """List every increasing tuple of frames of the given sizes: 28 pairs of 8 frames."""
    if max(sizes) > frames:
        raise InputError(
            f"clips of {max(sizes)} frames need as many frames per video, the cache has {frames}; lower --clip-sizes"
        )
    return tuple(clip for size in sizes for clip in combinations(range(frames), size))


class VideoEncoder(nn.Module):
    """A linear projection, a transformer over all patches of a video, and one MLP for each size of clip.

    Its first weights follow from config.seed alone.

    Args:
        config: the encoder's settings are read, the others are not
        channels: of the maps
        frames: T, of the maps
        patches: P, of the maps
        classes: base classes, for the cross entropy
        text_width: width of the class text embeddings; None: there are none, hence no class keys
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        channels: int,
        frames: int,
        patches: int,
        classes: int,
        text_width: int | None = None,
    ) -> None:
        super().__init__()
        self.clip_frames = all_clips(frames, config.clip_sizes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.projection = nn.Linear(channels, config.dim)
            self.of_frame = nn.Parameter(torch.empty(frames, 1, config.dim))
            self.of_patch = nn.Parameter(torch.empty(patches, config.dim))
            nn.init.trunc_normal_(self.of_frame, std=0.02)
            nn.init.trunc_normal_(self.of_patch, std=0.02)
            self.blocks = nn.Sequential(*(TransformerBlock(config) for _ in range(config.blocks)))
            self.norm = nn.LayerNorm(config.dim)
            self.clip_mlps = nn.ModuleDict({str(size): clip_mlp(config, size) for size in config.clip_sizes})
            self.class_projection = nn.Linear(text_width, config.dim, bias=False) if text_width else None
            self.classifier = nn.Linear(config.dim, classes)

    def forward(self, maps: Tensor, text: Tensor | None = None) -> Embeddings:
        """Embed videos.

        Args:
            maps: (B, T, P, C), float16, bfloat16 or float32
            text: (B, E), text embedding of each video's class; None: no class keys

        Returns:
            un-normalised float32 embeddings of the B videos
        """
        frames, patches, channels = len(self.of_frame), len(self.of_patch), self.projection.in_features
        if maps.shape[1:] != (frames, patches, channels):
            raise ValueError(f"{maps.shape = } is not (B, {frames}, {patches}, {channels})")
        if not torch.is_autocast_enabled(maps.device.type):
            maps = maps.to(self.projection.weight.dtype)
        tokens = self.projection(maps) + self.of_frame + self.of_patch  # (B, T, P, D)
        tokens = self.norm(self.blocks(tokens.flatten(1, 2))).float()  # (B, T * P, D)
        patch_embeddings = tokens.unflatten(1, (frames, patches))  # (B, T, P, D)
        frame_features = patch_embeddings.mean(dim=2)  # (B, T, D)
        return Embeddings(
            global_=frame_features.mean(dim=1),
            clips=self._clips(frame_features).float(),
            patches=patch_embeddings,
            clip_frames=self.clip_frames,
            class_keys=None if text is None else self.class_keys(text),
        )

    def logits(self, global_: Tensor) -> Tensor:
        """Score the base classes: (B, D) to (B, classes)."""
        logits: Tensor = self.classifier(global_)
        return logits

    def class_keys(self, text: Tensor) -> Tensor:
        """Project text embeddings to the keys W e_y of Eq. 5: (K, E) to (K, D)."""
        if self.class_projection is None:
            raise ValueError("this encoder was made without text_width and has no class projection")
        keys: Tensor = self.class_projection(text)
        return keys.float()

    def _clips(self, frame_features: Tensor) -> Tensor:
        """Embed the clips, in the order of clip_frames: (B, T, D) to (B, Nc, D), Eq. 1."""
        embedded = []
        for size, mlp in self.clip_mlps.items():
            clips = [clip for clip in self.clip_frames if len(clip) == int(size)]
            embedded.append(mlp(frame_features[:, clips].flatten(2)))  # (B, Nc of this size, D)
        return torch.cat(embedded, dim=1)


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
        self.feedforward = nn.Sequential(
            nn.Linear(config.dim, config.feedforward), nn.GELU(), nn.Linear(config.feedforward, config.dim)
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, D) to (B, N, D)."""
        tokens = tokens + self.dropout(self._attend(self.attention_norm(tokens)))
        enriched: Tensor = tokens + self.dropout(self.feedforward(self.feedforward_norm(tokens)))
        return enriched

    def _attend(self, tokens: Tensor) -> Tensor:
        parts = self.queries_keys_values(tokens).unflatten(2, (3, self.heads, -1))  # (B, N, 3, heads, D / heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)  # each (B, heads, N, D / heads)
        attended = F.scaled_dot_product_attention(queries, keys, values)
        joined: Tensor = self.attention_out(attended.transpose(1, 2).flatten(2))
        return joined


def clip_mlp(config: TrainConfig, size: int) -> nn.Sequential:
    """Make the MLP of Eq. 1 for clips of `size` frames."""
    return nn.Sequential(
        nn.Linear(size * config.dim, config.dim),
        nn.GELU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.dim, config.dim),
    )
