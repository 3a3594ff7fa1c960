"""Cross-validation over classes: the folds, runs that are not repeated, means and differences against loops."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hcl.cli import main
from hcl.extract.cache.formats import open_cache
from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.decoding.source import Source
from hcl.extract.system.errors import InputError
from hcl.match.config import ALL_LEVELS, BASELINE, KNOWN_LEVELS, WEIGHTED, EpisodeConfig, EvaluationConfig
from hcl.match.episodes.aggregation import true_places
from hcl.match.evaluation.cross_validation import CrossValidation, Mean
from hcl.match.evaluation.evaluator import Evaluator
from hcl.match.store.locate import STORE
from hcl.train.runs.run_folder import is_finished, read_config
from hcl.train.studies import crossval, trainings
from hcl.train.studies.ablation import FULL, TABLES, ablations
from hcl.train.studies.crossval import class_order, cross_validate, write_splits
from hcl.train.studies.folds import CrossvalConfig, make_folds
from hcl.train.studies.method_tables import TableRun, paper_tables, runs_of_tables
from hcl.train.studies.reports import ablation_text, crossval_text
from hcl.train.studies.trainings import Training

NAMES = tuple("abcdefghi")
SPLITS = dict.fromkeys(NAMES, "novel")
QUICK = {
    "dim": 16,
    "heads": 2,
    "mlp_dim": 16,
    "epochs": 1,
    "steps_per_epoch": 2,
    "val_episodes": 5,
    "device": "cpu",
}
CONFIG = CrossvalConfig(novel=3, val=2, folds=2, seeds=(0, 1))
EPISODES = EpisodeConfig(n_way=3, episodes=12)
PLAN = EvaluationConfig(shots=(1, 2))


@pytest.mark.parametrize(
    ("count", "config", "sizes", "folds"),
    [
        (12, CrossvalConfig(novel=5, val=0), (5, 0, 7), 3),
        (12, CrossvalConfig(), (5, 2, 5), 3),
        (10, CrossvalConfig(), (5, 0, 5), 2),
        (28, CrossvalConfig(), (7, 3, 18), 4),
        (100, CrossvalConfig(), (24, 12, 64), 5),
        (28, CrossvalConfig(folds=2, val=4), (7, 4, 17), 2),
    ],
)
def test_each_class_has_one_split_and_all_are_novel_in_turn(
    count: int, config: CrossvalConfig, sizes: tuple[int, ...], folds: int
) -> None:
    names = [f"class {number}" for number in range(count)]
    made = make_folds(names, config, 5)
    assert len(made) == folds
    for splits in made:
        assert list(splits) == names
        assert tuple(list(splits.values()).count(split) for split in ("novel", "val", "base")) == sizes
    novel = [name for splits in made for name, split in splits.items() if split == "novel"]
    if not config.folds:
        assert set(novel) == set(names)


def test_too_few_classes_are_refused() -> None:
    with pytest.raises(InputError, match=r"6 classes leave 1 to train on beside 5 novel and 0 val ones; lower --novel"):
        make_folds(NAMES[:6], CrossvalConfig(), 5)
    with pytest.raises(InputError, match="5-way episodes need 5 novel classes, a fold has 3; lower --way"):
        make_folds(NAMES, CrossvalConfig(novel=3), 5)
    with pytest.raises(InputError, match="need 3 val classes, a fold has 2"):
        make_folds(NAMES, CrossvalConfig(novel=3, val=2), 3, "val")


def test_folds_that_only_repeat_others_are_refused() -> None:
    names = [f"class {number}" for number in range(28)]
    made = make_folds(names, CrossvalConfig(novel=6, folds=14), 5)
    assert len({tuple(splits.items()) for splits in made}) == 14
    with pytest.raises(InputError, match="--folds 99: 28 classes make 14 different folds of 6 novel ones; lower it"):
        make_folds(names, CrossvalConfig(novel=6, folds=99), 5)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("seeds", (1, 1), "--seeds must be distinct"),
        ("seeds", (), "--seeds must be distinct"),
        ("novel", 0, "--novel must be at least 1, got 0"),
        ("val", -1, "--val must be at least 0, got -1"),
        ("folds", 0, "--folds must be at least 1, got 0"),
        ("class_order_seed", -1, "--class-order-seed must be at least 0"),
    ],
)
def test_wrong_folds_are_refused_by_option(setting: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CrossvalConfig(**{setting: value})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, make_cache: Callable[..., ZarrCache]) -> Path:
    return make_cache(tmp_path_factory.mktemp("crossval") / "cache.zarr", splits=SPLITS).path


def run(cache: Path, folder: Path, settings: Mapping[str, Any] = QUICK) -> CrossValidation:
    return cross_validate(cache, folder, CONFIG, EPISODES, PLAN, settings, preset="quick")


@pytest.fixture(scope="module")
def found(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> CrossValidation:
    return run(cache, tmp_path_factory.mktemp("runs") / "one")


def test_means_equal_those_of_the_single_evaluations(found: CrossValidation) -> None:
    for number, score in ((0, ALL_LEVELS), (1, "global"), (1, BASELINE)):
        table = np.array(
            [
                [Evaluator(of.store, PLAN).run(EPISODES).outcomes[number].accuracies[score].accuracy for of in of_seeds]
                for of_seeds in found.evaluations
            ]
        )
        mean = found.accuracy(number, score)
        assert mean.mean == pytest.approx(table.mean())
        assert mean.by_fold == pytest.approx(table.mean(axis=1)) and mean.by_seed == pytest.approx(table.mean(axis=0))
        assert mean.interval[0] <= mean.mean <= mean.interval[1]


def test_differences_are_paired(found: CrossValidation) -> None:
    total = count = 0
    for of_seeds in found.evaluations:
        for of in of_seeds:
            outcome, truth = of.outcomes[0], true_places(of.scored)
            total += (outcome.predictions["global"] == truth).sum() - (outcome.predictions[BASELINE] == truth).sum()
            count += outcome.predictions["global"].size
    assert found.difference(0, "global", found, BASELINE).mean == pytest.approx(100 * total / count)
    assert found.difference(0, "global", found, "global").interval == (0, 0)


def test_novel_classes_of_a_fold_train_nothing(found: CrossValidation) -> None:
    novel = [set(of_seeds[0].class_names) for of_seeds in found.evaluations]
    assert len(novel[0] | novel[1]) == 6
    for of_seeds, names in zip(found.evaluations, novel, strict=True):
        for seed, of in enumerate(of_seeds):
            config = read_config(of.store.path.parent)
            assert not names & set(config.base_classes) and len(config.base_classes) == 4
            assert config.training.seed == seed


def test_what_is_finished_is_not_trained_again_and_must_be_the_same(cache: Path, found: CrossValidation) -> None:
    folder = found.evaluations[0][0].store.path.parents[1]
    written = {file: file.stat().st_mtime_ns for file in folder.glob("fold*-seed*/**/*")}
    again = run(cache, folder)
    assert {file: file.stat().st_mtime_ns for file in folder.glob("fold*-seed*/**/*")} == written
    assert again.accuracy(0, ALL_LEVELS) == found.accuracy(0, ALL_LEVELS)
    with pytest.raises(InputError, match=r"a finished run with another training \(--dim 16 there, 8 now\).*--out"):
        run(cache, folder, QUICK | {"dim": 8})


def test_other_episodes_cannot_be_compared(cache: Path, found: CrossValidation, tmp_path: Path) -> None:
    folder = found.evaluations[0][0].store.path.parents[1]
    other = cross_validate(
        *(cache, folder, CONFIG, EpisodeConfig(n_way=3, episodes=12, seed=1), PLAN, QUICK), preset="quick"
    )
    with pytest.raises(InputError, match="runs over different episodes cannot be compared"):
        found.difference(0, "global", other, "global")


def test_the_report_shows_every_score_of_every_fold(found: CrossValidation) -> None:
    text = crossval_text(found)
    for number, shot in enumerate(PLAN.shots):
        table = next(part for part in text.split("\n\n") if part.startswith(f"| {shot}-shot, %"))
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
        means = [found.accuracy(number, name) for name in found.evaluations[0][0].outcomes[number].accuracies]
        assert [row[1:4] for row in rows] == [[f"{value:.1f}" for value in (*of.by_fold, of.mean)] for of in means]
    summary = next(part for part in text.split("\n\n") if part.startswith("| mean % (95 %)"))
    for row, name in zip(summary.splitlines()[2:], found.evaluations[0][0].outcomes[0].accuracies, strict=True):
        of_shots = [found.accuracy(number, name) for number in range(len(PLAN.shots))]
        assert [cell.split()[0] for cell in row.split("|")[2:-1]] == [f"{of.mean:.1f}" for of in of_shots]
    behind = replace_accuracies(found, first=100.0)
    assert "without training, " in crossval_text(behind) and "is ahead here: 100.0 %" in crossval_text(behind)
    assert "is ahead" not in crossval_text(replace_accuracies(found, first=0.0))


def replace_accuracies(found: CrossValidation, *, first: float) -> CrossValidation:
    """The same evaluations, of which what needs no training has another accuracy than 50 %."""

    class Replaced(CrossValidation):
        def accuracy(self, number: int, score: str) -> Mean:
            value = first if score == BASELINE or score.startswith("untrained") else 50.0
            return replace(super().accuracy(number, score), mean=value)

    return Replaced(found.evaluations)


def test_the_results_are_given_in_plain_types_and_as_a_table(found: CrossValidation) -> None:
    read = json.loads(json.dumps(found.to_dict()))
    assert [outcome["k_shot"] for outcome in read["outcomes"]] == [1, 2]
    assert read["outcomes"][1]["scores"]["global"]["mean"] == found.accuracy(1, "global").mean
    names = list(read["outcomes"][0]["scores"])
    of_frames = {name for name in KNOWN_LEVELS if "difference" not in name}  # the cache has no difference images
    assert names[-1] == WEIGHTED and of_frames < set(names) and len(names) == 8 + len(of_frames) + 1
    assert read["runs"][1][1].endswith("fold1-seed1")
    pytest.importorskip("pandas")
    table = found.to_pandas().set_index(["shot", "score", "fold"])["accuracy"]
    assert table[2, "global", 1] == found.accuracy(1, "global").by_fold[1] and len(table) == 2 * len(names) * 2


@pytest.mark.parametrize(("number", "rows"), [(1, 7), (2, 4), (3, 2), (4, 12)])
def test_tables_switch_what_the_paper_switches(number: int, rows: int) -> None:
    table = TABLES[number]
    assert len(table) == rows and table[-1].terms == FULL and table[-1].score == ALL_LEVELS
    for row in table:
        levels = set() if row.score == BASELINE else set(row.score.split("+"))
        contrasts = {name.removesuffix("_contrast") for name in row.terms if name.endswith("_contrast")}
        if number == 1 and row.score != BASELINE:
            assert levels == (contrasts or {"global"})  # a level whose loss is off is left out
        assert row.settings == {name: name in row.terms for name in FULL} | {"semantic_attention": row.attention}
    assert len({(row.folder, row.score) for row in table}) == rows


def test_ablations_train_each_setting_once(found: CrossValidation) -> None:
    trained: list[str] = []

    def cross_validated(name: str, settings: Mapping[str, Any]) -> CrossValidation:
        trained.append(name)
        return found

    semantic, levels = ablations((3, 4), cross_validated)
    assert sorted(trained) == sorted({variant.folder for number in (3, 4) for variant in TABLES[number]})
    assert len(semantic.rows) == 2 and len(levels.rows) == 12 and levels.shots == (1, 2)
    assert levels.rows[-1].differences[0].interval == (0, 0)
    assert levels.rows[0].accuracies == tuple(found.accuracy(case, "global") for case in (0, 1))
    tables = [part for part in ablation_text(levels).split("\n\n") if "-shot" in part]
    assert len(tables) == 2
    for case, table in enumerate(tables):
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
        assert [row[0] for row in rows] == [row.variant.name for row in levels.rows]
        assert [row[1] for row in rows] == [f"{row.accuracies[case].mean:.1f}" for row in levels.rows]
    assert [row[-2:] for row in rows] == [["", ""]] * 12  # the paper has no 2-shot figures


def test_what_tables_will_train_is_known_before(cache: Path, found: CrossValidation) -> None:
    """On a cluster all of it is trained first, so that the tables find it finished."""
    asked: dict[str, TableRun] = {}

    def cross_validated(name: str, settings: Mapping[str, Any]) -> CrossValidation:
        asked[name] = TableRun(settings)
        return found

    opened = open_cache(cache)
    assert len(list(paper_tables((1, 3), opened, cross_validated))) == 2
    assert runs_of_tables((1, 3), opened) == asked
    with pytest.raises(InputError, match="holds no published benchmark, Table 5 is of"):
        runs_of_tables((5,), opened)


def test_ablations_are_given_in_plain_types_and_as_a_table(found: CrossValidation) -> None:
    (table,) = ablations((3,), lambda *_: found)
    read = json.loads(json.dumps(table.to_dict()))
    assert read == table.to_dict() and read["table"] == 3 and len(read["rows"]) == 2
    assert read["rows"][0]["shots"]["2"]["accuracy"]["mean"] == table.rows[0].accuracies[1].mean
    pytest.importorskip("pandas")
    frame = table.to_pandas()
    assert list(frame["shot"]) == [1, 2, 1, 2] and frame["accuracy"][1] == table.rows[0].accuracies[1].mean


def test_an_unknown_table_is_refused_before_anything_is_trained(found: CrossValidation) -> None:
    trained: list[str] = []
    with pytest.raises(InputError, match="--table must be of 1, 2, 3, 4, got 7"):
        list(ablations((1, 7), lambda name, _: trained.append(name) or found))
    assert not trained


def test_the_commands_run_and_resume(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = [f"--{name.replace('_', '-')}={value}" for name, value in QUICK.items()]
    options = ["--novel=auto", "--val=0", "--folds=1", "--way=3", "--episodes=10", "--shot=1", *small]
    first = CliRunner().invoke(main, ["crossval", str(cache), *options, "--json", "c.json", "--markdown", "c.md"])
    assert first.exit_code == 0 and "1-shot, %" in first.output, first.output
    assert json.loads(Path("c.json").read_text())["outcomes"][0]["k_shot"] == 1
    assert "1-shot, %" in Path("c.md").read_text() and "c.md" not in first.output
    told = ["--out", "ablation", "--markdown", "a.md"]
    table = CliRunner().invoke(main, ["ablate", str(cache), "--table", "3", *told, *options])
    assert Path("a.md").read_text().startswith("Table 3: semantic attention")
    assert table.exit_code == 0 and "Table 3: semantic attention" in table.output, table.output
    assert (tmp_path / "ablation" / "full" / "fold0-seed0" / STORE).is_dir()
    off = read_config(tmp_path / "ablation" / "without-semantic_attention" / "fold0-seed0").training
    assert not off.semantic_attention and off.cross_entropy
    wrong = CliRunner().invoke(main, ["ablate", str(cache), "--table", "8", *options])
    assert wrong.exit_code == 2 and "--table must be of 1, 2, 3, 4, 5, 6, 7, got 8" in wrong.output
    wrong = CliRunner().invoke(main, ["crossval", str(cache), "--novel", "many"])
    assert wrong.exit_code == 2 and "expected auto or a number, got 'many'" in wrong.output


def test_a_table_without_pandas_names_the_remedy(found: CrossValidation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="pip install pandas"):
        found.to_pandas()


def test_an_ablation_of_another_method_is_refused_before_anything_is_trained(cache: Path, tmp_path: Path) -> None:
    options = ["--table", "3", "--method", "otam", "--out", str(tmp_path / "out")]
    found = CliRunner().invoke(main, ["ablate", str(cache), *options])
    assert found.exit_code == 2 and "--method otam: the paper's tables switch losses and levels of hcl" in found.output
    assert not (tmp_path / "out").exists()


def test_too_few_videos_of_any_fold_are_refused_before_anything_is_trained(
    make_cache: Callable[..., ZarrCache], tmp_path: Path
) -> None:
    """Class h is novel in the last fold; without it, where it is asked for, too few classes are left."""
    made = make_cache(tmp_path / "cache.zarr", splits=SPLITS)
    config = CrossvalConfig(novel=3, val=0)
    last = make_folds(class_order(made, 0), config, 3)[-1]
    small = min(name for name, split in last.items() if split == "novel")
    twins = [row for row in made.rows() if made.videos.label[row] == small][1:]
    made.write([MapRecord(int(row), made.maps(int(row)), source=Source("same")) for row in twins])
    plan, message = EvaluationConfig(shots=(1, 2)), rf"cache.zarr, fold 2: 2-shot .* too few in {small} \(2\).*"
    for episodes, given, expected in (
        (EPISODES, plan, message + "leave such classes out with --min-videos 3"),
        (EPISODES, replace(plan, min_videos=3), rf"fold 2: 3-way .* found 2; .*too few videos: {small} \(2\)"),
        (replace(EPISODES, group_disjoint=True, n_query=3), PLAN, "fold 0: .*need 5 videos a class"),
    ):
        with pytest.raises(InputError, match=expected):
            cross_validate(made.path, tmp_path / "out", config, episodes, given, QUICK, preset="quick")
    assert not (tmp_path / "out").exists()
    two = CrossvalConfig(novel=3, val=0, folds=3)
    found = cross_validate(
        *(made.path, tmp_path / "runs", two, replace(EPISODES, n_way=2), replace(plan, min_videos=3)),
        QUICK | {"epochs": 0},
        preset="quick",
    )
    assert f"left out, with too few videos: {small} (2)" in crossval_text(found)


def test_the_own_split_of_a_cache_takes_the_place_of_folds(
    make_cache: Callable[..., ZarrCache], tmp_path: Path
) -> None:
    own = dict(zip(NAMES, ["novel"] * 3 + ["val"] * 2 + ["base"] * 4, strict=True))
    made = make_cache(tmp_path / "cache.zarr", splits=own)
    options = "--way 3 --shot 1,2 --episodes 12 --epochs 0 --preset quick --device cpu".split()
    given = [*options, "--own-split", "--seeds", "0,1", "--out", str(tmp_path / "runs")]
    done = CliRunner().invoke(main, ["crossval", str(made.path), *given])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "runs").glob("fold*-seed*")) == ["fold0-seed0", "fold0-seed1"]
    assert read_config(tmp_path / "runs" / "fold0-seed1").splits == own
    done = CliRunner().invoke(
        main, ["ablate", str(made.path), "--table", "3", *options, "--own-split", "--out", str(tmp_path / "ablation")]
    )
    assert done.exit_code == 0, done.output
    assert {read_config(run).splits == own for run in (tmp_path / "ablation").glob("*/fold0-seed0")} == {True}


def test_an_ablation_on_a_cluster_trains_there_all_that_it_scores(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tasks run here, one after the other: tests/test_on_ray.py has real workers."""
    sent: list[str] = []

    def run_here(function: Callable[[None, Training], None], tasks: list[Training], *_: object, **__: object) -> Any:
        for task in tasks:
            sent.append(str(task.run.relative_to(tmp_path / "there")))
            yield function(None, task)

    def find_trained(_: None, training: Training) -> None:
        assert is_finished(training.run), f"{training.run} was not trained by the cluster"

    options = ["--table", "3", *"--way 3 --shot 1,2 --episodes 12 --epochs 0 --preset quick --device cpu".split()]
    options += ["--novel", "3", "--val", "2", "--folds", "2"]
    found = {}
    for where, on in (("here", []), ("there", ["--ray", "local"])):
        with monkeypatch.context() as patched:
            if on:
                patched.setattr(trainings, "run_tasks", run_here)
                patched.setattr(crossval, "train_one", find_trained)
            files = ["--out", str(tmp_path / where), "--json", str(tmp_path / f"{where}.json")]
            done = CliRunner().invoke(main, ["ablate", str(cache), *options, *files, *on])
            assert done.exit_code == 0, done.output
        found[where] = json.loads((tmp_path / f"{where}.json").read_text())
    assert found["there"] == found["here"]
    assert len(sent) == 4 and sorted(sent) == sorted(
        str(run.parent.relative_to(tmp_path / "here")) for run in (tmp_path / "here").glob("*/*/config.json")
    )


