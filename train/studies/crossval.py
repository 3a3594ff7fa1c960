"""Cross-validate over classes: with 10 to 20 classes one split says little, so train and evaluate on several folds."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.cache.formats import open_cache
from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.console import csv_cell
from hcl.extract.system.errors import InputError, schema_of, what_stands_at, write_errors
from hcl.match.config import EpisodeConfig, EvaluationConfig
from hcl.match.episodes.video_pool import make_split_pool
from hcl.match.evaluation.cross_validation import CrossValidation
from hcl.match.evaluation.evaluator import Evaluator
from hcl.match.evaluation.results import Evaluation
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE
from hcl.train.config import preset_config
from hcl.train.runs import running
from hcl.train.runs.cross_domain import OtherSet
from hcl.train.runs.planning import default_preset, make_run_config
from hcl.train.studies.folds import CrossvalConfig, make_folds


def cross_validate(
    path: Path,
    folder: Path,
    config: CrossvalConfig,
    episodes: EpisodeConfig,
    plan: EvaluationConfig,
    settings: Mapping[str, Any],
    *,
    preset: str | None = None,
    own_splits: bool = False,
    on: OtherSet | None = None,
) -> CrossValidation:
    """Split the classes of a cache into folds; train and evaluate each fold with each seed.

    Finished runs in the folder are not trained again, unfinished ones resume.

    Args:
        path: of the cache; its own splits are not used, unless they are asked for
        folder: of the runs, fold0-seed0 and so on, and of the splits of each fold, fold0.csv and so on
        config: sizes of the folds, and seeds
        episodes: drawn alike for all seeds of a fold
        plan: numbers of supports, and the split that is evaluated: "val" while settings are chosen
        settings: fields of TrainConfig; None leaves the preset's value
        preset: as for a training
        own_splits: train and evaluate on the cache's own splits in place of folds
        on: evaluate on this other set, without the classes that overlap the trained ones

    Raises:
        InputError: if there are too few classes or videos, before anything is trained, or the folder holds a run of
            other settings
    """
    cache = open_cache(path)
    folds = (
        [cache.class_splits]
        if own_splits
        else make_folds(class_order(cache, config.class_order_seed), config, episodes.n_way, plan.split)
    )
    refuse_folder(folder)
    for fold, splits in enumerate(folds):
        of_fold = cache.with_splits(splits)
        if on is None:
            refuse_undrawable(of_fold, episodes, plan, where=f"{path}, fold {fold}")
        for seed in config.seeds:
            running.refuse_run(of_fold, folder / f"fold{fold}-seed{seed}", preset, {**settings, "seed": seed})
        if on is not None:
            of_runs = make_run_config(of_fold, preset_config(preset or default_preset(of_fold), **settings))
            on.refuse(of_runs, replace(episodes, k_shot=max(plan.shots)), plan)
    evaluations = []
    for fold, splits in enumerate(folds):
        splits_file = folder / f"fold{fold}.csv"
        write_splits(splits_file, splits)
        of_seeds = []
        for seed in config.seeds:
            run = folder / f"fold{fold}-seed{seed}"
            given = {**settings, "seed": seed}
            running.train_once(path, run=run, preset=preset, splits=splits_file, settings=given)
            store = EmbeddingStore.open(run / STORE) if on is None else on.store(run, plan.split)
            of_seeds.append(evaluate_store(store, episodes, plan))
        evaluations.append(tuple(of_seeds))
    return CrossValidation(tuple(evaluations))


def refuse_folder(folder: Path) -> None:
    """Refuse a folder for runs that is a file, a store or a run itself.

    Raises:
        InputError: the message says what stands there
    """
    if folder.is_file() or (folder.is_dir() and schema_of(folder)):
        raise InputError(f"{folder}: {what_stands_at(folder)}; name a folder for the runs with --out")


def refuse_undrawable(cache: FrameMapCache, episodes: EpisodeConfig, plan: EvaluationConfig, *, where: str) -> None:
    """Refuse a fold from which the episodes cannot be drawn.

    Raises:
        InputError: the message names the fold, the classes and the remedy
    """
    needed = replace(episodes, k_shot=max(plan.shots))
    videos = cache.videos.take(cache.rows(plan.split))
    make_split_pool(videos, plan.split, needed, where=where, min_videos=plan.min_videos)


def class_order(cache: FrameMapCache, seed: int) -> list[str]:
    """The classes with finished videos, in the drawn order in which they become novel."""
    with_videos = {cache.videos.label[row] for row in cache.rows()}
    names = sorted(name for name in cache.class_names if name in with_videos)
    return [names[place] for place in np.random.default_rng(seed).permutation(len(names))]


def evaluate_store(store: EmbeddingStore, episodes: EpisodeConfig, plan: EvaluationConfig) -> Evaluation:
    """Evaluate the embeddings of one run, whole or not at all: part of the episodes cannot be averaged over folds."""
    evaluation = Evaluator(store, plan).run(episodes)
    if evaluation.interrupted:
        raise KeyboardInterrupt
    return evaluation


def write_splits(file: Path, splits: Mapping[str, str]) -> None:
    """Write the split of each class as a CSV file with label,split.

    Raises:
        InputError: if it cannot be written
    """
    with write_errors(file, "name another folder with --out"):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(file) as fresh, fresh.open("w", newline="", encoding="utf-8") as stream:
            rows = [(csv_cell(label), split) for label, split in splits.items()]
            csv.writer(stream).writerows([("label", "split"), *rows])
