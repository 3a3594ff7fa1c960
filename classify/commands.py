"""The commands of answers: index and classify."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import cloup

from hcl.classify.config import ClassifyConfig
from hcl.extract.system.console import echo
from hcl.extract.system.options import OUT_FILE, PATH, grouped_options, setting_options
from hcl.extract.system.places.arguments import PLACE
from hcl.extract.system.settings import COMPUTED, INPUT, setting_of

RUN = cloup.option("--run", type=PLACE, help="Run whose encoder embeds the videos.  [default: untrained]")
SUPPORT = cloup.option(
    "--support",
    required=True,
    type=PLACE,
    help="The examples: a folder of class folders, a CSV file (path,label), or what hcl index wrote.",
)
RUN_OF_SET = cloup.option(
    "--run", type=PLACE, help="Run whose encoder embeds the videos.  [default: that of the support set, else untrained]"
)
HELP = {each.name: known.help for each in fields(ClassifyConfig) if (known := setting_of(each))}
FAILED = 1  # exit code where some videos could not be read


@cloup.command(short_help="Keep a support set as embeddings.")
@click.argument("support", type=PATH, required=False)
@grouped_options(
    {
        INPUT: [RUN],
        COMPUTED: [
            cloup.option("--out", required=True, type=PLACE, help="Support set to write, such as gestures.support."),
            cloup.option("--add", is_flag=True, help="Add the videos to what the support set holds."),
            cloup.option(
                "--remove", multiple=True, metavar="NAME", help="Remove a class, or a video by its path; repeatable."
            ),
        ],
    },
    setting_options(ClassifyConfig, without=("top", "reject", "test_views")),
)
@click.pass_context
def index(
    ctx: click.Context,
    /,
    support: Path | None,
    run: Path | None,
    out: Path,
    add: bool,
    remove: tuple[str, ...],
    **given: Any,
) -> None:
    """Embed the few labelled videos of SUPPORT, a folder of class folders or a CSV file (path,label), and keep them.

    hcl classify --support OUT then reads no video of it again.
    """
    from hcl.classify.answers.classify import index_supports

    done = index_supports(support, out, run, ClassifyConfig(**given), add=add, remove=remove)
    echo(done)
    ctx.exit(FAILED if done.broken else 0)


@cloup.command(short_help="Classify videos by a few examples of each class.")
@click.argument("queries", type=PATH, nargs=-1, required=True, metavar="QUERIES...")
@grouped_options(
    {
        INPUT: [
            SUPPORT,
            RUN_OF_SET,
        ],
        COMPUTED: [
            cloup.option("--json", "json_file", type=OUT_FILE, help="Write all answers to this file."),
            cloup.option("--csv", "csv_file", type=OUT_FILE, help="Write the ranked classes to this file, one a row."),
            cloup.option(
                "--jsonl", is_flag=True, help="Print one JSON object a video as soon as it is done, and no table."
            ),
        ],
    },
    {COMPUTED: [cloup.option("--reject", type=float, metavar="SHARE", help=HELP["reject"])]},
    setting_options(ClassifyConfig, without=("reject", "test_views")),
)
@click.pass_context
def classify(
    ctx: click.Context,
    /,
    queries: tuple[Path, ...],
    support: Path,
    run: Path | None,
    json_file: Path | None,
    csv_file: Path | None,
    jsonl: bool,
    **given: Any,
) -> None:
    """Say of which class each video of QUERIES is: files, folders of any depth, or CSV files with a column path.

    A video that cannot be read is a row with its reason, and the exit code is then 1. A query that is a support, too,
    is named and not compared with itself.
    """
    import json

    from hcl.classify.answers.classify import as_table, open_session, write_csv, write_json
    from hcl.classify.answers.queries import list_queries

    config = ClassifyConfig(**given)
    videos = list_queries(queries)
    session = open_session(support, run, config)
    answers = []
    with session.answerer.embedder:
        for answer in session.answerer.answers(videos):
            answers.append(answer)
            if jsonl:
                click.echo(json.dumps(answer.to_dict(config.top), allow_nan=False))
    if not jsonl:
        echo("\n".join([*session.about(), "", as_table(answers, config.top)]))
    if json_file:
        write_json(json_file, answers, session)
    if csv_file:
        write_csv(csv_file, answers, session, config.top)
    failed = session.broken or any(answer.is_broken for answer in answers)
    ctx.exit(FAILED if failed else 0)
