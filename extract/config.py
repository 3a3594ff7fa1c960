"""What one extraction does; free of heavy imports so that the command line can show the defaults at once."""

from dataclasses import dataclass

from hcl.extract.system.errors import InputError

BACKBONES = ("resnet50-v1", "resnet50", "resnet18", "resnet34", "resnet101")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
DECODERS = ("auto", "decord", "pyav")
SPLITS = ("base", "val", "novel")
SPLIT_POLICIES = ("auto", "all-novel")
CACHE_DTYPES = ("float16", "uint8")
LAYERS = ("layer4", "layer3", "layer3-pooled")  # where a ResNet may end; the first, where nothing is said


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """How videos become frame maps."""

    frames: int = 8  # per video, the middles of equal segments
    size: int = 224  # pixels; every frame is resized to size x size
    backbone: str | None = None  # None: the network that the weights say they are
    weights: str = "default"  # "default" (shipped), "IMAGENET1K_V1", "IMAGENET1K_V2" or a file
    backbone_layer: str = "layer4"  # the last layer of a ResNet that runs; "-pooled": averaged to the grid of layer 4
    decoder: str = "auto"
    precision: str = "auto"
    batch_size: int = 64  # frames per backbone call; the last batch is padded
    compile: bool = False  # the backbone, by torch, on a GPU; its maps differ in rounding
    workers: int = 0  # decoding processes; 0 means one per core
    views: int = 1  # of each video; those beyond the first are drawn for training
    view_seed: int = 0
    flip: bool = False  # mirror half of the further views; left and right may matter to a class
    cache_dtype: str = "float16"
    split_policy: str = "auto"
    split_seed: int = 0
    text_model: str = "auto"  # "auto", "none", a local folder or a hub name

    def __post_init__(self) -> None:
        seeds = (("view_seed", 0), ("split_seed", 0))
        for name, least in (("frames", 1), ("size", 32), ("batch_size", 1), ("workers", 0), ("views", 1), *seeds):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if self.flip and self.views == 1:
            raise InputError("flip mirrors further views, and there are none; give --views 2 or more, or leave it out")


_CHOICES = {
    "decoder": DECODERS,
    "precision": PRECISIONS,
    "split_policy": SPLIT_POLICIES,
    "cache_dtype": CACHE_DTYPES,
    "backbone_layer": LAYERS,
}
