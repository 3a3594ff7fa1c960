"""The commands of matching: evaluate and compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from hcl.extract.commands import RAY, RAY_NAMES, of_cluster, on_cluster
from hcl.extract.system.console import echo, plain
from hcl.extract.system.console import markdown as markdown_text
from hcl.extract.system.options import (
    OUT_FILE,
    OUT_FOLDER,
    PATH,
    OptionGroups,
    grouped_options,
    numbers,
    setting_options,
    typed_options,
)
from hcl.extract.system.places.arguments import PLACE
from hcl.extract.system.settings import ADVANCED, COMPUTED, INPUT, SPEED, option_of, setting_of
from hcl.match.config import (
    AGGREGATES,
    ATTENTION_SCALES,
    PATCH_SELECTIONS,
    EpisodeConfig,
    EvaluationConfig,
    ScoreConfig,
)

if TYPE_CHECKING:
    from hcl.match.store.embedding_store import EmbeddingStore


def _names(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Read "mean,max" or "all"."""
    return AGGREGATES if value == "all" else tuple(value.split(",")) if value else ()


def _option(config: Any, name: str, default: str, **given: Any) -> Any:
    """An option that says nothing to the configuration where it is not typed; its help tells what then holds."""
    each = next(each for each in fields(config) if each.name == name)
    setting = setting_of(each)
    return cloup.option(option_of(each), name, help=f"{setting.help if setting else ''}  [default: {default}]", **given)


OF_RUN = "the run's"
OUTPUT = [
    cloup.option("--json", "json_file", type=OUT_FILE, help="Write all results to this file."),
    cloup.option("--markdown", type=OUT_FILE, help="Write the printed report to this file."),
]
SHARED = (
    setting_options(EpisodeConfig, without=("k_shot",)),
    {
        INPUT: [cloup.option("--episodes-file", type=PATH, help="Score these episodes, written by --save-episodes.")],
        COMPUTED: [_option(EvaluationConfig, "aggregates", AGGREGATES[0], callback=_names)],
        ADVANCED: [
            _option(ScoreConfig, "top_clips", OF_RUN, type=int),
            _option(ScoreConfig, "top_patches", OF_RUN, type=int),
            _option(ScoreConfig, "attention_scale", OF_RUN, type=click.Choice(ATTENTION_SCALES)),
            _option(ScoreConfig, "patch_selection", OF_RUN, type=click.Choice(PATCH_SELECTIONS)),
        ],
    },
)
OF_ONE: OptionGroups = {
    COMPUTED: [
        cloup.option(
            "--seeds",
            callback=numbers,
            help="Draw the episodes once per seed, such as 0,1,2, and report mean and standard deviation.",
        ),
        cloup.option("--save-episodes", type=OUT_FILE, help="Write the episodes to this file, for another system."),
        cloup.option("--plot", type=OUT_FOLDER, help="Folder for pictures."),
        *OUTPUT,
    ],
    SPEED: [
        cloup.option("--score-cache", type=PATH, help="Zarr folder that keeps scores of pairs for later evaluations."),
        *RAY,
    ],
}
evaluate_options: Callable[[Any], Any] = grouped_options(
    setting_options(EvaluationConfig, without=("aggregates",)), *SHARED, OF_ONE
)
ON_OTHER = {
    INPUT: [
        cloup.option(
            "--on",
            "on",
            type=PLACE,
            metavar="CACHE",
            help="Embed this other cache by the run and evaluate that, without the classes that the run was trained on"
            " or that are called alike.",
        ),
        cloup.option(
            "--overlap",
            type=PATH,
            help="With --on: CSV file of the classes that overlap the trained ones; written if it is not there, else"
            " its column leave_out decides.",
        ),
    ]
}
STORE_ON = "store_on"  # in a context's obj: the function of training that embeds another cache
compare_options: Callable[[Any], Any] = grouped_options(
    setting_options(EvaluationConfig, without=("aggregates", "method", "calibration", "open_set", "reject")),
    *SHARED,
    {
        COMPUTED: [
            *OUTPUT,
            cloup.option("--latex", type=OUT_FILE, help="Write a booktabs table for a paper to this file."),
            cloup.option("--csv", "csv_file", type=OUT_FILE, help="Write a row for each run and case to this file."),
        ]
    },
)


