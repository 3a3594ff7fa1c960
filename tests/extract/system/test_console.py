"""What files say reaches a terminal, Markdown and CSV as text and as nothing else."""

import csv
import html
import io
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcl.extract.system.console import JOINERS, UNSAFE, csv_cell, echo, from_csv_cell, markdown, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("wave both hands", "wave both hands"),
        ("Übung für 2 – 力量 हिन्दी می‌خواهم 👩‍🚀", "Übung für 2 – 力量 हिन्दी می‌خواهم 👩‍🚀"),
        ("\x1b]0;title\x07\x1b[31mred", r"\x1b]0;title\x07\x1b[31mred"),
        ("one\ntwo\r\tthree\x00", r"one\ntwo\r\tthree\x00"),
        ("\x9b2J\x7f\x85", r"\x9b2J\x7f\x85"),  # control sequences in one character
        ("\u202egpj.exe\u2066\u2028\u2029\ufeff", r"\u202egpj.exe\u2066\u2028\u2029\ufeff"),
        ("caf\udce9.mp4", r"caf\udce9.mp4"),  # a name that is not UTF-8
        ("a\\b", "a\\b"),
    ],
)
def test_what_is_not_to_be_printed_is_written_out(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text(st.characters()))
def test_any_text_becomes_one_line_that_can_be_printed(text: str) -> None:
    shown = plain(text)
    unsafe = [letter for letter in shown if unicodedata.category(letter) in UNSAFE and letter not in JOINERS]
    assert not unsafe
    assert len(shown.splitlines()) <= 1 and plain(shown) == shown
    shown.encode("utf-8")


def test_lines_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    echo("one\x1b[2J\ntwo")
    echo("three\r", err=True)
    told = capsys.readouterr()
    assert told.out == "one\\x1b[2J\ntwo\n" and told.err == "three\\r\n"


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "a | b", "[x](javascript:1)", "![](http://x/y.png)", "`a` *b* \\ &lt;", "x<b"]
)
def test_markdown_shows_text_as_it_is(text: str) -> None:
    """By CommonMark: a backslash before punctuation stands for that alone, and entities for their characters."""
    written = markdown(text)
    assert not re.search(r"(?<!\\)[`*\[\]|]|<|>", written)
    assert html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", written)) == text


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs",))))
def test_cells_are_read_back_as_they_were_and_are_no_formulas(text: str) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerow([csv_cell(text), "base"])
    stream.seek(0)
    ((cell, _),) = csv.reader(stream)
    assert from_csv_cell(cell) == text and not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert csv_cell("wave") == "wave"
