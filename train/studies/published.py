"""What the paper reports of methods in its Tables 5 to 7, and what they are called here.

Sipeng Zheng, Shizhe Chen, Qin Jin: Few-shot Action Recognition with Hierarchical Matching and Contrastive Learning,
2022; the row without training is of its Table 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hcl.match.config import ALL_LEVELS, BASELINE, HCL, WEIGHTED

Accuracies = Mapping[int, float]  # the paper's, by number of shots

OF_BENCHMARKS = {5: ("kinetics-cmn", "ssv2-cmn", "ssv2-otam"), 6: ("ucf-arn", "hmdb-arn")}  # by table
ACROSS, TRAINED_ON = 7, "kinetics-cmn"  # the table of other sets, and what the paper trains on there


@dataclass(frozen=True)
class System:
    """A row: what the paper calls a method, what it is called here, and by which score."""

    name: str
    method: str  # as `hcl train --method` has it
    score: str  # of its runs
    paper: Mapping[str, Accuracies]  # by benchmark
    across: Mapping[str, Accuracies] = field(default_factory=dict)  # trained on Kinetics, by benchmark of the other set


def _shots(one: float, two: float | None, five: float | None) -> Accuracies:
    return {shot: value for shot, value in ((1, one), (2, two), (5, five)) if value is not None}


SYSTEMS = (
    System(
        "ResNet, no training",
        HCL,
        BASELINE,
        {"kinetics-cmn": _shots(59.9, None, 80.1), "ssv2-otam": _shots(29.5, None, 44.1)},
    ),
    System(
        "MAML",
        "maml",
        "maml",
        {"kinetics-cmn": _shots(54.2, 65.5, 75.3), "ssv2-cmn": _shots(30.9, 35.1, 41.9)},
        {"ucf-arn": _shots(62.4, None, 80.7), "hmdb-arn": _shots(43.9, None, 59.3)},
    ),
    System(
        "ProtoNet",
        "protonet",
        "protonet",
        {
            "kinetics-cmn": _shots(59.1, 73.6, 83.5),
            "ssv2-cmn": _shots(30.9, 37.2, 47.2),
            "ssv2-otam": _shots(34.0, 41.2, 51.7),
            "ucf-arn": _shots(67.2, None, 93.0),
            "hmdb-arn": _shots(44.2, None, 72.0),
        },
        {"ucf-arn": _shots(67.8, None, 84.2), "hmdb-arn": _shots(48.5, None, 63.0)},
    ),
    System(
        "TARN",
        "tarn",
        "tarn",
        {
            "kinetics-cmn": _shots(66.6, 74.6, 80.7),
            "ucf-arn": _shots(66.3, None, None),
            "hmdb-arn": _shots(45.5, None, 60.6),
        },
    ),
    System("CMN", "cmn", "cmn", {"kinetics-cmn": _shots(60.5, 70.0, 78.9), "ssv2-cmn": _shots(36.2, 42.1, 48.8)}),
    System("TAM", "otam", "otam", {"kinetics-cmn": _shots(73.0, None, 85.8), "ssv2-otam": _shots(42.8, None, 52.3)}),
    System(
        "TRX",
        "trx",
        "trx",
        {
            "kinetics-cmn": _shots(64.6, 76.4, 85.5),
            "ssv2-cmn": _shots(34.7, 43.5, 56.8),
            "ssv2-otam": _shots(38.1, 49.1, 63.9),
            "ucf-arn": _shots(81.3, None, 95.9),
            "hmdb-arn": _shots(52.0, None, 75.6),
        },
    ),
    System("HCL, all levels weighted", HCL, WEIGHTED, {}),
    System(
        "HCL",
        HCL,
        ALL_LEVELS,
        {
            "kinetics-cmn": _shots(73.7, 79.1, 85.8),
            "ssv2-cmn": _shots(38.7, 45.5, 55.4),
            "ssv2-otam": _shots(47.3, 54.5, 64.9),
            "ucf-arn": _shots(82.6, None, 94.5),
            "hmdb-arn": _shots(59.1, None, 76.3),
        },
        {"ucf-arn": _shots(76.1, None, 90.6), "hmdb-arn": _shots(54.2, None, 69.5)},
    ),
)
