"""The commands of this stage: train, embed, crossval, ablate and info."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from hcl.extract.commands import RAY, of_cluster, on_cluster
from hcl.extract.system.console import echo
from hcl.extract.system.console import markdown as markdown_text
from hcl.extract.system.options import OUT_FILE, PATH, OptionGroups, grouped_options, numbers, setting_options
from hcl.extract.system.places.arguments import PLACE
from hcl.extract.system.settings import COMPUTED, INPUT, SPEED, option_of, setting_of
from hcl.match.config import EpisodeConfig, EvaluationConfig
from hcl.train.config import EXPORTS, LARGE_SET, PRESETS, TERMS, TRAIN_ON, TrainConfig
from hcl.train.studies.folds import OF_DRAWN_FOLDS, CrossvalConfig

if TYPE_CHECKING:
    from hcl.match.evaluation.cross_validation import CrossValidation

ABLATED = (*TERMS, "semantic_attention")  # what the paper's tables switch
STUDY_SHOTS = (1, 5)
HELP = {
    each.name: known.help for each in (*fields(TrainConfig), *fields(CrossvalConfig)) if (known := setting_of(each))
}


def auto_or_number(_: click.Context, parameter: click.Parameter, value: str) -> int | None:
    """Read "auto" as None, anything else as a number."""
    try:
        return None if value == "auto" else int(value)
    except ValueError:
        raise click.BadParameter(f"expected auto or a number, got {value!r}", param=parameter) from None


def training_options(*, without: tuple[str, ...] = ()) -> OptionGroups:
    """An option for the preset and for each setting of TrainConfig; one that is left out keeps the preset's value."""
    settings = setting_options(TrainConfig, without=("preset", *without), presets=PRESETS)
    default = f"[default: paper with a GPU and at least {LARGE_SET} base videos, else quick]"
    preset = cloup.option("--preset", type=click.Choice(PRESETS), help=f"{HELP['preset']}  {default}")
    return settings | {COMPUTED: [preset, *settings[COMPUTED]]}


def episode_options() -> tuple[OptionGroups, ...]:
    """The options of the episodes that a study scores in each fold."""
    return (
        setting_options(EpisodeConfig, without=("k_shot", "seed")),
        setting_options(
            EvaluationConfig,
            without=("method", "aggregates", "spatial", "keep_trained_classes", "calibration", "open_set", "reject"),
            defaults={"shots": STUDY_SHOTS},
        ),
    )


def fold_options(out: str) -> OptionGroups:
    """The options of the folds and of the files that a study writes, by default into the folder `out`."""
    settings = setting_options(CrossvalConfig, without=OF_DRAWN_FOLDS)
    automatic: Any = {"callback": auto_or_number, "metavar": "auto|N", "default": "auto", "show_default": True}
    options = [
        cloup.option("--out", default=out, type=PLACE, show_default=True, help="Folder of the runs."),
        cloup.option("--json", "json_file", type=OUT_FILE, help="Write all results to this file."),
        cloup.option("--markdown", type=OUT_FILE, help="Write the printed report to this file."),
        *(
            cloup.option(option_of(each), each.name, help=HELP[each.name], **automatic)
            for each in fields(CrossvalConfig)
            if each.name in OF_DRAWN_FOLDS
        ),
    ]
    return settings | {COMPUTED: [*options, *settings[COMPUTED]], SPEED: [*settings.get(SPEED, ()), *RAY]}


