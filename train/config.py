"""What one training does; free of heavy imports so that the command line can show the defaults at once."""

from dataclasses import dataclass

from hcl.extract.system.errors import InputError
from hcl.match.config import ATTENTION_SCALES, METHODS

OPTIMISERS = ("adamw", "sgd")
TUNED = ("none", "layer4")
PRECISIONS = ("auto", "float32", "bfloat16")
NORMALISATIONS = ("per_positive", "literal")
EXTRA_CLASSES = ("none", "hflip", "reverse", "both")
MAP_STORAGES = ("auto", "device", "host", "disk")
TERMS = (
    "cross_entropy",
    "global_contrast",
    "temporal_contrast",
    "temporal_cycle",
    "spatial_contrast",
    "spatial_cycle",
)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The encoder, its objective and its schedule; the defaults are those of the quick preset."""

    preset: str = "quick"  # where the settings started from
    method: str = "hcl"  # the others are baselines of it: the same trunk, schedule and batches, their own head and loss
    # backbone
    finetune: str = "none"  # what of it learns; "layer4" needs a cache that ends before it
    backbone_lr: float = 0.0001  # of what is tuned, which does not decay towards zero
    skip_layer4: bool = False  # see the maps of layer 3, averaged to layer 4's grid, of a cache that ends there
    weights: str = "auto"  # of the backbone, where the cache ends before layer 4; "auto": those that the cache names
    # encoder
    dim: int = 256  # D, width of every embedding
    depth: int = 1  # transformer blocks
    heads: int = 4
    mlp_dim: int = 1024  # hidden width of a transformer block
    dropout: float = 0.1  # on what a block and a clip's MLP add
    normalise_maps: bool = True  # to mean 0 and variance 1 over the channels of each patch, before the projection
    motion: bool = True  # add a projection of each patch's difference from its mean over the frames
    patch_keep_rate: float = 0.5  # share of a video's patches that a training step sees, the same in all frames
    channel_dropout: float = 0.0  # share of a video's channels that are zero in a training step
    class_augmentation: str = "hflip"  # base videos that are turned so are classes of their own
    clip_sizes: tuple[int, ...] = (2,)  # frames per clip; every increasing tuple of frames is a clip
    # scores and losses
    top_clips: int = 10  # the paper's T
    top_patches: int = 10  # the paper's S
    temperature: float = 0.1  # of Eq. 7
    cycle_temperature: float = 0.05  # of both softmaxes of Eq. 8 to 10, which have none: 1
    semantic_attention: bool = True  # Eq. 5 weighs the patches; False: every weight is 1
    attention_scale: str = "mean_one"
    contrast_normalisation: str = "per_positive"  # "literal" divides Eq. 7 by B squared
    global_weight: float = 0.5  # the paper's lambda_g, lambda_t and lambda_s
    temporal_weight: float = 0.3
    spatial_weight: float = 0.3
    label_smoothing: float = 0.0  # of the cross entropy
    cross_entropy: bool = True
    global_contrast: bool = True
    temporal_contrast: bool = True
    temporal_cycle: bool = True
    spatial_contrast: bool = True
    spatial_cycle: bool = True
    # schedule
    classes_per_batch: int = 18  # all classes, where there are fewer
    videos_per_class: int = 2
    optimiser: str = "adamw"
    learning_rate: float = 0.001
    momentum: float = 0.9  # sgd only
    weight_decay: float = 0.05
    lr_step_size: int = 2  # epochs
    lr_gamma: float = 0.5
    epochs: int = 4
    steps_per_epoch: int = 25
    ema_decay: float = 0.9  # decay of a running mean of the weights, validated and kept; 0: the weights themselves
    max_grad_norm: float = 1.0  # largest norm of the gradient; 0: as it comes
    precision: str = "auto"
    device: str = "auto"
    map_storage: str = "auto"  # where the maps lie while training
    views: int = 0  # of each video, to draw from; 0: all that the cache holds
    test_views: int = 0  # of each val and novel video, whose embeddings are averaged; 0: all, 1: the canonical one
    num_workers: int = 4  # threads that read maps ahead
    checkpoint_every: int = 500  # steps; one is also written after each epoch
    tensorboard: bool = True  # scalars in the folder of the run
    seed: int = 0
    # validation
    val_episodes: int = 500
    val_way: int = 5

    def __post_init__(self) -> None:
        for name, least in _AT_LEAST.items():
            if not getattr(self, name) >= least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in _ABOVE_ZERO:
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0, got {getattr(self, name)}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        for name in ("dropout", "channel_dropout", "label_smoothing", "ema_decay"):
            if not getattr(self, name) < 1:
                raise InputError(f"{name} must be below 1, got {getattr(self, name)}")
        if self.method not in METHODS:
            from hcl.match.methods.registry import find_method  # loads torch: for a method of one's own alone

            find_method(self.method)
        if self.finetune != "none" and self.method == "resnet":
            raise InputError("method resnet trains nothing; leave out --finetune")
        if self.finetune != "none" and self.skip_layer4:
            raise InputError(f"skip_layer4 leaves out what --finetune {self.finetune} would change; give one of them")
        if self.patch_keep_rate > 1:
            raise InputError(f"patch_keep_rate must be at most 1, which is all of them, got {self.patch_keep_rate}")
        if self.dim % self.heads:
            raise InputError(f"dim must be a multiple of heads, got dim {self.dim} and heads {self.heads}")
        if not self.clip_sizes or min(self.clip_sizes) < 1 or len(set(self.clip_sizes)) < len(self.clip_sizes):
            raise InputError(f"clip_sizes must be distinct numbers of frames, such as 2 or 2,3; got {self.clip_sizes}")
        if not any(getattr(self, term) for term in TERMS):
            raise InputError(f"every loss term is switched off; leave on at least one of {', '.join(TERMS)}")
        if self.method not in ("hcl", "resnet") and self.videos_per_class < 2:
            raise InputError(
                f"method {self.method} learns from queries and supports:"
                f" videos_per_class must be at least 2, got {self.videos_per_class}"
            )


_AT_LEAST = {
    "dim": 1,
    "depth": 0,
    "heads": 1,
    "mlp_dim": 1,
    "dropout": 0,
    "channel_dropout": 0,
    "label_smoothing": 0,
    "top_clips": 1,
    "top_patches": 1,
    "global_weight": 0,
    "temporal_weight": 0,
    "spatial_weight": 0,
    "classes_per_batch": 2,
    "videos_per_class": 1,
    "momentum": 0,
    "weight_decay": 0,
    "lr_step_size": 1,
    "epochs": 1,
    "steps_per_epoch": 1,
    "ema_decay": 0,
    "max_grad_norm": 0,
    "views": 0,
    "test_views": 0,
    "num_workers": 1,
    "checkpoint_every": 1,
    "seed": 0,
    "val_episodes": 1,
    "val_way": 2,
}
_ABOVE_ZERO = (
    "patch_keep_rate",
    "temperature",
    "cycle_temperature",
    "learning_rate",
    "backbone_lr",
    "lr_gamma",
)
CHOICES = {
    "preset": ("quick", "paper"),
    "finetune": TUNED,
    "attention_scale": ATTENTION_SCALES,
    "contrast_normalisation": NORMALISATIONS,
    "optimiser": OPTIMISERS,
    "precision": PRECISIONS,
    "class_augmentation": EXTRA_CLASSES,
    "map_storage": MAP_STORAGES,
}

# What the paper gives (section 4.1), then what it leaves open: D, the block and the rest of SGD.
_PAPER: dict[str, object] = {
    "classes_per_batch": 24,
    "videos_per_class": 2,
    "global_weight": 0.5,
    "temporal_weight": 0.3,
    "spatial_weight": 0.3,
    "top_clips": 10,
    "top_patches": 10,
    "optimiser": "sgd",
    "learning_rate": 0.001,
    "backbone_lr": 0.001,
    "lr_step_size": 6,
    "lr_gamma": 0.5,
    "epochs": 15,
    "steps_per_epoch": 3000,
    "dim": 512,
    "heads": 8,
    "mlp_dim": 2048,
    "momentum": 0.9,
    "weight_decay": 0.0005,
    "max_grad_norm": 0.0,
    "normalise_maps": False,
    "motion": False,
    "patch_keep_rate": 1.0,
    "ema_decay": 0.0,
    "cycle_temperature": 1.0,
    "class_augmentation": "none",
    "test_views": 1,
}
PRESETS: dict[str, dict[str, object]] = {"quick": {}, "paper": _PAPER}


def preset_config(name: str, **overrides: object) -> TrainConfig:
    """Make the settings of a preset with some of them changed; an override of None keeps the preset's value."""
    if name not in PRESETS:
        raise InputError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}")
    given = {key: value for key, value in overrides.items() if value is not None}
    settings: dict[str, object] = {"preset": name, **PRESETS[name], **given}
    return TrainConfig(**settings)  # type: ignore[arg-type]  # the names are checked by the dataclass
