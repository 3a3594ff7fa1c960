"""How classes are rotated through the folds; free of heavy imports."""

from collections.abc import Sequence
from dataclasses import dataclass

from hcl.extract.errors import InputError

NOVEL_SHARE, VAL_SHARE = 0.24, 0.12  # of the classes, as in the field's splits of 100
LEAST_BASE = 4  # classes, below which the default leaves no class to validation


@dataclass(frozen=True, kw_only=True)
class CrossvalConfig:
    """The rotations of a cross-validation."""

    novel: int = 0  # classes a rotation; 0: a quarter, or as many as an episode needs
    val: int = -1  # classes a rotation; -1: an eighth, or none where few classes are left to train on
    rotations: int = 0  # 0: so many that each class is novel once
    seeds: tuple[int, ...] = (0,)  # of the trainings, in each rotation
    order_seed: int = 0  # of the order of the classes

    def __post_init__(self) -> None:
        for name, least in (("novel", 0), ("val", -1), ("rotations", 0), ("order_seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"--{name.replace('_', '-')} must be at least {least}, got {getattr(self, name)}")
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"--seeds must be distinct numbers from 0, such as 0,1; got {self.seeds}")


def rotate(names: Sequence[str], config: CrossvalConfig, n_way: int, fold: str = "novel") -> list[dict[str, str]]:
    """Part the classes into folds, once for each rotation.

    Args:
        names: of the classes, in the order that is rotated
        config: sizes of the folds
        n_way: classes that an episode needs
        fold: that the episodes are drawn from

    Returns:
        the fold of each class, by rotation

    Raises:
        InputError: if fewer than two classes would be left to train on, or too few are novel
    """
    count = len(names)
    novel = config.novel or max(n_way, round(NOVEL_SHARE * count))
    val = config.val
    if val < 0:
        val = max(2, round(VAL_SHARE * count))
        val = val if count - novel - val >= LEAST_BASE else 0
    asked = {"novel": novel, "val": val, "base": count - novel - val}[fold]
    if asked < n_way:
        raise InputError(f"{n_way}-way episodes need {n_way} {fold} classes, a rotation has {asked}; lower --way")
    if count - novel - val < 2:
        raise InputError(
            f"{count} classes leave {max(0, count - novel - val)} to train on beside {novel} novel and {val} val ones;"
            " lower --novel or --val"
        )
    rotations = config.rotations or -(-count // novel)
    found = []
    for rotation in range(rotations):
        turned = [names[(rotation * novel + place) % count] for place in range(count)]
        folds = dict.fromkeys(turned[:novel], "novel") | dict.fromkeys(turned[novel : novel + val], "val")
        found.append({name: folds.get(name, "base") for name in names})
    return found
