"""From frame maps to embeddings on three levels: section 3.1 of the paper.

Sipeng Zheng, Shizhe Chen, Qin Jin: Few-shot Action Recognition with Hierarchical Matching and Contrastive Learning,
2022. The backbone is frozen and its cached maps are the input; layer 4 alone may run, and be finetuned, here.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn

from hcl.extract.system.errors import InputError
from hcl.match.embeddings import Clips, Embeddings
from hcl.match.scoring.cosines import l2_normalise
from hcl.train.config import TrainConfig
from hcl.train.encoders.layer4 import Layer4
from hcl.train.encoders.trunk import Trunk, begin_at_zero, first_weights
from hcl.train.encoders.untrained import ordered_frames

GATE_POWER = 3  # of the cosine to the most similar base class; chosen on val classes of two real sets


def all_clips(frames: int, sizes: tuple[int, ...]) -> Clips:
    """List every increasing tuple of frames of the given sizes: 28 pairs of 8 frames."""
    if max(sizes) > frames:
        raise InputError(
            f"clips of {max(sizes)} frames need as many frames per video, the cache has {frames}; lower --clip-sizes"
        )
    return tuple(clip for size in sizes for clip in combinations(range(frames), size))


class VideoEncoder(Trunk):
    """HCL's encoder: the trunk, one MLP for each size of clip, and a projection of class texts.

    Its first weights follow from config.seed alone.

    Args:
        config: the encoder's settings are read, the others are not
        channels: of the maps, of layer 4
        frames: T, of the maps
        patches: P, of the maps, of layer 4
        inputs: I, as the trunk takes it
        classes: base classes, for the cross entropy
        text_width: width of the class text embeddings; None: there are none, hence no class keys
        layer4: the backbone's own, where maps are those of layer 3 (see Trunk)
    """

    method = "hcl"

    def __init__(
        self,
        config: TrainConfig,
        *,
        channels: int,
        frames: int,
        patches: int,
        inputs: int = 1,
        classes: int,
        text_width: int | None = None,
        layer4: Layer4 | None = None,
    ) -> None:
        with first_weights(config.seed):
            super().__init__(config, channels=channels, frames=frames, patches=patches, inputs=inputs, layer4=layer4)
            mlps = {str(size): ClipMlp(config, size) for size in config.clip_sizes}
            self.clip_mlps = nn.ModuleDict(mlps)
            self.class_projection = nn.Linear(text_width, config.dim, bias=False) if text_width else None
            self.classifier = nn.Linear(config.dim, classes)
        self.is_gated = config.attention_gate == "similarity"
        self.register_buffer("mean_text", torch.zeros(text_width) if text_width else None)
        self.register_buffer("base_texts", torch.zeros(classes, text_width) if text_width else None)  # of length 1
        if self.starts_at_maps:
            for mlp in mlps.values():
                begin_at_zero(mlp.out)
        self.clip_frames = all_clips(frames, config.clip_sizes)

    mean_text: Tensor
    base_texts: Tensor

    @property
    def reads_text(self) -> bool:
        """Whether class texts become class keys."""
        return self.class_projection is not None

    def forward(self, maps: Tensor, text: Tensor | None = None) -> Embeddings:
        """Embed videos.

        Args:
            maps: (B, T, P, C), float16, bfloat16 or float32
            text: (B, E), text embedding of each video's class; None: no class keys

        Returns:
            un-normalised float32 embeddings of the B videos
        """
        keys = None if text is None else self.class_keys(text)
        return Embeddings(*self.levels(maps), clip_frames=self.clip_frames, class_keys=keys)

    def levels(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Embed videos on the three levels, as plain tensors.

        Args:
            maps: (B, T, P, C)

        Returns:
            global (B, D), clips (B, Nc, D) and patches (B, T, P, D) embeddings, float32
        """
        patch_embeddings = self.patch_embeddings(maps)  # (B, T, P, D)
        frame_features = patch_embeddings.mean(dim=2)  # (B, T, D)
        return frame_features.mean(dim=1), self._clips(frame_features).float(), patch_embeddings

    def logits(self, global_: Tensor) -> Tensor:
        """Score the base classes: (B, D) to (B, classes)."""
        logits: Tensor = self.classifier(global_)
        return logits

    def class_keys(self, text: Tensor) -> Tensor:
        """Project text embeddings to the keys W e_y of Eq. 5: (K, E) to (K, D).

        In evaluation, those of classes that are unlike the base classes are made shorter (`text_gate`).
        """
        if self.class_projection is None:
            raise ValueError("this encoder was made without text_width and has no class projection")
        keys: Tensor = self.class_projection(text)
        return self.text_gate(text)[:, None] * keys.float() if self.is_gated and not self.training else keys.float()

    def remember_texts(self, text: Tensor) -> None:
        """Keep the text embeddings (classes, E) of the base classes, which `text_gate` compares others with."""
        self.mean_text.copy_(text.mean(dim=0))
        self.base_texts.copy_(l2_normalise(text - self.mean_text))

    def text_gate(self, text: Tensor) -> Tensor:
        """How far W is trusted on texts: it has learned from those of the base classes alone.

        Args:
            text: (K, E), text embeddings of classes

        Returns:
            (K,), the cosine to the most similar base text, both minus the mean of the base texts, to the power of
            GATE_POWER: 1 for a base class, near 0 for a class unlike all of them, whose patches then weigh alike;
            1 for all before `remember_texts`
        """
        cosines = l2_normalise(text.float() - self.mean_text) @ self.base_texts.T  # (K, classes)
        gate = cosines.amax(dim=1).clamp(0, 1) ** GATE_POWER
        return torch.where(self.base_texts.any(), gate, 1.0)  # on the device: nothing waits for it

    def _clips(self, frame_features: Tensor) -> Tensor:
        """Embed the clips, in the order of clip_frames: (B, T, D) to (B, Nc, D), Eq. 1.

        Where the encoder starts at the maps, the MLP adds to the sum of the clip's frames, in their order.
        """
        embedded = []
        for size, mlp in self.clip_mlps.items():
            clips = [clip for clip in self.clip_frames if len(clip) == int(size)]
            frames = frame_features[:, clips]  # (B, Nc of this size, size, D)
            of_size = mlp(frames.flatten(2))  # (B, Nc of this size, D)
            embedded.append(of_size + ordered_frames(frames) if self.starts_at_maps else of_size)
        return torch.cat(embedded, dim=1)


class ClipMlp(nn.Module):
    """The MLP of Eq. 1 for clips of `size` frames."""

    def __init__(self, config: TrainConfig, size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size * config.dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(config.dim, config.dim)

    def forward(self, frames: Tensor) -> Tensor:
        """(..., size * D) to (..., D)."""
        embedded: Tensor = self.out(self.dropout(nn.functional.gelu(self.hidden(frames))))
        return embedded