@cloup.command(short_help="Score few-shot episodes: accuracies with intervals.")
@click.argument("stores", type=PLACE, nargs=-1, metavar="[STORE]...")
@evaluate_options
@grouped_options(ON_OTHER)
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    stores: tuple[Path, ...],
    json_file: Path | None,
    markdown: Path | None,
    plot: Path | None,
    save_episodes: Path | None,
    on: Path | None,
    overlap: Path | None,
    **_: Any,
) -> None:
    """Score episodes drawn from the embeddings in STORE, a run or an embedding store (default: the latest run).

    Several runs of one method, or several --seeds, give the mean and standard deviation over them. Ctrl-C reports the
    episodes that are scored so far.
    """
    from hcl.match.evaluation.evaluate import EvaluationRequest, evaluate_stores
    from hcl.match.reports import plots, report, several_runs

    apart = ("stores", "json_file", "markdown", "plot", "save_episodes", "on", "overlap")
    typed = typed_options(ctx, *apart, *RAY_NAMES)
    cluster = of_cluster(dict(ctx.params))
    request = EvaluationRequest.of(**typed, cluster=cluster)
    if "reject" in typed_options(ctx) and not request.plan.open_set:
        raise click.UsageError("--reject goes with --open-set")
    if len(stores) > 1 and request.score_cache:
        raise click.UsageError("--score-cache keeps the scores of one store")
    if overlap and not on:
        raise click.UsageError("--overlap goes with --on")
    if plot:
        plots.figure_maker()  # a missing package is told before the work
    sources: Sequence[Path | EmbeddingStore | None] = stores or (None,)
    if on:
        embed_other = (ctx.find_root().obj or {}).get(STORE_ON)
        if embed_other is None:
            raise click.UsageError("--on embeds by a run, which `hcl evaluate` alone can")
        given = {"split": request.plan.split, "overlap": overlap, "method": request.plan.method}
        sources = [embed_other(path, on, **given) for path in sources]
    with on_cluster(cluster):
        evaluations = evaluate_stores(sources, request)
    alone = len(evaluations) == 1
    echo(report.as_text(evaluations[0], plain) if alone else several_runs.over_runs(evaluations, plain))
    if json_file:
        report.write_json(json_file, {"runs": [evaluation.to_dict() for evaluation in evaluations]})
    if markdown:
        report.write_text(markdown, several_runs.with_details(evaluations, markdown_text) + "\n", "--markdown")
    if save_episodes:
        report.write_scored_episodes(save_episodes, evaluations[0])
    if plot:
        echo("\n".join(str(file) for file in plots.write_all_plots(plot, evaluations)))


@cloup.command(short_help="Compare runs on the same episodes: paired differences.")
@click.argument("runs", type=PLACE, nargs=-1, metavar="RUN_A RUN_B...")
@compare_options
@click.pass_context
def compare(
    ctx: click.Context,
    /,
    runs: tuple[Path, ...],
    json_file: Path | None,
    markdown: Path | None,
    latex: Path | None,
    csv_file: Path | None,
    **_: Any,
) -> None:
    """Score several runs or embedding stores on the same episodes: accuracies, and differences from RUN_A."""
    from hcl.match.evaluation import comparison
    from hcl.match.evaluation.evaluate import EvaluationRequest
    from hcl.match.reports import comparison_files, comparison_report, report

    if len(set(runs)) < len(runs):
        raise click.UsageError("a run is named twice")
    request = EvaluationRequest.of(**typed_options(ctx, "runs", "json_file", "markdown", "latex", "csv_file"))
    compared = comparison.compare({str(run): run for run in runs}, request)
    echo(comparison_report.as_text(compared))
    if json_file:
        report.write_json(json_file, compared.to_dict())
    if markdown:
        report.write_text(markdown, comparison_report.as_text(compared, markdown_text) + "\n", "--markdown")
    if latex:
        report.write_text(latex, comparison_files.as_latex(compared), "--latex")
    if csv_file:
        report.write_text(csv_file, comparison_files.as_csv(compared), "--csv")
