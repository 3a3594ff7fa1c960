"""How the folds of a cross-validation split the classes; free of heavy imports."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import gcd

from hcl.extract.system.errors import InputError
from hcl.extract.system.settings import check_distinct, check_settings, option_of, setting

NOVEL_SHARE, VAL_SHARE = 0.24, 0.12  # of the classes, as in the field's splits of 100
OF_DRAWN_FOLDS = ("novel", "val", "folds", "class_order_seed")  # fields that say nothing of a split that a cache has
LEAST_BASE = 4  # base classes; where fewer would be left, "auto" takes no val classes


@dataclass(frozen=True, kw_only=True)
class CrossvalConfig:
    """The folds of a cross-validation; None is "auto" on the command line."""

    novel: int | None = setting(
        None, "Novel classes per fold; auto: a quarter of the classes, at least --way.", at_least=1
    )
    val: int | None = setting(
        None, "Val classes per fold; auto: an eighth of the classes, none where few are left to train on.", at_least=0
    )
    folds: int | None = setting(None, "Folds; auto: as many as make each class novel once.", at_least=1)
    seeds: tuple[int, ...] = setting((0,), "Seeds of the trainings in each fold, such as 0,1.")
    class_order_seed: int | None = setting(
        None, "Seed of the order in which classes become novel; auto: 0.", at_least=0
    )
    own_split: bool = setting(False, "Train and evaluate on the split that CACHE has, in place of drawn folds.")

    def __post_init__(self) -> None:
        check_settings(self)
        check_distinct("--seeds", self.seeds, "numbers from 0, such as 0,1", at_least=0)
        drawn = [each for each in fields(self) if each.name in OF_DRAWN_FOLDS]
        given = [option_of(each) for each in drawn if getattr(self, each.name) is not None]
        if self.own_split and given:
            raise InputError(f"--own-split takes the split that the cache has; leave out {', '.join(given)}")

    def on_own_split(self) -> "CrossvalConfig":
        """The same seeds on the split that the cache has, in place of drawn folds."""
        return CrossvalConfig(seeds=self.seeds, own_split=True)


def make_folds(names: Sequence[str], config: CrossvalConfig, n_way: int, split: str = "novel") -> list[dict[str, str]]:
    """Split the classes once for each fold: the novel ones come in turn, the val ones after them.

    Args:
        names: of the classes, in the order in which they become novel
        config: sizes of the splits and number of folds
        n_way: classes that an episode needs
        split: that the episodes are drawn from

    Returns:
        the split of each class, by fold

    Raises:
        InputError: if fewer than two base classes would be left, or the split has fewer classes than an episode
    """
    count = len(names)
    novel, val = split_sizes(count, config, n_way)
    base = count - novel - val
    available = {"novel": novel, "val": val, "base": base}[split]
    if available < n_way:
        raise InputError(
            f"{n_way}-way episodes need {n_way} {split} classes, a fold has {available}; lower --way or raise --{split}"
        )
    if base < 2:
        raise InputError(
            f"{count} classes leave {max(0, base)} to train on beside {novel} novel and {val} val ones;"
            " lower --novel or --val"
        )
    if split == "base":
        raise InputError("--split base: the runs of a cross-validation embed val and novel videos; take one of these")
    different = count // gcd(count, novel)
    if config.folds is not None and config.folds > different:
        raise InputError(
            f"--folds {config.folds}: {count} classes make {different} different folds of {novel} novel ones; lower it"
        )
    folds = []
    for fold in range(config.folds or -(-count // novel)):
        rotated = [names[(fold * novel + place) % count] for place in range(count)]
        splits = dict.fromkeys(rotated[:novel], "novel") | dict.fromkeys(rotated[novel : novel + val], "val")
        folds.append({name: splits.get(name, "base") for name in names})
    return folds


def split_sizes(count: int, config: CrossvalConfig, n_way: int) -> tuple[int, int]:
    """The number of novel and of val classes in a fold of `count` classes."""
    novel = config.novel or max(n_way, round(NOVEL_SHARE * count))
    if config.val is not None:
        return novel, config.val
    val = max(2, round(VAL_SHARE * count))
    return novel, val if count - novel - val >= LEAST_BASE else 0
