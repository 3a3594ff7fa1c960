"""The command of explanation."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import cloup

from hcl.classify.commands import RUN_OF_SET
from hcl.classify.config import ClassifyConfig
from hcl.classify.explanation.config import ExplainConfig
from hcl.extract.system.console import echo
from hcl.extract.system.options import PATH, grouped_options, setting_options
from hcl.extract.system.places.arguments import PLACE
from hcl.extract.system.settings import COMPUTED, INPUT


@cloup.command(short_help="Draw what of two videos was matched.")
@click.argument("query", type=PATH)
@click.argument("support", type=PLACE)
@grouped_options(
    {
        INPUT: [RUN_OF_SET],
        COMPUTED: [
            cloup.option("--out", required=True, type=PATH, help="File to write, such as match.html or match.png.")
        ],
    },
    setting_options(ExplainConfig),
    setting_options(ClassifyConfig, without=("top", "reject", "test_views")),
)
def explain(query: Path, support: Path, run: Path | None, out: Path, **given: Any) -> None:
    """Draw which clips and patches of the video QUERY were matched with which of SUPPORT.

    SUPPORT is one video; or a folder of class folders, a CSV file or what hcl index wrote: then the most similar
    support of each level is shown as well, and the match with the one that is most similar by all levels.
    """
    from hcl.classify.explanation.explain import write_explanation

    config = ExplainConfig(**{each.name: given.pop(each.name) for each in fields(ExplainConfig)})
    write_explanation(query, support, out, run=run, config=config, settings=ClassifyConfig(**given))
    echo(f"{out}: written")
