"""The command of adaptation: adapt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import cloup

from hcl.extract.system.console import echo
from hcl.extract.system.options import OUT_FILE, PATH, grouped_options, setting_options
from hcl.extract.system.places.arguments import PLACE
from hcl.extract.system.settings import COMPUTED, INPUT
from hcl.train.adaptation.config import AdaptConfig


@cloup.command(short_help="Go on training a run on a few clips of your own classes.")
@click.argument("run", type=PLACE)
@click.argument("support", type=PLACE)
@grouped_options(
    {
        INPUT: [
            cloup.option(
                "--cache",
                "caches",
                type=PLACE,
                multiple=True,
                help="Where the cache that RUN was trained on is now; of several, each.  [default: where it was]",
            ),
        ],
        COMPUTED: [
            cloup.option(
                "--out", required=True, type=PATH, help="Folder of the adapted run; an unfinished one resumes."
            ),
            cloup.option("--keep-maps", is_flag=True, help="Keep the maps of the clips, as clips.zarr in that folder."),
            cloup.option("--json", "json_file", type=OUT_FILE, help="Write what was measured to this file."),
        ],
    },
    setting_options(AdaptConfig),
)
@click.pass_context
def adapt(
    ctx: click.Context,
    /,
    run: Path,
    support: Path,
    out: Path,
    caches: tuple[Path, ...],
    keep_maps: bool,
    json_file: Path | None,
    **settings: Any,
) -> None:
    """Let RUN learn the classes of SUPPORT, a few clips of each, besides its own, and say whether that pays.

    SUPPORT is a folder of class folders, a CSV file (path,label,group) or a support set of hcl index whose clips are
    still there. Parts of the clips are left out in turn, of the training and of the supports, and asked for; the
    weights that recognise more of them are kept in OUT, which is a run like any other.
    """
    from hcl.classify.adaptation.adapting import adapt as adapt_run
    from hcl.match.reports.report import write_json

    done = adapt_run(run, support, out, config=AdaptConfig(**settings), caches=caches, keep_clips=keep_maps)
    for line in done.failed:
        echo(f"failed: {line}")
    echo(done)
    if json_file:
        write_json(json_file, done.to_dict())
    ctx.exit(1 if done.failed else 0)
