"""The trainings of a study, each of which is one task: here one after the other, on a cluster side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hcl.extract.pipeline.cluster.config import ClusterConfig
from hcl.extract.pipeline.cluster.tasks import run_tasks
from hcl.extract.system.progress import progress_bar
from hcl.train.runs import running
from hcl.train.runs.run_folder import is_finished


@dataclass(frozen=True)
class Training:
    """One run of a study."""

    cache: Path
    run: Path  # its folder
    splits: Path  # CSV file
    preset: str | None
    settings: Mapping[str, Any]  # fields of TrainConfig

    @property
    def absolute(self) -> Training:
        """The same by whole paths, for workers that start elsewhere."""
        paths = {name: getattr(self, name).absolute() for name in ("cache", "run", "splits")}
        return replace(self, **paths, settings=dict(self.settings))


def train_one(_: None, training: Training) -> None:
    """Train a run unless it is finished; one that began resumes.

    Raises:
        InputError: if a run of other settings stands in the folder
    """
    given: dict[str, Any] = {"preset": training.preset, "splits": training.splits, "settings": training.settings}
    running.train_once(training.cache, run=training.run, **given)


def train_on_cluster(trainings: Sequence[Training], cluster: ClusterConfig) -> None:
    """Train all runs that are not finished, each as a task; all nodes must see the cache and the folder of the runs.

    Raises:
        InputError: if one cannot be trained
    """
    open_ones = [training.absolute for training in trainings if not is_finished(training.run)]
    if not open_ones:
        return
    done = run_tasks(train_one, open_ones, cluster, name=lambda training: f"train {training.run.name}")
    with closing(done), progress_bar(len(open_ones), "run", "train") as bar:
        for _ in done:
            bar.update()
