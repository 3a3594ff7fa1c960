"""The command of the local page: app."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import cloup

from hcl.classify.app.config import AppConfig
from hcl.classify.config import ClassifyConfig
from hcl.extract.system.errors import InputError
from hcl.extract.system.options import grouped_options, setting_options
from hcl.extract.system.places.arguments import PLACE
from hcl.extract.system.settings import COMPUTED, INPUT, setting_of

HELP = {each.name: known.help for each in fields(ClassifyConfig) if (known := setting_of(each))}
PACKAGES = ("starlette", "uvicorn", "jinja2", "markupsafe")  # of the extra app


@cloup.command(short_help="Film classes, see answers and correct them, on a page of this machine.")
@grouped_options(
    {
        INPUT: [
            cloup.option(
                "--support",
                type=PLACE,
                help="Examples to go on with, where new ones are kept: what hcl index wrote, or a new name (embeddings"
                " are kept, no clips); a folder of class folders (clips are kept). A CSV file is only read.  [default:"
                " examples are kept until the page ends]",
            ),
            cloup.option(
                "--run",
                type=PLACE,
                help="Run whose encoder embeds the clips.  [default: that of the support set, else untrained]",
            ),
        ]
    },
    setting_options(AppConfig),
    {COMPUTED: [cloup.option("--reject", type=float, metavar="SHARE", help=HELP["reject"])]},
    setting_options(ClassifyConfig, without=("top", "reject", "test_views")),
)
def app(support: Path | None, run: Path | None, **given: Any) -> None:
    """Serve a page on this machine alone: make classes, film or drop clips, see answers, correct them.

    It prints an address for your browser; Ctrl-C ends it. Clips are decoded in processes of their own and deleted
    after; nothing leaves the machine.
    """
    try:
        from hcl.classify.app.web.server import serve_app
    except ModuleNotFoundError as error:
        if error.name not in PACKAGES:
            raise
        raise InputError(f'hcl app needs {error.name}: pip install "hcl[app]"') from error
    of_app = {name: given.pop(name) for name in ("port", "max_upload", "upload_timeout")}
    serve_app(support, run, AppConfig(**of_app), ClassifyConfig(**given))
