"""What one evaluation draws and how it scores; free of heavy imports."""

from dataclasses import dataclass
from typing import TypedDict

from hcl.extract.config import SPLITS
from hcl.extract.system.errors import InputError
from hcl.extract.system.settings import ADVANCED, INPUT, check_distinct, check_settings, setting

HCL, BASELINE = "hcl", "resnet"  # methods: ours, and the ImageNet ResNet without training, which any store serves
ZERO_SHOT = "zero_shot"  # a score: by the names of the classes alone, where images and texts were embedded alike
LEVELS = ("global", "temporal", "spatial")  # of scores, Eq. 2 to 4
ALL_LEVELS = "+".join(LEVELS)  # Eq. 6
KNOWN_LEVELS = (  # of scores that need no gradients; those of differences where a cache has maps of them
    "appearance",
    "motion",
    "change",
    "difference",
    "difference_motion",
    "difference_change",
    "untrained",
    "untrained_motion",
    "untrained_change",
    "untrained_difference",
    "untrained_difference_motion",
    "untrained_difference_change",
)
UNTRAINED_LEVELS = tuple(name for name in KNOWN_LEVELS if name.startswith("untrained"))
WEIGHTED = "weighted"  # the sum of all levels of both kinds, with weights chosen on classes that are not novel
AGGREGATES = ("prototype", "mean", "max")
ATTENTION_SCALES = ("mean_one", "paper")
PATCH_SELECTIONS = ("similarity", "weighted", "salient", "moving", "mutual", "centred")
METHODS = (  # shipped; find_method knows of others
    *("hcl", "resnet", "protonet", "matchingnet", "maml", "fomaml", "cmn", "pal"),
    *("otam", "bimhm", "tarn", "trx", "ctx", "hyrsm", "strm"),
)


@dataclass(frozen=True, kw_only=True)
class EpisodeConfig:
    """How episodes are drawn."""

    n_way: int = setting(5, "Number of classes per episode (N-way).", option="--way", at_least=2)
    k_shot: int = setting(1, "Support videos per class (K-shot).", option="--shot", at_least=1)
    n_query: int = setting(1, "Query videos per class.", option="--queries", at_least=1)
    episodes: int = setting(10_000, "Number of episodes to draw.", at_least=1)
    seed: int = setting(0, "Seed for drawing episodes.", at_least=0)
    group_disjoint: bool = setting(False, "Draw no query that shares a group with a support of its own class.")

    def __post_init__(self) -> None:
        check_settings(self)


class PairSettings(TypedDict):
    """What the scores of a pair of videos depend on, beside the videos."""

    top_clips: int
    top_patches: int
    attention_scale: str
    patch_selection: str


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """How a query is compared with the supports of a class (Eq. 2 to 6)."""

    top_clips: int = setting(
        10, "The paper's T: number of best-matching clip pairs that are averaged.", group=ADVANCED, at_least=1
    )
    top_patches: int = setting(
        10,
        "The paper's S: number of best-matching patch pairs that are averaged in each of these clip pairs.",
        group=ADVANCED,
        at_least=1,
    )
    attention_scale: str = setting(
        "mean_one",
        "Weights of Eq. 5: mean 1 over the patches of a clip, or sum 1 as in the paper.",
        group=ADVANCED,
        choices=ATTENTION_SCALES,
    )
    patch_selection: str = setting(
        "similarity",
        "Which patch pairs count in Eq. 4: the most similar ones, as in the paper; those of highest weighted cosine;"
        " the most similar ones among salient or among moving patches, or among mutual nearest neighbours; or the most"
        " similar ones after each video's mean patch is subtracted (centred).",
        group=ADVANCED,
        choices=PATCH_SELECTIONS,
    )
    aggregate: str = setting(
        AGGREGATES[0],
        "How scores over the supports of a class are combined: their mean; their largest; or the score of the class's"
        " prototype, the mean of its supports, on all levels but the spatial one.",
        choices=AGGREGATES,
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def of_pairs(self) -> PairSettings:
        """The settings that a pair's scores depend on."""
        return {
            "top_clips": self.top_clips,
            "top_patches": self.top_patches,
            "attention_scale": self.attention_scale,
            "patch_selection": self.patch_selection,
        }


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How the episodes of an embedding store are scored."""

    method: str | None = setting(
        None,
        "How STORE is scored; without STORE, the latest run of this method. A shipped name, an entry point of the group"
        " hcl.methods or package.module:Name. Any store serves resnet, the ImageNet ResNet without training; one with"
        " embeddings of frames or patches serves otam and bimhm, too, and one with those of videos protonet and"
        " matchingnet.  [default: that of the store]",
        group=INPUT,
    )
    split: str = setting("novel", "Classes to draw from: novel for a result.", group=INPUT, choices=SPLITS)
    shots: tuple[int, ...] = setting(  # all over the same draw: the supports of few shots are the first of many
        (1,),
        "Support videos per class (K-shot); several, such as 1,5, are scored over the same episodes.",
        option="--shot",
    )
    aggregates: tuple[str, ...] = setting(
        (), "How scores over supports are combined: prototype, mean, max, several or all.", option="--aggregate"
    )  # none: that of the store
    min_videos: int = setting(
        0, "Leave out classes with fewer videos, by name; 0: a class with too few videos is refused.", at_least=0
    )
    keep_trained_classes: bool = setting(
        False, "Count classes that the run was trained on, too: by default they are left out of val and novel, by name."
    )
    calibration: bool = setting(
        False,
        "Measure how far probabilities can be believed, at a temperature fitted on val episodes, else on the supports.",
    )
    open_set: bool = setting(
        False, 'Measure "none of these": as many queries again come from classes outside their episode.'
    )
    reject: float = setting(
        0.05, "With --open-set: the share of outside queries that may be taken for a class.", above=0, below=1
    )
    spatial: bool = setting(True, "Score the spatial level too; it takes most of the scoring time.")

    def __post_init__(self) -> None:
        check_settings(self)
        check_distinct("--shot", self.shots, "numbers from 1, such as 1 or 1,5", at_least=1)
        unknown = [name for name in self.aggregates if name not in AGGREGATES]
        if unknown:
            raise InputError(f"--aggregate must be one of {', '.join(AGGREGATES)}, got {unknown[0]!r}")
