"""The group of commands: their names, and how lines and errors reach the terminal. Each stage keeps its commands."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click
import cloup

from hcl.extract.commands import convert, demo_videos, extract
from hcl.extract.system.errors import InputError
from hcl.extract.system.installation import package_version
from hcl.extract.system.progress import logger
from hcl.match.commands import compare, evaluate
from hcl.train.commands import ablate, crossval, embed, info, train

SECTIONS = (
    cloup.Section("From videos to accuracy", [extract, train, evaluate]),
    cloup.Section("Studies", [compare, crossval, ablate]),
    cloup.Section("Stores", [embed, info, convert]),
    cloup.Section("To try it", [demo_videos]),
)


class WrongUse(click.ClickException):
    """An input that the user can mend: one line, exit code 2."""

    exit_code = 2


class TerminalHandler(logging.Handler):
    """Prints what is logged, above a progress bar if there is one; warnings go to standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        from tqdm import tqdm

        with tqdm.external_write_mode():
            click.echo(self.format(record), err=record.levelno >= logging.WARNING)


@contextmanager
def lines_on_terminal() -> Iterator[None]:
    """Show progress bars and what hcl logs while a command runs."""
    handler, level = TerminalHandler(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


class Commands(cloup.Group):
    """A group whose commands report InputError as one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what the user can mend becomes one line."""
        try:
            with lines_on_terminal():
                return super().invoke(ctx)
        except InputError as error:
            raise WrongUse(str(error)) from error


@cloup.group(
    cls=Commands,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_version(), prog_name="hcl")
def main() -> None:
    """Few-shot action recognition from cached frame maps.

    Exit codes: 0 done, 1 done but some videos failed or are damaged, 2 wrong use.
    """


@main.command()
@click.argument("videos", type=PATH)
@click.argument("cache", type=PATH)
@click.option("--frames", default=ExtractConfig.frames, show_default=True, help="Frames per video.")
@click.option("--size", default=ExtractConfig.size, show_default=True, help="Frames are resized to SIZE x SIZE pixels.")
@click.option("--backbone", help="resnet50-v1, resnet18|34|50|101, or a vision model of transformers (folder or name).")
@click.option(
    "--weights", default=ExtractConfig.weights, show_default=True, help="default, IMAGENET1K_V1, IMAGENET1K_V2, a file."
)
@click.option(
    "--backbone-layer",
    type=click.Choice(LAYERS),
    default=ExtractConfig.backbone_layer,
    show_default=True,
    help="The last layer of a ResNet to run: layer3 for hcl train --finetune layer4, pooled to do without layer 4.",
)
@click.option("--decoder", type=click.Choice(DECODERS), default=ExtractConfig.decoder, show_default=True)
@click.option("--precision", type=click.Choice(PRECISIONS), default=ExtractConfig.precision, show_default=True)
@click.option("--batch-size", default=ExtractConfig.batch_size, show_default=True, help="Frames a backbone call.")
@click.option("--compile", is_flag=True, help="Compile the backbone for a GPU first, which takes half a minute.")
@click.option("--workers", default=ExtractConfig.workers, help="Decoding processes; 0 (default) is one a core.")
@click.option(
    "--views", default=ExtractConfig.views, show_default=True, help="Of a video; all are learned and embedded."
)
@click.option("--view-seed", default=ExtractConfig.view_seed, show_default=True, help="Of the further views.")
@click.option("--flip/--no-flip", default=ExtractConfig.flip, show_default=True, help="Mirror half of these views.")
@click.option(
    "--cache-dtype",
    type=click.Choice(CACHE_DTYPES),
    default=ExtractConfig.cache_dtype,
    show_default=True,
    help="uint8: a byte a value, each channel with its own scale; smaller, and the error is reported.",
)
@click.option(
    "--split-policy",
    type=click.Choice(SPLIT_POLICIES),
    default=ExtractConfig.split_policy,
    show_default=True,
    help="auto: the splits given, else a seeded shuffle of classes (64:12:24); all-novel: every class is novel.",
)
@click.option("--split-seed", default=ExtractConfig.split_seed, show_default=True)
@click.option("--names", type=PATH, help="CSV file with label,name: the texts of classes.")
@click.option("--text-model", default=ExtractConfig.text_model, show_default=True, help="BERT: a folder or hub name.")
@click.option("--no-text", is_flag=True, help="Do without text embeddings, hence without semantic attention.")
@click.option("--repair", is_flag=True, help="Read all maps back and redo the damaged ones.")
@click.option("--dry-run", is_flag=True, help="Print classes, counts, disk and time; write nothing.")
@click.pass_context
def extract(
    ctx: click.Context,
    /,
    videos: Path,
    cache: Path,
    names: Path | None,
    no_text: bool,
    repair: bool,
    dry_run: bool,
    **settings: Any,
) -> None:
    """Write the frame maps of VIDEOS to CACHE, once per video.

    VIDEOS is a folder of class folders, a folder with base/ val/ novel/ class folders, or a CSV manifest with the
    columns path,label[,split][,group]. Run it again to go on where it stopped.
    """
    from hcl.extract.pipeline import dry_run as forecast
    from hcl.extract.pipeline import extraction, summary

    config = ExtractConfig(**settings | ({"text_model": "none"} if no_text else {}))
    if dry_run:
        click.echo(forecast.forecast(videos, cache, config, names=names))
        return
    done = extraction.extract(videos, cache, config, names=names, repair=repair)
    click.echo(summary.as_text(done))
    ctx.exit(1 if done.failed else 0)


def training_options(*, without: tuple[str, ...] = ()) -> Callable[[Command], Command]:
    """Give a command one option for each setting of TrainConfig; an option left out keeps the preset's value."""
    return partial(_with_settings, without=("preset", *without))


def _with_settings(command: Command, *, without: tuple[str, ...]) -> Command:
    for setting in reversed(dataclasses.fields(TrainConfig)):
        if setting.name in without:
            continue
        name, default = setting.name.replace("_", "-"), setting.default
        help_text = f"{HELP[setting.name]}  [quick: {_shown(default)}]"
        if isinstance(default, bool):
            option = click.option(f"--{name}/--no-{name}", setting.name, default=None, help=help_text)
        elif isinstance(default, tuple):
            option = click.option(f"--{name}", setting.name, callback=_numbers, help=help_text)
        else:
            kind = click.Choice(CHOICES[setting.name]) if setting.name in CHOICES else type(default)
            option = click.option(f"--{name}", setting.name, type=kind, help=help_text)
        command = option(command)
    return command


def _shown(default: object) -> str:
    """A default as it is typed."""
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _numbers(_: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """Read "2,3" as (2, 3)."""
    try:
        return None if value is None else tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"expected numbers such as 2 or 2,3, got {value!r}", param=parameter) from None


@main.command()
@click.argument("cache", type=PATH)
@click.option("--run", type=PATH, help="Folder of the run; by default a dated one in runs/. An unfinished run goes on.")
@click.option("--preset", type=click.Choice(list(PRESETS)), help="Where the settings start from.")
@click.option("--splits", type=PATH, help="CSV file with label,split: replaces the splits of the cache.")
@training_options()
def train(cache: Path, run: Path | None, preset: str | None, splits: Path | None, **settings: Any) -> None:
    """Train an encoder on the base videos of CACHE and embed its val and novel videos."""
    from hcl.train.runs import running

    done = running.train(cache, run=run, preset=preset, splits=splits, settings=settings)
    if done:  # one of several processes speaks
        click.echo(done)


def episode_options(command: Command) -> Command:
    """Give a command the options that say which episodes are scored, and how."""
    for option in reversed(
        (
            click.option("--way", "n_way", default=EpisodeConfig.n_way, show_default=True, help="Classes an episode."),
            click.option(
                "--shot", "shots", callback=_numbers, help="Supports a class, such as 1 or 1,5.  [default: 1]"
            ),
            click.option("--queries", "n_query", default=EpisodeConfig.n_query, show_default=True, help="A class."),
            click.option("--episodes", default=EpisodeConfig.episodes, show_default=True),
            click.option("--seed", default=EpisodeConfig.seed, show_default=True),
            click.option("--group-disjoint", is_flag=True, help="No query shares a group with its class's supports."),
            click.option("--episodes-file", type=PATH, help="Score these episodes, written by --save-episodes."),
            click.option("--split", type=click.Choice(SPLITS), default=EvaluationConfig.split, show_default=True),
            click.option("--spatial/--no-spatial", default=EvaluationConfig.spatial, help="The spatial level."),
            click.option("--aggregate", "aggregates", callback=_names, help="mean, max or both.  [default: mean]"),
            click.option("--top-clips", type=int, help="The paper's T.  [default: the run's]"),
            click.option("--top-patches", type=int, help="The paper's S.  [default: the run's]"),
            click.option("--attention-scale", type=click.Choice(ATTENTION_SCALES), help="Eq. 5.  [default: the run's]"),
            click.option("--json", "json_file", type=PATH, help="Write all results to this file."),
            click.option("--markdown", type=PATH, help="Write the printed report to this file."),
        )
    ):
        command = option(command)
    return command


def _names(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Read "mean,max" or "both"."""
    return AGGREGATES if value == "both" else tuple(value.split(",")) if value else ()


DRAWN = ("n_way", "n_query", "episodes", "seed", "group_disjoint")
SCORING = ("top_clips", "top_patches", "attention_scale")


@main.command()
@click.argument("stores", type=PATH, nargs=-1, metavar="[STORE]...")
@click.option("--method", type=click.Choice(METHODS), help="The latest run of it; resnet: any run, untrained.")
@episode_options
@click.option("--seeds", callback=_numbers, help="Of several draws, such as 0,1,2: mean and standard deviation.")
@click.option("--save-episodes", type=PATH, help="Write the episodes to this file, for another system.")
@click.option("--score-cache", type=PATH, help="Zarr folder that keeps scores of pairs for later evaluations.")
@click.option("--plot", type=PATH, help="Folder for pictures.")
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    stores: tuple[Path, ...],
    seeds: tuple[int, ...] | None,
    json_file: Path | None,
    markdown: Path | None,
    scores: Path | None,
    plot: Path | None,
    save_episodes: Path | None,
    **given: Any,
) -> None:
    """Score episodes drawn from the embeddings in STORE, a run or an embedding store (default: the latest run).

    Several trained runs, or several --seeds, give the mean and standard deviation over them. Ctrl-C reports the
    episodes that are scored so far.
    """
    from hcl.match.evaluation import evaluation
    from hcl.match.reports import report
    from hcl.match.store import locate

    asked = _asked(ctx, given)
    if len(stores) > 1 and scores:
        raise click.UsageError("--score-cache keeps the scores of one store")
    found = []
    for store in stores or (None,):
        path = locate.find_store(store, given["method"])
        found += evaluation.evaluate_seeds(path, seeds=seeds or (given["seed"],), scores=scores, **asked)
    text = report.as_text(found[0]) if len(found) == 1 else report.over_runs(found)
    click.echo(text)
    if json_file:
        contents = [report.as_json(one) for one in found]
        report.write_json(json_file, contents[0] if len(found) == 1 else {"runs": contents})
    if markdown:
        report.write_text(markdown, text + "\n", "--markdown")
    if save_episodes:
        report.write_episodes_of(save_episodes, found[0])
    if plot:
        from hcl.match.reports import plots

        click.echo("\n".join(str(file) for file in plots.write_plots(plot, found[0])))


@main.command()
@click.argument("runs", type=PATH, nargs=-1, metavar="RUN_A RUN_B...")
@episode_options
@click.pass_context
def compare(
    ctx: click.Context,
    /,
    runs: tuple[Path, ...],
    json_file: Path | None,
    markdown: Path | None,
    **given: Any,
) -> None:
    """Score several runs or embedding stores on the same episodes: accuracies, and differences from RUN_A."""
    from hcl.match.evaluation import comparison
    from hcl.match.reports import comparison_report, report
    from hcl.match.store import locate

    paths = {str(run): locate.find_store(run) for run in runs}
    if len(paths) < len(runs):
        raise click.UsageError("a run is named twice")
    found = comparison.compare(paths, **_asked(ctx, given))
    text = comparison_report.as_text(found)
    click.echo(text)
    if json_file:
        report.write_json(json_file, comparison_report.as_json(found))
    if markdown:
        report.write_text(markdown, text + "\n", "--markdown")


def _asked(ctx: click.Context, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments that `evaluate` and `compare` share: what to draw, what to ask, how to score."""
    from hcl.match.episodes import episode_file

    listed, drawn = None, {name: given[name] for name in DRAWN}
    if given["episodes_file"]:
        typed = [name for name in (*DRAWN, "seeds") if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        if typed:
            options = {parameter.name: parameter.opts[0] for parameter in ctx.command.params}
            raise click.UsageError(f"{options[typed[0]]} follows from --episodes-file; leave it out")
        listed = episode_file.read_episodes(given["episodes_file"])
        drawn = listed.shape
    plan = {name: given[name] for name in ("aggregates", "split", "spatial")}
    plan["shots"] = given["shots"] or ((1,) if listed is None else (drawn["k_shot"],))
    return {
        "episodes": EpisodeConfig(**drawn),
        "plan": EvaluationConfig(**plan, method=given.get("method")),
        "scoring": {name: given[name] for name in SCORING if given[name] is not None},
        "listed": listed,
    }


def fold_options(command: Command) -> Command:
    """Give a command the options that say how classes are rotated and what the trained runs are asked."""
    for option in reversed(
        (
            click.option("--out", default="crossval", type=PATH, show_default=True, help="Folder of the runs."),
            click.option("--novel", default=0, help="Classes a fold; 0 (default): a quarter, at least --way."),
            click.option("--val", default=-1, help="Classes a fold; -1 (default): an eighth, if enough are left."),
            click.option("--folds", default=0, help="0 (default): so many that each class is novel once."),
            click.option("--seeds", callback=_numbers, help="Of the trainings, such as 0,1.  [default: 0]"),
            click.option("--class-order-seed", default=0, show_default=True, help="Of the order of classes."),
            click.option("--way", "n_way", default=EpisodeConfig.n_way, show_default=True, help="Classes an episode."),
            click.option("--shot", "shots", callback=_numbers, help="Supports a class.  [default: 1,5]"),
            click.option("--queries", "n_query", default=EpisodeConfig.n_query, show_default=True, help="A class."),
            click.option("--episodes", default=EpisodeConfig.episodes, show_default=True, help="A fold."),
            click.option("--group-disjoint", is_flag=True, help="No query shares a group with its class's supports."),
            click.option("--split", type=click.Choice(SPLITS), default="novel", show_default=True),
            click.option("--preset", type=click.Choice(list(PRESETS)), help="What the settings start from."),
            click.option("--json", "json_file", type=PATH, help="Write all results to this file."),
        )
    ):
        command = option(command)
    return command


def _cross_validated(given: dict[str, Any]) -> dict[str, Any]:
    """Sort the options of a cross-validation by what they configure; the others are settings of the training."""
    config = {name: given.pop(name) for name in ("novel", "val", "folds", "class_order_seed")}
    seeds, shots, split = given.pop("seeds") or (0,), given.pop("shots") or (1, 5), given.pop("split")
    drawn = {name: given.pop(name) for name in ("n_way", "n_query", "episodes", "group_disjoint")}
    return {
        "config": CrossvalConfig(**config, seeds=seeds),
        "episodes": EpisodeConfig(**drawn, k_shot=max(shots)),
        "plan": EvaluationConfig(shots=shots, split=split),
        "preset": given.pop("preset"),
    }


@main.command()
@click.argument("cache", type=PATH)
@fold_options
@training_options(without=("seed",))
def crossval(cache: Path, out: Path, json_file: Path | None, **given: Any) -> None:
    """Rotate the classes of CACHE through novel, val and base; train and evaluate each fold.

    With 10 to 20 classes one split says little. Run it again to go on where it stopped.
    """
    from hcl.match.reports.report import write_json
    from hcl.train.studies import crossval_report
    from hcl.train.studies.crossval import cross_validate

    rotated = _cross_validated(given)
    found = cross_validate(cache, out, **rotated, settings=given)
    click.echo(crossval_report.as_text(found))
    if json_file:
        write_json(json_file, crossval_report.as_json(found))


@main.command()
@click.argument("cache", type=PATH)
@click.option("--table", "tables", callback=_numbers, required=True, help="Of the paper: 1, 2, 3, 4 or several.")
@fold_options
@training_options(without=("seed", *ABLATED))
def ablate(cache: Path, tables: tuple[int, ...], out: Path, json_file: Path | None, **given: Any) -> None:
    """Rerun an ablation of the paper on CACHE, rotating its classes, and print it beside the paper's numbers."""
    from hcl.match.reports.report import write_json
    from hcl.train.studies import ablation, ablation_report
    from hcl.train.studies.crossval import cross_validate

    rotated = _cross_validated(given)
    run = partial(cross_validate, cache, **rotated)
    found = {}
    for number in tables:
        found[number] = ablation.ablate(number, lambda name, off: run(folder=out / name, settings={**given, **off}))
        click.echo(ablation_report.as_text(number, found[number], rotated["plan"].shots))
    if json_file:
        write_json(json_file, ablation_report.as_json(found, rotated["plan"].shots))


@main.command()
@click.argument("sources", nargs=-1, required=True, type=PATH, metavar="[RUN] CACHE")
@click.option("--out", required=True, type=PATH, help="Embedding store to write.")
@click.option("--weights", default=TrainConfig.weights, show_default=True, help=HELP["weights"])
@click.option("--test-views", type=int, help=f"{HELP['test_views']}  [default: as RUN has it; all if untrained]")
@click.option("--untrained", is_flag=True, help="Embed straight from the maps: no RUN, nothing learned.")
@click.option("--device", default=TrainConfig.device, show_default=True)
def embed(sources: tuple[Path, ...], out: Path, untrained: bool, **given: Any) -> None:
    """Embed every video of CACHE by the encoder of RUN, keeping the splits of the cache."""
    if len(sources) != (1 if untrained else 2):
        raise click.UsageError("give RUN and CACHE, or --untrained and CACHE")
    from hcl.train.runs import embed_cache

    run = None if untrained else sources[0]
    click.echo(embed_cache.embed_cache(sources[-1], out, run=run, **given))


@main.command()
@click.argument("path", type=PATH)
@click.option("--verify", is_flag=True, help="Read everything back and name what is damaged.")
@click.pass_context
def info(ctx: click.Context, /, path: Path, verify: bool) -> None:
    """Print what a cache, run or embedding store holds."""
    from hcl.train.runs import inspection

    description = inspection.describe(path, verify=verify)
    click.echo(description)
    ctx.exit(1 if description.all_damaged else 0)


@main.command()
@click.argument("source", type=PATH)
@click.argument("target", type=PATH)
def convert(source: Path, target: Path) -> None:
    """Write the cache SOURCE as TARGET: one HDF5 file if that ends in .h5, a Zarr folder otherwise; lossless."""
    from hcl.extract.cache import conversion

    click.echo(conversion.convert(source, target))


@main.command("demo-videos")
@click.argument("folder", type=PATH)
@click.option("--classes", default=DemoConfig.classes, show_default=True)
@click.option("--videos-per-class", default=DemoConfig.videos_per_class, show_default=True)
@click.option("--seed", default=DemoConfig.seed, show_default=True)
@click.option("--workers", default=DemoConfig.workers, help="Drawing processes; 0 (default) is one a core.")
def demo_videos(folder: Path, **drawn: int) -> None:
    """Draw a set of video files of invented actions into FOLDER: class folders and a manifest.csv."""
    from hcl.extract.demo.dataset import write_demo_videos

    write_demo_videos(folder, DemoConfig(**drawn))
    click.echo(f"{folder}: drawn; next: hcl extract {folder / 'manifest.csv'} cache.zarr")


if __name__ == "__main__":
    main()
