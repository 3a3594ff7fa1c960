"""Text that comes from files and names, made safe where it leaves the program: for terminals, Markdown and CSV.

A label, a path or a setting may hold anything: control sequences that move the cursor or retitle a window, line breaks
that fake a line of ours, HTML, formulas that a spreadsheet runs.
"""

import csv
import html
import io
import unicodedata
from collections.abc import Iterable

import click

UNSAFE = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, invisible format, half characters, ends of lines and paragraphs
JOINERS = "\u200c\u200d"  # format characters that Persian, Indic scripts and emoji are written with
MARKDOWN = str.maketrans({letter: f"\\{letter}" for letter in "\\`*[]|"})
FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")  # what a cell begins with that a spreadsheet does not take as it is


def plain(text: object) -> str:
    """Write what is not to be printed as it is written in Python, such as "\\x1b", "\\n" or "\\u202e"; one line."""
    return "".join(
        letter.encode("unicode_escape").decode("ascii")
        if unicodedata.category(letter) in UNSAFE and letter not in JOINERS
        else letter
        for letter in str(text)
    )


def echo(text: object, *, err: bool = False) -> None:
    """Print lines; nothing in them but line breaks moves the cursor."""
    click.echo("\n".join(map(plain, str(text).split("\n"))), err=err)


def markdown(text: object) -> str:
    """Write text so that Markdown shows it as it is: no HTML, link, emphasis or end of a table's cell."""
    return html.escape(plain(text), quote=False).translate(MARKDOWN)


def csv_cell(text: str) -> str:
    """Write text so that a spreadsheet shows it: a quote goes before what would be a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """The lines of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def from_csv_cell(cell: str) -> str:
    """Undo `csv_cell`."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell
