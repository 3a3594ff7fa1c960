"""Validation on several sets: each on episodes of its own classes, and the mean of all chooses the epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from hcl.extract.system.progress import logger
from hcl.match.config import ScoreConfig
from hcl.train.config import TrainConfig
from hcl.train.data.map_source import MapSource
from hcl.train.encoders.factory import Trainable
from hcl.train.fitting.validation import Validation, make_validation


@dataclass(frozen=True)
class SetValidation:
    """The validations of several sets by name; called with an encoder, it gives each set's accuracy in percent."""

    of_sets: Mapping[str, Validation]

    def __call__(self, encoder: Trainable) -> dict[str, float]:
        return {name: validate(encoder) for name, validate in self.of_sets.items()}

    @cached_property
    def untrained(self) -> float:
        """The mean over the sets of the accuracy in percent of the ImageNet ResNet without training."""
        return fmean(validate.untrained for validate in self.of_sets.values())

    @property
    def case(self) -> str:
        """What the mean is of, such as "mean of 2 sets"."""
        return f"mean of {len(self.of_sets)} sets"


def validation_of(source: MapSource, config: TrainConfig, scoring: ScoreConfig) -> Validation | SetValidation | None:
    """Prepare the validation of a run: of one cache, or of each of several; episodes never mix sets.

    Args: as of `make_validation`

    Returns:
        None where no set has two usable val classes; a set that has fewer than others is named in the log
    """
    sources = source.of_sets()
    if not sources:
        return make_validation(source, config, scoring)
    made = {name: make_validation(of_set, config, scoring) for name, of_set in sources.items()}
    usable = {name: validate for name, validate in made.items() if validate is not None}
    if lacking := [name for name in made if name not in usable]:
        logger.info(
            f"without a say in which epoch is kept, with fewer than 2 val classes with 2 videos: {', '.join(lacking)}"
        )
    return SetValidation(usable) if usable else None
