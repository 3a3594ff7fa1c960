"""A page of HTML: a template with its style and script inside, that may load nothing and run nothing else."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.console import plain
from hcl.extract.system.errors import InputError, write_errors
from hcl.extract.system.installation import package_version

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = "templates"  # folder of this room


def check_page(out: Path) -> None:
    """Refuse what a page cannot be written to, before anything is computed for it.

    Raises:
        InputError: if the folder is not there, a folder stands in the file's place, or jinja2 is missing
    """
    _environment()
    if out.is_dir() or not out.resolve().parent.is_dir():
        found = "a folder" if out.is_dir() else f"no folder {out.parent}"
        raise InputError(f"{out}: {found}; name a file in a folder that is there with --out, such as report.html")


def write_page(out: Path, page: Any, template: str = "report.html") -> int:
    """Write a page whole or not at all.

    Args:
        out: file
        page: what the template shows
        template: its name

    Returns:
        the bytes of the file

    Raises:
        InputError: if the file cannot be written, or jinja2 is missing
    """
    text = render(page, template)
    with write_errors(out, "name another file with --out"):
        with atomic_file(out) as fresh:
            fresh.write_text(text, encoding="utf-8")
        return out.stat().st_size


def render(page: Any, template: str = "report.html") -> str:
    """Fill a template; all that it is given is shown as text.

    Raises:
        InputError: if jinja2 is missing
    """
    style, script = _part("report.css"), _part("report.js")
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none';"
        f" style-src {_hash_of(style)}; script-src {_hash_of(script)}"
    )
    environment = _environment()
    safe = {"style": _markup(style), "script": _markup(script), "policy": policy, "hcl": package_version()}
    return environment.get_template(template).render(page=page, **safe)


def _environment() -> Environment:
    try:
        from jinja2 import DictLoader, Environment, StrictUndefined
    except ImportError as error:
        raise InputError('hcl report needs jinja2: pip install jinja2, or "hcl[report]"') from error
    names = [file.name for file in files(__package__).joinpath(TEMPLATES).iterdir() if file.name.endswith(".html")]
    environment = Environment(
        loader=DictLoader({name: _part(name) for name in names}),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["drawing"] = lambda drawing: _markup(str(drawing))
    return environment


def _shown(value: object) -> object:
    """What a template writes: text with control characters written out; what is marked as HTML stays."""
    return value if hasattr(value, "__html__") else plain(value)


def _markup(text: str) -> Any:
    from markupsafe import Markup  # comes with jinja2

    return Markup(text)


def _part(name: str) -> str:
    return files(__package__).joinpath(TEMPLATES, name).read_text(encoding="utf-8")


def _hash_of(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"
