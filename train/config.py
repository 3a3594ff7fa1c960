"""What one training does; free of heavy imports so that the command line can show the defaults at once."""

from dataclasses import dataclass
from functools import partial

from hcl.extract.system.errors import InputError
from hcl.extract.system.settings import ADVANCED, INPUT, SPEED, check_distinct, check_settings, preset_values, setting
from hcl.match.config import ATTENTION_SCALES, METHODS

EXPORTS = ("encoder", "text", "backbone")  # what of a run can be exported
PRESETS = ("quick", "paper")
TRACKERS = ("tensorboard", "wandb", "mlflow", "none")
TRAIN_ON = {"base": ("val", "novel"), "val": ("novel",), "all": ()}  # what is learned from: splits that are left out
LARGE_SET = 2000  # base videos from which the paper's schedule is worth a GPU's time
TERMS = (
    "cross_entropy",
    "global_contrast",
    "temporal_contrast",
    "temporal_cycle",
    "spatial_contrast",
    "spatial_cycle",
)
speed, advanced = partial(setting, group=SPEED), partial(setting, group=ADVANCED)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The encoder, its objective and its schedule.

    The defaults are those of the quick preset. The paper preset takes what section 4.1 of the paper gives: batches,
    weights of the losses, T, S, SGD, learning rate and schedule; it adds nothing that the paper has not, given a
    cache without difference images and further views. What the paper leaves open there is our choice: D, heads, width
    of the block, momentum and weight decay.
    """

    preset: str = setting("quick", "Preset that the settings start from.", choices=PRESETS, paper="paper")
    weights: str = setting(
        "auto",
        "Weights file of the backbone, from which layer4 is loaded for a cache of --backbone-layer layer3; auto: the"
        " weights that the cache was made with.",
        group=INPUT,
    )
    # what people change first
    method: str = setting(
        "hcl",
        f"One of {', '.join(METHODS)}, or a method of your own (package.module:Name). Only hcl uses class texts.",
    )
    finetune: str = setting(
        "none",
        "layer4: the backbone's last stage (layer4) learns too; needs a cache made with --backbone-layer layer3.",
        choices=("none", "layer4"),
    )
    class_augmentation: str = setting(
        "hflip",
        "Add transformed copies of the base videos as further classes: mirrored (hflip), reversed in time (reverse), or"
        " both and their combination (both).",
        choices=("none", "hflip", "reverse", "both"),
        paper="none",
    )
    epochs: int = setting(
        8, "Number of epochs; each ends with a validation. 0: nothing is learned.", at_least=0, paper=15
    )
    steps_per_epoch: int = setting(12, "Number of batches per epoch.", at_least=1, paper=3000)
    classes_per_batch: int = setting(
        18, "Classes per batch, at most as many as there are, transformed copies included.", at_least=2, paper=24
    )
    videos_per_class: int = setting(2, "Videos of each class in a batch.", at_least=1)
    learning_rate: float = setting(0.001, "Initial learning rate.", above=0)
    dim: int = setting(256, "D, the width of every embedding; a multiple of --heads.", at_least=1, paper=512)
    semantic_attention: bool = setting(True, "Weigh patches by the text of their class, Eq. 5; hcl only.")
    hold_out: bool = setting(
        True,
        "Without 2 val classes, train without a quarter of the base classes (three at least, of 6 or more) first,"
        " which choose the weights of the levels and, of 9 or more, the number of epochs.",
    )
    views: int = setting(
        0,
        "Views per base video (random frames and crops) to draw from; 0: all that the cache holds, 1: the canonical"
        " one.",
        at_least=0,
    )
    test_views: int = setting(
        0,
        "Views per val and novel video (random frames and crops) whose embeddings are averaged; 0: all that the cache"
        " holds, 1: the canonical one.",
        at_least=0,
        paper=1,
    )
    seed: int = setting(0, "Seed of weights, batches and dropout.", at_least=0)
    # speed
    device: str = speed("auto", "auto, cpu or cuda.")
    precision: str = speed(
        "auto",
        "Precision of the encoder's matrix products; auto: bfloat16 where the device has it.",
        choices=("auto", "float32", "bfloat16"),
    )
    map_storage: str = speed(
        "auto",
        "Where maps are kept during training: device (GPU memory), host (RAM) or disk; auto: the first with room.",
        choices=("auto", "device", "host", "disk"),
    )
    num_workers: int = speed(4, "Threads that read maps ahead.", at_least=1)
    # encoder
    skip_layer4: bool = advanced(
        False,
        "Train on layer3's maps, averaged to layer4's grid, without running layer4; needs a cache made with"
        " --backbone-layer layer3.",
    )
    depth: int = advanced(1, "Transformer blocks.", at_least=0)
    heads: int = advanced(4, "Attention heads.", at_least=1, paper=8)
    mlp_dim: int = advanced(1024, "Hidden width of a transformer block.", at_least=1, paper=2048)
    dropout: float = advanced(
        0.1, "Dropout in transformer blocks (on the residual branches) and in the clip MLP.", at_least=0, below=1
    )
    start: str = advanced(
        "random",
        "What an encoder is before it learns. random: a random projection, as in the paper; maps: the maps on the"
        " principal axes of the base set, to which training adds. Either is kept if every epoch is behind it.",
        choices=("maps", "random"),
    )
    normalise_maps: bool = advanced(
        True,
        "Normalise the channels of each patch to mean 0 and variance 1 before the projection.",
        paper=False,
    )
    motion: bool = advanced(
        True, "Add a projection of each patch's difference from its mean over the frames.", paper=False
    )
    patch_keep_rate: float = advanced(
        0.5,
        "Fraction of patches kept in a training step; the same positions in all frames.",
        above=0,
        at_most=1,
        paper=1.0,
    )
    channel_dropout: float = advanced(
        0.0, "Fraction of a video's channels that are set to zero in a training step.", at_least=0, below=1
    )
    clip_sizes: tuple[int, ...] = advanced(
        (2,), "Frames per clip, such as 2 or 2,3; every increasing tuple of frames is a clip; hcl only."
    )
    # scores and losses
    top_clips: int = advanced(
        10, "The paper's T: number of best-matching clip pairs that are averaged; hcl only.", at_least=1
    )
    top_patches: int = advanced(
        10,
        "The paper's S: number of best-matching patch pairs that are averaged in each of these clip pairs; hcl only.",
        at_least=1,
    )
    temperature: float = advanced(0.1, "Temperature of the contrastive losses, Eq. 7; hcl only.", above=0)
    cycle_temperature: float = advanced(
        0.05,
        "Temperature of both softmaxes of the cycle losses, Eq. 8 to 10; the paper has no temperature (same as 1);"
        " hcl only.",
        above=0,
        paper=1.0,
    )
    attention_scale: str = advanced(
        "mean_one",
        "Scale of Eq. 5; mean_one: weights of mean 1, paper: weights that sum to 1; hcl only.",
        choices=ATTENTION_SCALES,
    )
    attention_gate: str = advanced(
        "similarity",
        "How much semantic attention a class gets that was not trained on. similarity: as much as its text is like that"
        " of a base class; none: all of it, as in the paper; hcl only.",
        choices=("similarity", "none"),
        paper="none",
    )
    contrast_normalisation: str = advanced(
        "per_positive",
        "Divisor of Eq. 7; per_positive: number of positive pairs; literal: B squared, as printed in the paper; hcl"
        " only.",
        choices=("per_positive", "literal"),
    )
    global_weight: float = advanced(0.5, "Weight of the global loss, the paper's lambda_g; hcl only.", at_least=0)
    temporal_weight: float = advanced(0.3, "Weight of the temporal losses, lambda_t; hcl only.", at_least=0)
    spatial_weight: float = advanced(0.3, "Weight of the spatial losses, lambda_s; hcl only.", at_least=0)
    label_smoothing: float = advanced(0.0, "Label smoothing of the cross entropy.", at_least=0, below=1)
    cross_entropy: bool = advanced(True, "Loss L_ce; hcl only.")
    global_contrast: bool = advanced(True, "Loss L_g (Eq. 7 on Eq. 2); hcl only.")
    temporal_contrast: bool = advanced(True, "Loss L_t (Eq. 7 on Eq. 3); hcl only.")
    temporal_cycle: bool = advanced(True, "Loss L_tc (Eq. 9); hcl only.")
    spatial_contrast: bool = advanced(True, "Loss L_s (Eq. 7 on Eq. 4); hcl only.")
    spatial_cycle: bool = advanced(True, "Loss L_sc (Eq. 10); hcl only.")
    # schedule
    optimiser: str = advanced("adamw", "Optimiser of all weights.", choices=("adamw", "sgd"), paper="sgd")
    momentum: float = advanced(0.9, "SGD momentum.", at_least=0)
    weight_decay: float = advanced(0.05, "Weight decay of either optimiser.", at_least=0, paper=0.0005)
    backbone_lr: float = advanced(
        0.0001,
        "Initial learning rate of the finetuned layer4, which has no weight decay.",
        above=0,
        paper=0.001,
    )
    lr_step_size: int = advanced(4, "Epochs between two decays of the learning rate.", at_least=1, paper=6)
    lr_gamma: float = advanced(0.5, "Factor by which the learning rate is multiplied at each decay.", above=0)
    max_grad_norm: float = advanced(1.0, "Clip the gradient norm to this value; 0: no clipping.", at_least=0, paper=0.0)
    ema_decay: float = advanced(
        0.9,
        "Decay of the exponential moving average (EMA) of the weights, which is validated and saved; 0: no EMA.",
        at_least=0,
        below=1,
        paper=0.0,
    )
    val_episodes: int = advanced(500, "Episodes per validation.", at_least=1)
    val_way: int = advanced(5, "Classes per validation episode, at most the number of val classes.", at_least=2)
    checkpoint_every: int = advanced(
        500, "Steps between two checkpoints; one is also written after each epoch.", at_least=1
    )
    tracker: str = advanced(
        "tensorboard",
        "Where losses, learning rate and validation are logged beside metrics.jsonl: TensorBoard's files in the run's"
        " folder, wandb (Weights & Biases), mlflow, or none.",
        choices=TRACKERS,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.method not in METHODS:
            from hcl.match.methods.registry import find_method  # loads torch: for a method of one's own alone

            find_method(self.method)
        if self.finetune != "none" and self.method == "resnet":
            raise InputError("--method resnet trains nothing; leave out --finetune")
        if self.finetune != "none" and self.skip_layer4:
            raise InputError(f"--skip-layer4 leaves out what --finetune {self.finetune} would change; give one of them")
        if self.dim % self.heads:
            raise InputError(f"--dim must be a multiple of --heads, got dim {self.dim} and heads {self.heads}")
        check_distinct("--clip-sizes", self.clip_sizes, "numbers of frames, such as 2 or 2,3", at_least=1)
        if not any(getattr(self, term) for term in TERMS):
            options = ", ".join("--" + term.replace("_", "-") for term in TERMS)
            raise InputError(f"every loss term is switched off; leave on at least one of {options}")
        if self.method not in ("hcl", "resnet") and self.videos_per_class < 2:
            raise InputError(
                f"--method {self.method} learns from queries and supports:"
                f" --videos-per-class must be at least 2, got {self.videos_per_class}"
            )


def preset_config(name: str, **overrides: object) -> TrainConfig:
    """Make the settings of a preset with some of them changed; an override of None keeps the preset's value."""
    given = {key: value for key, value in overrides.items() if value is not None}
    settings: dict[str, object] = {"preset": name, **preset_values(TrainConfig, name), **given}
    return TrainConfig(**settings)  # type: ignore[arg-type]  # the names are checked by the dataclass
