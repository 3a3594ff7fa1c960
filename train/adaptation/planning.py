"""What an adaptation follows from: the base videos, the clips, the settings, and the record of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.cache.video_table import Rows
from hcl.extract.system.atomic import names_url
from hcl.extract.system.errors import InputError
from hcl.extract.system.progress import logger
from hcl.match.config import HCL
from hcl.train.adaptation.config import AdaptConfig
from hcl.train.config import TrainConfig
from hcl.train.data.cached_maps import finished_classes
from hcl.train.data.class_augmentation import class_versions
from hcl.train.data.joined_caches import JoinedCaches
from hcl.train.data.selected_videos import dealt_views, of_rows
from hcl.train.runs.embed_cache import refuse_other_maps
from hcl.train.runs.file_hashes import file_hash
from hcl.train.runs.planning import BASE_CONTENTS, BASE_LABELS, CONTENT_LENGTH, open_with_splits
from hcl.train.runs.run_folder import WEIGHTS, Run, RunConfig

ADAPTED = "adapted"  # what a run keeps of the clips that it was adapted to
BASE, CLIPS = "base", "clips"  # the two sets that are learned from together
STEPS = 3  # of the learning rate, which is halved between them
ALONE_VIEWS = 2  # of a clip that one step draws from, without base videos


@dataclass(frozen=True)
class Adaptation:
    """What is learned from: a run, its base videos if they are there, and clips of further classes."""

    run: Run
    base: FrameMapCache | None  # with the splits of the run
    clips: FrameMapCache
    config: AdaptConfig

    @property
    def weights(self) -> str:
        """Of the backbone, whose layer 4 may have to run."""
        return self.run.config.training.weights if self.config.weights == "auto" else self.config.weights

    @property
    def training(self) -> TrainConfig:
        """The settings of the training: the run's, but for its length and learning rate."""
        epochs = min(STEPS, self.config.steps)
        return replace(
            self.run.config.training,
            epochs=epochs,
            steps_per_epoch=-(-self.config.steps // epochs),
            learning_rate=self.config.learning_rate,
            lr_step_size=1,
            lr_gamma=0.5,
            seed=self.config.seed,
            device=self.config.device,
            weights=self.weights,
            hold_out=False,
        )

    def learned_from(self, rows: Rows) -> JoinedCaches:
        """The base videos and some of the clips as one cache, all of its classes being base classes."""
        with_texts, views = self.run.config.text_model is not None, self.run.config.training.views
        shown = self.base.resolve_views(views) if self.base is not None else views or ALONE_VIEWS
        shown = min(shown, self.clips.n_views)
        sets: dict[str, FrameMapCache] = {CLIPS: dealt_views(self.clips, rows, shown, with_texts=with_texts)}
        if self.base is not None:
            sets[BASE] = of_rows(self.base, self.base.rows("base"), with_texts=with_texts)
        joined = JoinedCaches(sets, merge_classes=True)
        return joined.with_splits(dict.fromkeys(joined.class_names, "base"))

    def training_config(self, joined: JoinedCaches) -> RunConfig:
        """What the training on such a cache follows from; its classes are those of the cache."""
        return self._config(finished_classes(joined, "base"), np.empty(0, np.int64))

    def run_config(self, rows: Rows) -> RunConfig:
        """What the adapted run follows from: it was trained on the run's classes, then on those of the clips."""
        labels = dict.fromkeys(self.clips.videos.label[row] for row in rows)
        return self._config(tuple(dict.fromkeys((*self.run.config.base_classes, *labels))), rows)

    def record(self, rows: Rows) -> dict[str, Any]:
        """What the adapted run keeps of what it was adapted to."""
        videos, settings = self.clips.videos.take(rows), asdict(self.config)
        for name in ("device", "workers", "weights"):
            del settings[name]
        return {
            "run": str(self.run.folder),
            "encoder_sha256": file_hash(self.run.folder / WEIGHTS),
            "with_base": self.base is not None,
            "classes": {name: videos.label.count(name) for name in sorted(set(videos.label))},
            "contents": sorted(videos.content),
            "splits_before": splits_before(self.run.config),
            "settings": settings,
        }

    def _config(self, classes: Sequence[str], rows: Rows) -> RunConfig:
        before = self.run.config
        contents = {*str(before.cache.get(BASE_CONTENTS, "")).split()}
        contents |= {self.clips.videos.content[row][:CONTENT_LENGTH] for row in rows} - {""}
        cache = {**before.cache, BASE_CONTENTS: " ".join(sorted(contents))}
        cache.pop(BASE_LABELS, None)  # which says nothing of the clips
        return replace(
            before,
            training=self.training,
            cache={**cache, ADAPTED: self.record(rows)} if len(rows) else cache,
            splits={**before.splits, **dict.fromkeys(classes, "base")},
            base_classes=tuple(classes),
            encoder={**before.encoder, "classes": class_versions(len(classes), before.training.class_augmentation)},
        )


def open_base(run: Run, caches: Sequence[Path] = ()) -> FrameMapCache | None:
    """Open what a run was trained on, with its splits.

    Args:
        run: of one cache or several
        caches: where they are now; none: where they were

    Returns:
        None, with a warning, where nothing is named and the run's own is not there any more

    Raises:
        InputError: if a cache cannot be read, or is not what the run was trained on
    """
    record = run.config.cache
    recorded = [str(path) for path in record.get("paths", {"": record["path"]}).values()]
    places = list(caches) or [Path(path) for path in recorded]
    # A URL is not there until it is named: no file makes the program open a connection.
    gone = next((path for path in recorded if names_url(path) or not Path(path).exists()), None)
    if not caches and gone is not None:
        logger.warning(
            f"{gone}: the run's cache is not there any more, so the clips alone are learned from, and what the run knew"
            " may be forgotten; name another place with --cache"
        )
        return None
    opened = open_with_splits(places, None, merge_classes=bool(record.get("merge_classes")))
    refuse_other_maps(opened, run.config)
    known = opened.class_splits
    splits = splits_before(run.config)
    if missing := [name for name in run.config.base_classes if splits.get(name) == "base" and name not in known]:
        raise InputError(
            f"{opened.path}: lacks the base class {missing[0]!r} of {run.folder}; name the cache that the run was"
            " trained on with --cache"
        )
    return opened.with_splits({name: splits.get(name, "novel") for name in known})


def splits_before(config: RunConfig) -> dict[str, str]:
    """The splits of the run's cache, before an adaptation made further classes base ones."""
    splits: dict[str, str] = config.cache.get(ADAPTED, {}).get("splits_before", config.splits)
    return splits


def check_run(run: Run) -> None:
    """Refuse a run that learns no classes.

    Raises:
        InputError: if it is of a baseline method
    """
    if run.config.training.method != HCL:
        raise InputError(
            f"{run.folder}: a run of method {run.config.training.method}; a run of method {HCL} can be adapted"
        )
