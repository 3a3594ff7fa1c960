"""The documentation site builds without a warning, needs no network, and tells every command and every public name."""

import html
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest

import hcl
from hcl.cli import main

ROOT = Path(__file__).parents[2]
LOADS = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"([^\"]+)|<link\b[^>]*\bhref=\"([^\"]+)|url\(([^)]+)\)|@import ([^;]+)"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    for package in ("mkdocs", "material", "mkdocstrings"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed; it comes with the docs extra")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    quiet = {"NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"}  # a notice about the future of mkdocs
    done = subprocess.run(command, cwd=ROOT, env=os.environ | quiet, capture_output=True, text=True)
    assert done.returncode == 0 and "WARNING" not in done.stdout + done.stderr, done.stdout + done.stderr
    return folder


def test_nothing_is_loaded_from_the_network(site: Path) -> None:
    files = [file for file in site.rglob("*") if file.suffix in (".html", ".css")]
    loaded = {part for file in files for found in LOADS.findall(file.read_text("utf-8")) for part in found if part}
    assert len(loaded) > 5
    assert [address for address in loaded if re.match(r"['\"]?(https?:)?//", address)] == []


def test_links_lead_somewhere(site: Path) -> None:
    """Also those that mkdocs does not look at: in the included files, the API and the commands."""
    broken = []
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # served from any address, so its links are absolute
            continue
        for link in re.findall(r"<a\b[^>]*\bhref=\"([^\"]+)", page.read_text(encoding="utf-8")):
            parts = urlsplit(html.unescape(link))
            target = page.parent / unquote(parts.path) if parts.path else page
            if parts.scheme or has_anchor(target, parts.fragment):
                continue
            broken.append((page.relative_to(site).as_posix(), link))
    assert broken == []


def has_anchor(target: Path, fragment: str) -> bool:
    if target.is_dir():
        target = target / "index.html"
    return target.is_file() and (not fragment or f'id="{unquote(fragment)}"' in target.read_text(encoding="utf-8"))


def test_every_option_of_every_command_is_told(site: Path) -> None:
    page = html.unescape((site / "reference" / "commands.html").read_text(encoding="utf-8"))
    for name, command in main.commands.items():
        assert f"hcl {name}" in page
        options = [each for each in command.get_params(click.Context(command)) if isinstance(each, click.Option)]
        untold = [option.name for option in options if f"{option.opts[-1]}" not in page]
        assert untold == [], name


def test_every_public_name_is_told(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    public = [name for name in getattr(hcl, "__all__", ()) if not name.startswith("_")]
    assert [name for name in public if f'id="hcl.{name}"' not in page] == []
