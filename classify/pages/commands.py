"""The commands of pages: report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import cloup

from hcl.extract.system.console import echo
from hcl.extract.system.options import PATH, grouped_options, numbers, setting_options, typed_options
from hcl.extract.system.places.arguments import PLACE
from hcl.extract.system.settings import COMPUTED, INPUT
from hcl.match.config import EpisodeConfig, EvaluationConfig

OWN = ("run", "out", "videos", "pictures")  # what is no setting of the evaluation


@cloup.command(short_help="Write one page about a run: curves, accuracies, confusions, matches.")
@click.argument("run", type=PLACE, required=False)
@grouped_options(
    {
        INPUT: [
            cloup.option(
                "--videos",
                type=PATH,
                help="Folder or manifest that CACHE was extracted from, for the pictures.  [default: looked for beside"
                " the cache and in this folder]",
            )
        ],
        COMPUTED: [
            cloup.option("--out", required=True, type=PATH, help="File to write, such as report.html."),
            cloup.option(
                "--pictures/--no-pictures", default=True, show_default=True, help="Show frames of the videos."
            ),
            cloup.option("--seeds", callback=numbers, help="Draw the episodes once per seed, such as 0,1,2."),
        ],
    },
    setting_options(EpisodeConfig, without=("k_shot",)),
    setting_options(EvaluationConfig, without=("aggregates", "method", "calibration", "open_set", "reject")),
)
@click.pass_context
def report(ctx: click.Context, /, run: Path | None, out: Path, videos: Path | None, pictures: bool, **_: Any) -> None:
    """Write a page about RUN, a run or an embedding store (default: the latest run), as one file for any browser.

    It holds the settings, learning curves, accuracies, confusions, calibration, maps of the embeddings and the most
    telling matches with pictures, and loads nothing from the network.
    """
    from hcl.classify.pages.parts import ReportRequest
    from hcl.classify.pages.report import write_report
    from hcl.match.evaluation.evaluate import EvaluationRequest

    typed = typed_options(ctx, *OWN)
    if videos is not None and not videos.exists():
        raise click.UsageError(f"--videos {videos}: no such file or folder; leave it out, or go with --no-pictures")
    folder = videos.parent if videos is not None and videos.is_file() else videos
    request = ReportRequest(
        evaluation=EvaluationRequest.of(**typed), way_is_given="n_way" in typed, pictures=pictures, videos=folder
    )
    echo(write_report(run, out, request))
