"""How classes are rotated through the splits; free of heavy imports."""

from collections.abc import Sequence
from dataclasses import dataclass

from hcl.extract.system.errors import InputError

NOVEL_SHARE, VAL_SHARE = 0.24, 0.12  # of the classes, as in the field's splits of 100
LEAST_BASE = 4  # classes, below which the default leaves no class to validation


@dataclass(frozen=True, kw_only=True)
class CrossvalConfig:
    """The folds of a cross-validation."""

    novel: int = 0  # classes a fold; 0: a quarter, or as many as an episode needs
    val: int = -1  # classes a fold; -1: an eighth, or none where few classes are left to train on
    folds: int = 0  # 0: so many that each class is novel once
    seeds: tuple[int, ...] = (0,)  # of the trainings, in each fold
    class_order_seed: int = 0  # of the order of the classes

    def __post_init__(self) -> None:
        for name, least in (("novel", 0), ("val", -1), ("folds", 0), ("class_order_seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"--{name.replace('_', '-')} must be at least {least}, got {getattr(self, name)}")
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"--seeds must be distinct numbers from 0, such as 0,1; got {self.seeds}")


def make_folds(names: Sequence[str], config: CrossvalConfig, n_way: int, split: str = "novel") -> list[dict[str, str]]:
    """Part the classes into splits, once for each fold.

    Args:
        names: of the classes, in the order that is rotated
        config: sizes of the splits
        n_way: classes that an episode needs
        split: that the episodes are drawn from

    Returns:
        the split of each class, by fold

    Raises:
        InputError: if fewer than two classes would be left to train on, or too few are novel
    """
    count = len(names)
    novel = config.novel or max(n_way, round(NOVEL_SHARE * count))
    val = config.val
    if val < 0:
        val = max(2, round(VAL_SHARE * count))
        val = val if count - novel - val >= LEAST_BASE else 0
    asked = {"novel": novel, "val": val, "base": count - novel - val}[split]
    if asked < n_way:
        raise InputError(f"{n_way}-way episodes need {n_way} {split} classes, a fold has {asked}; lower --way")
    if count - novel - val < 2:
        raise InputError(
            f"{count} classes leave {max(0, count - novel - val)} to train on beside {novel} novel and {val} val ones;"
            " lower --novel or --val"
        )
    folds = config.folds or -(-count // novel)
    found = []
    for fold in range(folds):
        turned = [names[(fold * novel + place) % count] for place in range(count)]
        splits = dict.fromkeys(turned[:novel], "novel") | dict.fromkeys(turned[novel : novel + val], "val")
        found.append({name: splits.get(name, "base") for name in names})
    return found
