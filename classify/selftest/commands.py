"""The command of the self-test: check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import cloup

from hcl.classify.config import ClassifyConfig
from hcl.extract.system.console import echo
from hcl.extract.system.options import OUT_FILE, grouped_options, setting_options
from hcl.extract.system.places.arguments import PLACE
from hcl.extract.system.settings import COMPUTED, INPUT


@cloup.command(short_help="Test your own clips: what is recognised, what is mislabelled, what to film.")
@click.argument("support", type=PLACE)
@grouped_options(
    {
        INPUT: [
            cloup.option(
                "--run",
                type=PLACE,
                help="Run whose encoder embeds the clips.  [default: that of the support set, else untrained]",
            )
        ],
        COMPUTED: [
            cloup.option("--json", "json_file", type=OUT_FILE, help="Write all that is found to this file."),
            cloup.option("--html", "html_file", type=OUT_FILE, help="Write a page for any browser to this file."),
        ],
    },
    setting_options(ClassifyConfig, without=("top", "reject", "test_views")),
)
@click.pass_context
def check(
    ctx: click.Context, /, support: Path, run: Path | None, json_file: Path | None, html_file: Path | None, **given: Any
) -> None:
    """Test the clips of SUPPORT: a folder of class folders, a CSV file (path,label,group), or what hcl index wrote.

    Each clip is left out and classified by the others; where groups such as people are known, without any of its group.
    Named are classes that are confused, clips that look mislabelled, are nearly the same or say nothing, how accuracy
    grows with the number of clips, and which class to film more of. The exit code is 1 if a clip could not be read.
    """
    from hcl.classify.pages.page import check_page
    from hcl.classify.selftest.check import check as check_clips
    from hcl.classify.selftest.page import write_check_page
    from hcl.classify.selftest.text import as_text
    from hcl.match.reports.report import write_json

    if html_file:
        check_page(html_file, "--html")
    found = check_clips(support, run, ClassifyConfig(**given))
    echo(as_text(found))
    if json_file:
        write_json(json_file, found.to_dict())
    if html_file:
        write_check_page(html_file, found, str(support))
        echo(f"{html_file}: open it in any browser")
    ctx.exit(1 if found.broken else 0)
