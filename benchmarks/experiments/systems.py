r"""Every system of the field on some caches and splits, each with the same number of trials to choose its settings.

    python benchmarks/experiments/systems.py films.zarr=split0.csv films.zarr=split1.csv gestures.zarr=split.csv \
        --out systems/ --trials 4 --seeds 0 1 2 --group-disjoint

Trials differ in what all systems share (SPACE): the first one has the defaults, the others are drawn by a seed, the
same for all systems. The trial with the highest accuracy on val classes, the mean over the folds that have some, is
chosen for all folds; novel classes are read once, by the runs of the chosen settings, one a seed. Prints for each cache
a row a system: accuracies and paired differences from the first system with 95 % intervals over folds, seeds, classes,
groups and videos, and milliseconds to score one episode. Finished runs are not trained again: it may be stopped and
resumes. Chosen settings and all figures are written to systems.json.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from tabulate import tabulate

from hcl.match.config import ALL_LEVELS, BASELINE, HCL, METHODS, EpisodeConfig, EvaluationConfig, ScoreConfig
from hcl.match.episodes.aggregation import distinct_pairs
from hcl.match.episodes.drawing import Episodes
from hcl.match.evaluation.class_scoring import episode_scores
from hcl.match.evaluation.comparison import verdict
from hcl.match.evaluation.cross_validation import CrossValidation
from hcl.match.evaluation.evaluator import Evaluator
from hcl.match.fast_scoring.pair_scores import score_pairs
from hcl.match.store.embedding_store import EmbeddingStore, open_store
from hcl.match.store.scorer import arrays_for, scorer_of
from hcl.train.runs.run_folder import is_finished
from hcl.train.runs.running import train
from hcl.train.runs.tracking.metrics_log import metrics_so_far
from hcl.train.studies.reports import interval_text

SHOTS = (1, 5)
SPACE: dict[str, tuple[Any, ...]] = {
    "learning_rate": (0.0003, 0.001, 0.003),
    "dim": (128, 256, 512),
    "dropout": (0.0, 0.1, 0.3),
    "patch_keep_rate": (0.5, 1.0),
    "weight_decay": (0.0005, 0.05),
    "epochs": (4, 8, 16),
    "start": ("random", "maps"),
}
TIMED = 20  # episodes whose scoring is timed, one at a time


@dataclass(frozen=True)
class Fold:
    """A cache, and what replaces its splits."""

    cache: Path
    splits: Path | None

    @classmethod
    def of(cls, text: str) -> "Fold":
        """CACHE or CACHE=SPLITS."""
        cache, _, splits = text.partition("=")
        return cls(Path(cache), Path(splits) if splits else None)

    @property
    def name(self) -> str:
        """Of the folders of its runs."""
        return self.cache.stem + (f"-{self.splits.stem}" if self.splits else "")


def main() -> None:
    """Choose settings, train, evaluate and print, system by system."""
    given = parse()
    caches = list(dict.fromkeys(fold.cache for fold in given.folds))
    results: dict[Path, dict[str, CrossValidation]] = {cache: {} for cache in caches}
    figures: dict[str, dict[str, Any]] = {}
    for method in given.methods:
        settings, reached = choose(given, method)
        figures[method] = {"settings": dict(settings), "val": reached, "ms_per_episode": {}, "sets": {}}
        for cache in caches:
            folds = [fold for fold in given.folds if fold.cache == cache]
            runs = [[train_run(given, method, settings, seed, fold) for seed in given.seeds] for fold in folds]
            result = results[cache][method] = evaluated(given, runs)
            figures[method]["ms_per_episode"][cache.stem] = milliseconds(open_store(runs[0][0]), given, given.shots)
            figures[method]["sets"][cache.stem] = result.to_dict()
        (given.out / "systems.json").write_text(json.dumps(figures, indent=2))
        for cache in caches:
            costs = {name: of["ms_per_episode"][cache.stem] for name, of in figures.items()}
            print(f"\n{cache.stem}\n\n{table(results[cache], costs, given.methods[0], given.shots)}", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folds", nargs="+", type=Fold.of, metavar="CACHE[=SPLITS]", help="some need val classes")
    parser.add_argument("--out", type=Path, default=Path("systems"))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), help="the first is what the others differ from")
    parser.add_argument("--trials", type=int, default=8, help="of each system")
    parser.add_argument("--trial-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--way", type=int, default=5)
    parser.add_argument("--shots", type=int, nargs="+", default=list(SHOTS))
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--group-disjoint", action="store_true")
    parser.add_argument("--settings", default="{}", help="JSON, settings of all trainings, which trials leave alone")
    return parser.parse_args()


def trials(given: argparse.Namespace) -> list[dict[str, Any]]:
    """The settings to try, the same for all systems: none, then drawn ones."""
    drawn: list[dict[str, Any]] = [{}]
    fixed = json.loads(given.settings)
    for number in range(1, given.trials):
        rng = np.random.default_rng([given.trial_seed, number])
        choice = {name: values[rng.integers(len(values))] for name, values in SPACE.items()}
        drawn.append({name: value for name, value in choice.items() if name not in fixed})
    return drawn


def choose(given: argparse.Namespace, method: str) -> tuple[Mapping[str, Any], list[float]]:
    """Train a system with the settings of each trial; the best on val classes, and what each reached there."""
    if method == BASELINE:  # nothing is trained
        return {}, []
    reached = []
    for number, settings in enumerate(trials(given)):
        of_folds = [val_accuracy(train_run(given, method, settings, given.seeds[0], fold)) for fold in given.folds]
        measured = [value for value in of_folds if value is not None]
        if not measured:
            raise SystemExit("no fold has val classes to choose settings on; name some with CACHE=SPLITS")
        reached.append(float(np.mean(measured)))
        print(
            f"{method}, trial {number}: {reached[-1]:.1f} % on val classes with {settings or 'the defaults'}",
            flush=True,
        )
    return trials(given)[int(np.argmax(reached))], reached


def val_accuracy(run: Path) -> float | None:
    """What the weights that a run kept reach on its val classes, in percent; None without val classes."""
    validations = [record["validation"] for record in metrics_so_far(run) if record["best"]]
    return None if not validations or validations[-1] is None else float(validations[-1])


def train_run(given: argparse.Namespace, method: str, settings: Mapping[str, Any], seed: int, fold: Fold) -> Path:
    """The run of a system with some settings on a fold, trained now or before."""
    number = trials(given).index(dict(settings))
    run: Path = given.out / f"{method}-{number}-seed{seed}-{fold.name}"
    if not (run.is_dir() and is_finished(run)):
        chosen = {"tracker": "none", **json.loads(given.settings), **settings, "method": method, "seed": seed}
        train(fold.cache, run=run, preset="quick", splits=fold.splits, settings=chosen, latest=False)
    return run


def evaluated(given: argparse.Namespace, runs: Sequence[Sequence[Path]]) -> CrossValidation:
    """Score the same episodes of novel classes by each run, by fold and seed."""
    episodes = EpisodeConfig(n_way=given.way, episodes=given.episodes, group_disjoint=given.group_disjoint)
    plan = EvaluationConfig(shots=tuple(given.shots))
    return CrossValidation(
        tuple(tuple(Evaluator(open_store(run), plan).run(episodes) for run in of_fold) for of_fold in runs)
    )


def milliseconds(store: EmbeddingStore, given: argparse.Namespace, shots: Sequence[int]) -> list[float]:
    """The median time to score an episode of a query a class, its arrays in memory, for each number of shots."""
    config = EpisodeConfig(n_way=given.way, episodes=TIMED, k_shot=max(shots), group_disjoint=given.group_disjoint)
    drawn = Evaluator(store, EvaluationConfig(method=BASELINE, shots=(max(shots),))).run(config).scored
    rows, local = drawn.renumbered()
    score = scored_by(store, rows)
    return [timed(score, local, shot) for shot in shots]


def scored_by(store: EmbeddingStore, rows: np.ndarray) -> Any:
    """A function that scores the classes of an episode of these rows, counted from 0, with some shots."""
    if store.method == HCL:
        embeddings, settings = store.embeddings(rows), ScoreConfig(**store.attributes["scoring"]).of_pairs
        return lambda one, shot: score_pairs(embeddings, distinct_pairs(one.with_shots(shot)).pairs, **settings)
    method = scorer_of(store, store.method)
    arrays = arrays_for(store, method, rows)
    return lambda one, shot: episode_scores(method, arrays, one, shot)


def timed(score: Any, episodes: Episodes, shot: int) -> float:
    """The median over episodes, in milliseconds; the first one warms up."""
    times = []
    for number in range(len(episodes)):
        one = Episodes(episodes.support[[number]], episodes.query[[number]])
        start = perf_counter()
        score(one, shot)
        times.append(1000 * (perf_counter() - start))
    return median(times[1:] or times)


def lines(results: Mapping[str, CrossValidation]) -> list[tuple[str, str, str | None]]:
    """What the table shows: a name, the system, and its score if it is not the one that stands for it."""
    found: list[tuple[str, str, str | None]] = []
    for method in results:
        found.append((method, method, None))
        if (
            method == HCL
        ):  # the headline counts levels without training, too, if there were val classes to weigh them on
            found.append(("hcl, Eq. 6", method, ALL_LEVELS))
    return found


def table(
    results: Mapping[str, CrossValidation], costs: Mapping[str, Sequence[float]], first: str, shots: Sequence[int]
) -> str:
    """A row a system, in Markdown."""
    headers = ["system"]
    for shot in shots:
        headers += [f"{shot}-shot, %", "95 %", f"from {first}", "95 %", "", "ms an episode"]
    rows = []
    for name, method, score in lines(results):
        row, result = [name], results[method]
        for case, outcome in enumerate(result.evaluations[0][0].outcomes):
            shown = score or outcome.headline
            of_first = results[first].evaluations[0][0].outcomes[case].headline
            accuracy, difference = (
                result.accuracy(case, shown),
                result.difference(case, shown, results[first], of_first),
            )
            row += [f"{accuracy.mean:.1f}", interval_text(accuracy)]
            row += [f"{difference.mean:+.1f}", interval_text(difference, "+")]
            row += ["" if method == first else verdict(*difference.interval)]
            row += [f"{costs[method][case]:.2f}"]
        rows.append(row)
    return str(tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
