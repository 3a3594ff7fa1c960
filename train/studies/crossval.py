"""Train and evaluate on several splits of the same classes: with 10 to 20 classes one split says little."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hcl.extract.cache.opening import open_cache
from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.errors import InputError
from hcl.match.config import EpisodeConfig, EvaluationConfig
from hcl.match.evaluation.evaluator import Evaluator
from hcl.match.evaluation.fold_means import CrossValidation
from hcl.match.evaluation.results import Evaluation
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE
from hcl.train.runs import running
from hcl.train.studies.crossval_config import CrossvalConfig, make_folds


def cross_validate(
    path: Path,
    folder: Path,
    config: CrossvalConfig,
    episodes: EpisodeConfig,
    plan: EvaluationConfig,
    settings: Mapping[str, Any],
    *,
    preset: str | None = None,
) -> CrossValidation:
    """Rotate the classes of a cache through the splits; train and evaluate each fold with each seed.

    What is finished in the folder is not trained again.

    Args:
        path: of the cache; its own splits are not used
        folder: of the runs
        config: which folds and seeds
        episodes: drawn alike for all seeds of a fold
        plan: which supports count, and which split is asked: "val" while settings are chosen
        settings: fields of TrainConfig; None leaves the preset's value
        preset: as for a training

    Raises:
        InputError: if there are too few classes, or a run of other settings stands in the folder
    """
    cache = open_cache(path)
    held = {cache.videos.label[row] for row in cache.rows()}
    names = sorted(name for name in cache.class_names if name in held)
    names = [names[place] for place in np.random.default_rng(config.class_order_seed).permutation(len(names))]
    found: list[tuple[Evaluation, ...]] = []
    for number, splits in enumerate(make_folds(names, config, episodes.n_way, plan.split)):
        listed = folder / f"fold{number}.csv"
        _write_splits(listed, splits)
        of_seeds = []
        for seed in config.seeds:
            run = folder / f"fold{number}-seed{seed}"
            given = {**settings, "seed": seed}
            running.train_once(path, run=run, preset=preset, splits=listed, settings=given)
            of_seeds.append(Evaluator(EmbeddingStore.open(run / STORE), plan).run(episodes))
            if of_seeds[-1].interrupted:
                raise KeyboardInterrupt
        found.append(tuple(of_seeds))
    return CrossValidation(tuple(found))


def _write_splits(file: Path, splits: Mapping[str, str]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(file) as fresh, fresh.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([("label", "split"), *splits.items()])
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror}); name another folder with --out") from error
