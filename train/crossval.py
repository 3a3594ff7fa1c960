"""Train and evaluate on several splits of the same classes: with 10 to 20 classes one split says little."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hcl.extract.errors import InputError
from hcl.extract.open_cache import open_cache
from hcl.extract.replacing import replacing
from hcl.match.config import EpisodeConfig, EvaluationConfig
from hcl.match.evaluation import Evaluation, evaluate
from hcl.match.locate import STORE
from hcl.match.rotations import Rotations
from hcl.train import running
from hcl.train.crossval_config import CrossvalConfig, rotate


def cross_validate(
    path: Path,
    folder: Path,
    config: CrossvalConfig,
    episodes: EpisodeConfig,
    plan: EvaluationConfig,
    settings: Mapping[str, Any],
    *,
    preset: str | None = None,
    progress: bool = False,
    say: Callable[[str], object] = print,
) -> Rotations:
    """Rotate the classes of a cache through the folds; train and evaluate each rotation with each seed.

    What is finished in the folder is not trained again.

    Args:
        path: of the cache; its own folds are not used
        folder: of the runs
        config: which rotations and seeds
        episodes: drawn alike for all seeds of a rotation
        plan: which supports count, and which fold is asked: "val" while settings are chosen
        settings: fields of TrainConfig; None leaves the preset's value
        preset: as for a training
        progress: show bars
        say: called with a line for the user

    Raises:
        InputError: if there are too few classes, or a run of other settings stands in the folder
    """
    cache = open_cache(path)
    held = {cache.videos.label[row] for row in cache.rows()}
    names = sorted(name for name in cache.class_names if name in held)
    names = [names[place] for place in np.random.default_rng(config.order_seed).permutation(len(names))]
    found: list[tuple[Evaluation, ...]] = []
    for number, folds in enumerate(rotate(names, config, episodes.n_way, plan.fold)):
        listed = folder / f"rotation{number}.csv"
        _write_folds(listed, folds)
        of_seeds = []
        for seed in config.seeds:
            run = folder / f"rotation{number}-seed{seed}"
            given = {**settings, "seed": seed}
            running.train_once(path, run=run, preset=preset, folds=listed, settings=given, progress=progress, say=say)
            of_seeds.append(evaluate(run / STORE, episodes, plan, progress=progress))
            if of_seeds[-1].interrupted:
                raise KeyboardInterrupt
        found.append(tuple(of_seeds))
    return Rotations(tuple(found))


def _write_folds(file: Path, folds: Mapping[str, str]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as fresh, fresh.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([("label", "fold"), *folds.items()])
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror}); name another folder with --out") from error
