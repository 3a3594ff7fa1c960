"""The commands of this stage: extract, convert and demo-videos."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import cloup

from hcl.extract.config import ExtractConfig
from hcl.extract.demo.config import DemoConfig
from hcl.extract.pipeline.cluster.config import ClusterConfig
from hcl.extract.system.console import echo
from hcl.extract.system.options import PATH, Option, OptionGroups, grouped_options, setting_options
from hcl.extract.system.places.arguments import PLACE
from hcl.extract.system.settings import COMPUTED, INPUT, SPEED

RAY: list[Option] = [  # of every command that works on a cluster; `of_cluster` takes them
    cloup.option(
        "--ray",
        metavar="ADDRESS",
        help="Work on a Ray cluster (extra cluster): HOST:PORT, auto for the one that runs here, or local for the cores"
        " and GPUs of this machine.",
    ),
    cloup.option(
        "--ray-workers", type=int, help="With --ray: workers at most.  [default: as many as there is room for]"
    ),
    cloup.option("--ray-cpus", type=int, help="With --ray: cores of each worker.  [default: its share of a node]"),
    cloup.option(
        "--ray-gpus",
        type=float,
        help="With --ray: GPUs of each worker; 0.5 lets two share one.  [default: 1 where there are any]",
    ),
]


RAY_NAMES = ("ray", "ray_workers", "ray_cpus", "ray_gpus")


def of_cluster(given: dict[str, Any]) -> ClusterConfig | None:
    """Take the options of RAY out of those of a command; None where it works here."""
    settings = {name.removeprefix("ray_"): given.pop(name) for name in RAY_NAMES[1:]}
    settings = {name: value for name, value in settings.items() if value is not None}
    address = given.pop("ray")
    if address is None and settings:
        raise click.UsageError(f"--ray-{next(iter(settings))} goes with --ray")
    return None if address is None else ClusterConfig(ray=address, **settings)


FURTHER_OPTIONS: OptionGroups = {  # of extract, beside the settings
    INPUT: [
        cloup.option(
            "--names",
            type=PATH,
            help="CSV file (label,name) with the plain-language name of each class, which the text model reads.",
        ),
        cloup.option(
            "--skip-missing", is_flag=True, help="Go on without the videos of a list that are not there, and name them."
        ),
        cloup.option(
            "--prune",
            is_flag=True,
            help="Remove the videos of CACHE that are not in VIDEOS any more, and name them; else they stay.",
        ),
    ],
    COMPUTED: [
        cloup.option("--no-text", is_flag=True, help="No text embeddings, hence no semantic attention."),
        cloup.option("--repair", is_flag=True, help="Read all maps back and extract the damaged ones again."),
        cloup.option(
            "--missing-list",
            type=PATH,
            help="With --benchmark: write the videos that are missing or cannot be read to this CSV file."
            "  [default: CACHE.missing.csv if there are any; none in a dry run]",
        ),
        cloup.option("--dry-run", is_flag=True, help="Print classes, counts, disk and time; write nothing."),
    ],
    SPEED: RAY,
}


@contextmanager
def on_cluster(cluster: ClusterConfig | None) -> Iterator[None]:
    """Stay connected to a cluster while a command works on it piece by piece; nothing happens without one."""
    if cluster is None:
        yield
        return
    from hcl.extract.pipeline.cluster.connecting import connected

    with connected(cluster):
        yield


@cloup.command(short_help="Write the frame maps of videos to a cache, once per video.")
@cloup.argument("videos", type=PLACE)
@cloup.argument("cache", type=PLACE)
@grouped_options(setting_options(ExtractConfig), FURTHER_OPTIONS)
@click.pass_context
def extract(
    ctx: click.Context,
    /,
    videos: Path,
    cache: Path,
    names: Path | None,
    skip_missing: bool,
    prune: bool,
    no_text: bool,
    repair: bool,
    missing_list: Path | None,
    dry_run: bool,
    **settings: Any,
) -> None:
    """Write the frame maps of VIDEOS, the backbone's feature map of each frame, to CACHE, once per video.

    VIDEOS is a folder of class folders, a folder with base/ val/ novel/ class folders, or a CSV manifest with the
    columns path,label[,split][,group]; with --benchmark, any folder that holds the videos of that set. An interrupted
    extraction resumes when it is run again.

    Videos that were moved or renamed since, and labels, groups and splits that were corrected, are recognised by the
    videos' contents, and nothing is extracted again for them.
    """
    from hcl.extract.pipeline import dry_run as dry_running
    from hcl.extract.pipeline import extraction, summary

    if missing_list and not settings["benchmark"]:
        raise click.UsageError("--missing-list goes with --benchmark")
    cluster = of_cluster(settings)
    config = ExtractConfig(**settings | ({"text_model": "none"} if no_text else {}))
    upkeep: dict[str, Any] = {"repair": repair, "prune": prune, "skip_missing": skip_missing}
    if dry_run and cluster:
        raise click.UsageError("--dry-run measures this machine; leave out --ray")
    if dry_run:
        forecast = dry_running.forecast(videos, cache, config, names=names, missing_list=missing_list, **upkeep)
        echo(dry_running.describe_forecast(forecast))
        return
    upkeep |= {"names": names, "missing_list": missing_list}
    if cluster:
        from hcl.extract.pipeline.cluster.extraction import extract_on_cluster

        done = extract_on_cluster(videos, cache, config, cluster, **upkeep)
    else:
        done = extraction.extract(videos, cache, config, **upkeep)
    echo(summary.as_text(done))
    ctx.exit(1 if done.failed else 0)


@cloup.command(short_help="Copy a cache into the other format, Zarr or HDF5.")
@cloup.argument("source", type=PLACE)
@cloup.argument("target", type=PLACE)
@cloup.option(
    "--shard-videos",
    default=0,
    show_default=True,
    help="Of a Zarr TARGET: videos whose maps share a file, such as 64; 0: each video has files of its own.",
)
def convert(source: Path, target: Path, shard_videos: int) -> None:
    """Write the cache SOURCE as TARGET: one HDF5 file if that ends in .h5, a Zarr folder otherwise; lossless."""
    from hcl.extract.cache import formats

    done = formats.convert(source, target, shard_videos=shard_videos)
    echo(f"{done.target}: {done.copied} of {done.videos} videos have maps, all copied")


@cloup.command("demo-videos", short_help="Generate a synthetic set of videos.")
@cloup.argument("folder", type=PATH)
@grouped_options(setting_options(DemoConfig))
def demo_videos(folder: Path, **settings: int) -> None:
    """Generate a synthetic set of videos of invented actions in FOLDER: class folders and a manifest.csv."""
    from hcl.extract.demo.dataset import listed_count, write_demo_videos

    config = DemoConfig(**settings)
    drawn, listed = len(write_demo_videos(folder, config)), listed_count(folder)
    before = f", {listed - drawn} were there already" if listed > drawn else ""
    echo(f"{folder}: {drawn} videos generated{before}; next: hcl extract {folder / 'manifest.csv'} cache.zarr")
    if further := listed - config.classes * config.videos_per_class:
        echo(f"{further} of them are of an earlier call that asked for more; for a set without them name a new folder")
