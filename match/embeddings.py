"""What the encoder knows of each video, and all that matching needs: the embeddings of HCL, and named arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Arrays = Mapping[str, Tensor]  # of some videos, by their names in the embedding store
Clips = tuple[tuple[int, ...], ...]
HCL_AXES = {
    "global": ("video", "embedding"),
    "clips": ("video", "clip", "embedding"),
    "patches": ("video", "frame", "patch", "embedding"),
    "class_keys": ("video", "embedding"),
}
KNOWN_AXES = {  # what is known of a video without gradients, beside the arrays of HCL: levels of their own
    "appearance": ("video", "direction"),
    "motion": ("video", "direction"),
    "change": ("video", "direction"),
    "difference": ("video", "direction"),
    "difference_motion": ("video", "direction"),
    "difference_change": ("video", "direction"),
    "untrained": ("video", "axis"),
    "untrained_motion": ("video", "frame and axis"),
    "untrained_change": ("video", "channel"),
    "untrained_difference": ("video", "axis"),
    "untrained_difference_motion": ("video", "frame and axis"),
    "untrained_difference_change": ("video", "channel"),
}
ZERO_SHOT_AXES = {  # of a model of images and texts, beside the arrays of every method
    "image_embedding": ("video", "text space"),
    "class_text": ("video", "text space"),
}
MEAN_MAP = {"mean_map": ("video", "channel")}  # of the ResNet without training, beside the arrays of every method


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of V videos on three levels, un-normalised; they have no unit (section 3.1 of the paper).

    Every field is used as given: `global_` and `clips` are not recomputed from `patches`.

    Args:
        global_: (V, D), one embedding per video
        clips: (V, Nc, D), one per clip (Eq. 1)
        patches: (V, T, P, D), one per patch of each frame, patches row by row
        clip_frames: the frames of each of the Nc clips, counted from 0; clips of several sizes may be mixed
        class_keys: (V, D), W e_y of each video's class (Eq. 5); None: no semantic attention

    Raises:
        ValueError: if the arrays do not describe the same videos, clips or width, or an axis is empty
    """

    global_: Tensor  # (V, D)
    clips: Tensor  # (V, Nc, D)
    patches: Tensor  # (V, T, P, D)
    clip_frames: Clips  # the frames of each of the Nc clips; sizes may be mixed
    class_keys: Tensor | None = None  # (V, D), W e_y of each video's class (Eq. 5)

    def __post_init__(self) -> None:
        """Refuse arrays that do not describe the same videos, clips or width."""
        shapes = {name: tuple(array.shape) for name, array in self._arrays().items()}
        for name, axes in (("global_", 2), ("clips", 3), ("patches", 4), ("class_keys", 2)):
            if len(shapes.get(name, "?" * axes)) != axes:
                raise ValueError(f"{name} must have {axes} axes, got {shapes}")
        if len({(shape[0], shape[-1]) for shape in shapes.values()}) != 1:
            raise ValueError(f"videos (first axis) or embedding width (last axis) differ: {shapes}")
        if any(0 in shape[1:] for shape in shapes.values()):
            raise ValueError(f"an axis is empty: {shapes}")
        if len(self.clip_frames) != self.clips.shape[1]:
            raise ValueError(f"clip_frames names {len(self.clip_frames)} clips, clips is {shapes['clips']}")
        frames = self.patches.shape[1]
        for clip in self.clip_frames:
            if not clip or min(clip) < 0 or max(clip) >= frames:
                raise ValueError(f"clip_frames: {clip} is not of the {frames} frames in patches {shapes['patches']}")

    @classmethod
    def of_arrays(cls, arrays: Arrays, clip_frames: Clips) -> Embeddings:
        """Make embeddings of arrays by their names in a store, as `arrays` gives them."""
        return cls(arrays["global"], arrays["clips"], arrays["patches"], clip_frames, arrays.get("class_keys"))

    def __len__(self) -> int:
        return len(self.global_)

    def arrays(self) -> dict[str, Tensor]:
        """All arrays by their names in an embedding store."""
        return {name.rstrip("_"): array for name, array in self._arrays().items()}

    def to(self, dtype: torch.dtype) -> Embeddings:
        """Give all arrays one type; patches that come from a store are float16, the other arrays float32."""
        return Embeddings(
            clip_frames=self.clip_frames, **{name: array.to(dtype) for name, array in self._arrays().items()}
        )

    @property
    def is_mixed(self) -> bool:
        """Whether the arrays are of several types."""
        return len({array.dtype for array in self._arrays().values()}) > 1

    def rows(self, index: slice | Tensor) -> Embeddings:
        """Take some of the videos; a slice shares their memory."""
        return Embeddings(
            clip_frames=self.clip_frames, **{name: array[index] for name, array in self._arrays().items()}
        )

    def _arrays(self) -> dict[str, Tensor]:
        arrays = {"global_": self.global_, "clips": self.clips, "patches": self.patches}
        return arrays if self.class_keys is None else arrays | {"class_keys": self.class_keys}
