"""The command of spotting."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import cloup

from hcl.classify.commands import FAILED, RUN_OF_SET, SUPPORT
from hcl.classify.config import ClassifyConfig
from hcl.classify.spotting.config import SpotConfig, read_windows
from hcl.extract.system.console import echo, plain
from hcl.extract.system.options import OUT_FILE, OUT_FILE_OR_FOLDER, PATH, grouped_options, setting_options
from hcl.extract.system.settings import COMPUTED, INPUT, setting_of

HELP = {each.name: known.help for each in fields(SpotConfig) if (known := setting_of(each))}


@cloup.command(short_help="Find the classes of a few examples in long videos.")
@click.argument("videos", type=PATH, nargs=-1, required=True, metavar="VIDEOS...")
@grouped_options(
    {
        INPUT: [
            SUPPORT,
            RUN_OF_SET,
        ],
        COMPUTED: [
            cloup.option(
                "--window",
                metavar="SECONDS",
                help="Lengths of windows, such as 1,2,4.  [default: from the short to the long examples; 1,2,4 where"
                " their files are gone]",
            ),
        ],
    },
    {COMPUTED: [cloup.option("--reject", type=float, metavar="SHARE", help=HELP["reject"])]},
    setting_options(SpotConfig, without=("reject",)),
    {
        COMPUTED: [
            cloup.option("--csv", "csv_file", type=OUT_FILE, help="Write video,label,start,end,score to this file."),
            cloup.option("--json", "json_file", type=OUT_FILE, help="Write tasks for Label Studio to this file."),
            cloup.option(
                "--srt",
                type=OUT_FILE_OR_FOLDER,
                help="Write subtitles to this file; of several videos, to this folder.",
            ),
            cloup.option("--vtt", type=OUT_FILE_OR_FOLDER, help="The same in WebVTT, which browsers show."),
        ]
    },
    setting_options(ClassifyConfig, without=("top", "reject", "test_views")),
)
@click.pass_context
def spot(
    ctx: click.Context,
    /,
    videos: tuple[Path, ...],
    support: Path,
    run: Path | None,
    window: str | None,
    csv_file: Path | None,
    json_file: Path | None,
    srt: Path | None,
    vtt: Path | None,
    **given: Any,
) -> None:
    """Find where in VIDEOS the classes of the examples are, and where none of them is: files, folders or CSV lists.

    Windows of several lengths slide over each video, whose frames are decoded and mapped once. A video that cannot be
    read is a row with its reason, and the exit code is then 1.
    """
    from hcl.classify.answers.classify import broken_lines, describe_support, open_session
    from hcl.classify.answers.queries import list_queries
    from hcl.classify.spotting import outputs, subtitles
    from hcl.classify.spotting.spotter import Spotter

    of_spot = {each.name: given.pop(each.name) for each in fields(SpotConfig) if each.name in given}
    config = SpotConfig(windows=read_windows(window) if window else (), **of_spot)
    listed = list_queries(videos)
    session = open_session(support, run, ClassifyConfig(reject=config.reject, **given))
    with session.answerer.embedder:
        spotter = Spotter(session.answerer, config)
        found = list(spotter.spot(listed))
    about = [plain(describe_support(session.answerer.support, "supports")), *broken_lines(session.broken)]
    echo("\n".join([*about, *spotter.about(), "", outputs.as_table(found)]))
    if csv_file:
        outputs.write_csv(csv_file, found)
    if json_file:
        outputs.write_tasks(json_file, found)
    if srt:
        outputs.write_subtitles(srt, found, subtitles.as_srt, "--srt")
    if vtt:
        outputs.write_subtitles(vtt, found, subtitles.as_vtt, "--vtt")
    ctx.exit(FAILED if session.broken or any(each.reason for each in found) else 0)