def study_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Sort the options of a study by what they configure; the others are settings of its trainings."""
    cluster = of_cluster(given)
    folds = {each.name: given.pop(each.name) for each in fields(CrossvalConfig)}
    episodes = {name: given.pop(name) for name in ("n_way", "n_query", "episodes", "group_disjoint")}
    shots = given.pop("shots")
    return {
        "config": CrossvalConfig(**folds),
        "episodes": EpisodeConfig(**episodes, k_shot=max(shots)),
        "plan": EvaluationConfig(shots=shots, split=given.pop("split"), min_videos=given.pop("min_videos")),
        "preset": given.pop("preset"),
        "settings": given,
        "cluster": cluster,
    }


@cloup.command(short_help="Train an encoder on the base videos of one or more caches.")
@click.argument("caches", type=PLACE, nargs=-1, required=True, metavar="CACHE...")
@grouped_options(
    {
        INPUT: [
            cloup.option(
                "--splits",
                type=PATH,
                help="CSV file with label,split: replaces the splits of CACHE; with several, a label is SET/class.",
            ),
            cloup.option(
                "--merge-classes",
                is_flag=True,
                help="Of several caches, take classes of the same name for one class.",
            ),
            cloup.option(
                "--train-on",
                type=click.Choice(tuple(TRAIN_ON)),
                default="base",
                show_default=True,
                help="Classes to learn from. base: the base classes; val: the val classes, too, which then choose no"
                " epoch; all: every class, for use on other videos, and nothing is left to evaluate on.",
            ),
        ],
        COMPUTED: [
            cloup.option(
                "--run",
                type=PLACE,
                help="Folder of the run; an unfinished run resumes.  [default: a dated one in runs/]",
            )
        ],
    },
    training_options(),
)
def train(
    caches: tuple[Path, ...],
    run: Path | None,
    preset: str | None,
    splits: Path | None,
    merge_classes: bool,
    train_on: str,
    **settings: Any,
) -> None:
    """Train an encoder on the base videos of CACHE and embed its val and novel videos.

    Several caches of like maps are learned together: each is a set, named after its file, and gives as many classes of
    each batch as the others. Each is validated and embedded for itself.
    """
    from hcl.train.runs import running

    of_classes: dict[str, Any] = {"splits": splits, "merge_classes": merge_classes, "train_on": train_on}
    done = running.train(caches, run=run, preset=preset, settings=settings, **of_classes)
    if done:  # of several processes the main one speaks
        echo(done)


@cloup.command(short_help="Embed every video of a cache.")
@click.argument("cache", type=PLACE)
@grouped_options(
    {
        INPUT: [
            cloup.option("--run", type=PLACE, help="Run whose encoder embeds the videos."),
            cloup.option(
                "--untrained", is_flag=True, help="Embed straight from the backbone's maps, without training."
            ),
            cloup.option("--weights", default=TrainConfig.weights, show_default=True, help=HELP["weights"]),
        ],
        COMPUTED: [
            cloup.option("--out", required=True, type=PLACE, help="Embedding store to write."),
            cloup.option(
                "--test-views",
                type=int,
                help="Views of each video whose embeddings are averaged; 0: all that the cache holds."
                "  [default: as the run has it; all if untrained]",
            ),
        ],
        SPEED: [cloup.option("--device", default=TrainConfig.device, show_default=True, help=HELP["device"]), *RAY],
    }
)
def embed(cache: Path, run: Path | None, untrained: bool, out: Path, **given: Any) -> None:
    """Embed every video of CACHE by the encoder of a run, keeping the splits of the cache."""
    if untrained == (run is not None):
        raise click.UsageError("give either --run RUN or --untrained")
    from hcl.train.runs.embed_cache import embed_cache

    cluster = of_cluster(given)
    with on_cluster(cluster):
        echo(embed_cache(cache, out, run=run, cluster=cluster, **given))


@cloup.command(short_help="Write the encoder or backbone of a run as torch.export or ONNX.")
@click.argument("run", type=PLACE)
@grouped_options(
    {
        COMPUTED: [
            cloup.option(
                "--out",
                required=True,
                type=OUT_FILE,
                help="File to write: model.pt2 for torch.export, model.onnx for ONNX (extra onnx).",
            ),
            cloup.option(
                "--part",
                type=click.Choice(EXPORTS),
                default=EXPORTS[0],
                show_default=True,
                help="encoder: frame maps to embeddings; text: class texts to class keys; backbone: frames to maps.",
            ),
        ]
    }
)
def export(run: Path, out: Path, part: str) -> None:
    """Write a part of RUN as one file that runs without hcl; any number of videos or frames may be given to it.

    Its modules are plain ones in float32. What goes in and comes out stands in the file, as hcl.json or metadata.
    """
    from hcl.train.runs.export import export as export_part

    echo(export_part(run, out, part=part))


@cloup.command(short_help="Train and evaluate on several folds of the classes.")
@click.argument("cache", type=PLACE)
@grouped_options(fold_options("crossval"), *episode_options(), training_options(without=("seed",)))
def crossval(cache: Path, out: Path, json_file: Path | None, markdown: Path | None, **given: Any) -> None:
    """Cross-validate over the classes of CACHE: train and evaluate on several folds of novel, val and base classes.

    With 10 to 20 classes one split says little. Run it again to resume where it stopped.
    """
    from hcl.match.reports.report import write_json, write_text
    from hcl.train.studies import reports
    from hcl.train.studies.crossval import cross_validate

    arguments = study_arguments(given)
    with on_cluster(arguments["cluster"]):
        result = cross_validate(cache, out, **arguments)
    echo(reports.crossval_text(result))
    if json_file:
        write_json(json_file, result.to_dict())
    if markdown:
        write_text(markdown, reports.crossval_text(result, markdown_text) + "\n", "--markdown")


@cloup.command(short_help="Repeat the paper's Tables 1 to 7 on a cache.")
@click.argument("cache", type=PLACE)
@grouped_options(
    {
        COMPUTED: [
            cloup.option(
                "--table",
                "tables",
                callback=numbers,
                required=True,
                help="Tables of the paper to repeat, such as 1 or 1,2,3,4; 5 and 6 are of the methods on a benchmark, 7"
                " across sets, with --on.",
            )
        ],
        INPUT: [
            cloup.option(
                "--on",
                "others",
                type=PATH,
                multiple=True,
                metavar="CACHE",
                help="For Table 7: cache of another set to evaluate on; repeatable.",
            )
        ],
    },
    fold_options("ablation"),
    *episode_options(),
    training_options(without=("seed", *ABLATED)),
)
def ablate(
    cache: Path,
    tables: tuple[int, ...],
    others: tuple[Path, ...],
    out: Path,
    json_file: Path | None,
    markdown: Path | None,
    **given: Any,
) -> None:
    """Repeat ablations of the paper, its Tables 1 to 4, on folds of the classes of CACHE.

    Its Tables 5 and 6 compare methods: on the split of the published benchmark that CACHE holds, which needs no folds.
    Its Table 7 trains on the split of CACHE and evaluates on other sets, without the classes that overlap the trained
    ones; OUT/overlap-NAME.csv lists these, and its column leave_out decides once it is there. Each table is printed
    beside the paper's numbers. Run it again to resume where it stopped.
    """
    from hcl.extract.cache.formats import open_cache
    from hcl.match.reports.report import write_json, write_text
    from hcl.train.runs.cross_domain import other_sets
    from hcl.train.studies import reports
    from hcl.train.studies.ablation import refuse_other_methods
    from hcl.train.studies.crossval import cross_validate, plan_trainings
    from hcl.train.studies.method_tables import TableRun, paper_tables, runs_of_tables
    from hcl.train.studies.trainings import train_on_cluster

    arguments = study_arguments(given)
    settings, cluster = arguments.pop("settings"), arguments.pop("cluster")
    config: CrossvalConfig = arguments.pop("config")
    refuse_other_methods(settings["method"])
    device = settings["device"] or TrainConfig.device
    opened = open_cache(cache)
    sets = other_sets(opened, others, out, device=device)

    def arguments_of(one: TableRun) -> dict[str, Any]:
        folds = config.on_own_split() if one.own_split else config
        return {**arguments, "settings": {**settings, **one.switches}, "config": folds, "on": one.on}

    if cluster:  # all trainings at once: what follows finds them finished
        trainings = []
        for name, one in runs_of_tables(tables, opened, sets).items():
            of_folds = plan_trainings(cache, out / name, **arguments_of(one), on_cluster=True)
            trainings += [training for of_fold in of_folds for training in of_fold]
        train_on_cluster(trainings, cluster)

    def trained(name: str, switches: Mapping[str, Any], **given: Any) -> CrossValidation:
        return cross_validate(cache, out / name, **arguments_of(TableRun(switches, **given)))

    results = []
    for result in paper_tables(tables, opened, trained, sets):
        echo(reports.table_text(result))
        results.append(result)
    if json_file:
        write_json(json_file, {"tables": [result.to_dict() for result in results]})
    if markdown:
        write_text(markdown, "\n\n".join(map(reports.table_text, results)) + "\n", "--markdown")


@cloup.command(short_help="Print what a cache, run or embedding store holds.")
@click.argument("path", type=PLACE)
@cloup.option("--verify", is_flag=True, help="Read everything back and name what is damaged.")
@click.pass_context
def info(ctx: click.Context, /, path: Path, verify: bool) -> None:
    """Print what a cache, run or embedding store holds."""
    from hcl.train.runs import inspection

    description = inspection.describe(path, verify=verify)
    echo(description)
    ctx.exit(1 if description.all_damaged else 0)
