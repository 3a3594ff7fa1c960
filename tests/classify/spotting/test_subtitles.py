"""Subtitles hold times of the right form, and nothing in a label is taken for markup."""

import html
import re

import pytest

from hcl.classify.spotting.segments import Segment
from hcl.classify.spotting.subtitles import WORD_JOINER, as_srt, as_vtt, clock, srt_text, vtt_text

HOSTILE = "<script>alert('x')</script> {\\an8}\r\n\n00:00:01,000 --> 00:00:02,000\nA & B \u2028\x1b[31m שלום 👋🏽"
SEGMENTS = [Segment("wave", 0.0, 1.5, 1.0, 0.5), Segment(HOSTILE, 3599.9996, 3661.25, 1.0, 0.5)]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "00:00:00.000"),
        (0.0004, "00:00:00.000"),
        (59.9996, "00:01:00.000"),
        (3661.25, "01:01:01.250"),
        (360_000.5, "100:00:00.500"),
        (-1.0, "00:00:00.000"),
    ],
)
def test_times(seconds: float, shown: str) -> None:
    assert clock(seconds, ".") == shown and clock(seconds, ",") == shown.replace(".", ",")


def test_srt_is_numbered_cues_between_empty_lines() -> None:
    blocks = as_srt(SEGMENTS).split("\n\n")
    assert blocks[0] == "1\n00:00:00,000 --> 00:00:01,500\nwave" and len(blocks) == 2
    number, times, text, rest = blocks[1].split("\n")
    assert (number, times, rest) == ("2", "01:00:00,000 --> 01:01:01,250", "")
    assert "-->" not in text and not re.search(r"<[a-z/]|\{\\|\\a", text)
    assert text.replace(WORD_JOINER, "") == " ".join(re.sub(r"[\r\n\x1b\u2028]", " ", HOSTILE).split())


def test_vtt_is_a_header_and_escaped_cues() -> None:
    blocks = as_vtt(SEGMENTS).split("\n\n")
    assert blocks[:2] == ["WEBVTT", "00:00:00.000 --> 00:00:01.500\nwave"] and len(blocks) == 3
    times, text, rest = blocks[2].split("\n")
    assert (times, rest) == ("01:00:00.000 --> 01:01:01.250", "")
    assert "<" not in text and "-->" not in text
    assert html.unescape(text) == " ".join(re.sub(r"[\r\n\x1b\u2028]", " ", HOSTILE).split())


def test_no_segments_and_empty_labels() -> None:
    assert (as_srt([]), as_vtt([])) == ("", "WEBVTT\n")
    assert (srt_text("\n"), vtt_text(" \t")) == ("?", "?")