def test_an_own_split_that_says_nothing_or_stands_beside_sizes_is_refused(cache: Path, tmp_path: Path) -> None:
    """All classes of the fixture's cache are novel."""
    given = ["--own-split", "--preset", "quick", "--way", "3", "--shot", "1,2", "--out", str(tmp_path / "out")]
    for command in (["crossval", str(cache)], ["ablate", str(cache), "--table", "1"]):
        done = CliRunner().invoke(main, [*command, *given, "--novel", "3", "--folds", "2", "--class-order-seed", "0"])
        assert done.exit_code != 0 and "--own-split" in done.output
        assert "leave out --novel, --folds, --class-order-seed" in done.output
        done = CliRunner().invoke(main, [*command, *given])
        assert done.exit_code != 0 and "0 base classes with videos, training needs 2 or more" in done.output
    assert not (tmp_path / "out").exists()


def test_the_splits_of_a_fold_hold_no_formula_and_are_read_back(tmp_path: Path) -> None:
    splits = {"=cmd()": "base", "'=x": "novel", "@a": "val", "'quoted'": "base", "plain": "base"}
    write_splits(tmp_path / "fold.csv", splits)
    cells = [line.split(",")[0] for line in (tmp_path / "fold.csv").read_text().splitlines()]
    assert not [cell for cell in cells if cell[0] in "=+-@"]


def test_classes_that_look_like_formulas_are_cross_validated(
    make_cache: Callable[..., ZarrCache], tmp_path: Path
) -> None:
    names = ("=cmd()", "'=x", "@a", "'quoted'", "-1", "plain")
    cache = make_cache(tmp_path / "cache.zarr", splits=dict.fromkeys(names, "novel"))
    config = CrossvalConfig(novel=3, val=0, folds=2)
    found = cross_validate(
        *(cache.path, tmp_path / "runs", config, EPISODES, EvaluationConfig(), QUICK | {"epochs": 0}), preset="quick"
    )
    assert sorted(name for of_seeds in found.evaluations for name in of_seeds[0].class_names) == sorted(names)
