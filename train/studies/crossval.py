"""Cross-validate over classes: with 10 to 20 classes one split says little, so train and evaluate on several folds."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hcl.extract.cache.base import FrameMapCache
from hcl.extract.cache.formats import open_cache
from hcl.extract.pipeline.cluster.config import ClusterConfig
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
from hcl.train.studies.trainings import Training, train_on_cluster, train_one


def cross_validate(
    path: Path,
    folder: Path,
    config: CrossvalConfig,
    episodes: EpisodeConfig,
    plan: EvaluationConfig,
    settings: Mapping[str, Any],
    *,
    preset: str | None = None,
    on: OtherSet | None = None,
    cluster: ClusterConfig | None = None,
) -> CrossValidation:
    """Split the classes of a cache into folds; train and evaluate each fold with each seed.

    Finished runs in the folder are not trained again, unfinished ones resume.

    Args:
        path: of the cache; its own split is used only where the configuration says so
        folder: of the runs, fold0-seed0 and so on, and of the splits of each fold, fold0.csv and so on
        config: sizes of the folds, or the cache's own split in their place, and seeds
        episodes: drawn alike for all seeds of a fold
        plan: numbers of supports, and the split that is evaluated: "val" while settings are chosen
        settings: fields of TrainConfig; None leaves the preset's value
        preset: as for a training
        on: evaluate on this other set, without the classes that overlap the trained ones
        cluster: whose workers train, a run each; None: this machine, one after the other

    Raises:
        InputError: if there are too few classes or videos, before anything is trained, or the folder holds a run of
            other settings
    """
    on_cluster = cluster is not None
    trainings = plan_trainings(
        *(path, folder, config, episodes, plan, settings),
        preset=preset,
        on=on,
        on_cluster=on_cluster,
    )
    if cluster is not None:
        train_on_cluster([training for of_fold in trainings for training in of_fold], cluster)
    evaluations = []
    for of_fold in trainings:
        of_seeds = []
        for training in of_fold:
            train_one(None, training)
            store = EmbeddingStore.open(training.run / STORE) if on is None else on.store(training.run, plan.split)
            of_seeds.append(evaluate_store(store, episodes, plan))
        evaluations.append(tuple(of_seeds))
    return CrossValidation(tuple(evaluations))


def plan_trainings(
    path: Path,
    folder: Path,
    config: CrossvalConfig,
    episodes: EpisodeConfig,
    plan: EvaluationConfig,
    settings: Mapping[str, Any],
    *,
    preset: str | None = None,
    on: OtherSet | None = None,
    on_cluster: bool = False,
) -> list[list[Training]]:
    """Refuse what cannot be done, then write the splits of each fold, and list its trainings by seed.

    Args:
        path, folder, config, episodes, plan, settings, preset, on: as of `cross_validate`
        on_cluster: whether other machines train, for which this one settles the preset

    Raises:
        InputError: as `cross_validate`
    """
    cache = open_cache(path)
    folds = (
        [cache.class_splits]
        if config.own_split
        else make_folds(class_order(cache, config.class_order_seed or 0), config, episodes.n_way, plan.split)
    )
    refuse_folder(folder)
    presets = []
    for fold, splits in enumerate(folds):
        of_fold = cache.with_splits(splits)
        presets.append(preset or (default_preset(of_fold) if on_cluster else None))
        if on is None:
            refuse_undrawable(of_fold, episodes, plan, where=f"{path}, fold {fold}")
        for seed in config.seeds:
            running.refuse_run(of_fold, folder / f"fold{fold}-seed{seed}", preset, {**settings, "seed": seed})
        if on is not None:
            of_runs = make_run_config(of_fold, preset_config(preset or default_preset(of_fold), **settings))
            on.refuse(of_runs, replace(episodes, k_shot=max(plan.shots)), plan)
    trainings = []
    for fold, splits in enumerate(folds):
        file = folder / f"fold{fold}.csv"
        write_splits(file, splits)
        runs = {seed: folder / f"fold{fold}-seed{seed}" for seed in config.seeds}
        given = (file, presets[fold])
        trainings.append([Training(path, run, *given, {**settings, "seed": seed}) for seed, run in runs.items()])
    return trainings


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
