"""Segments as subtitles, so that any player shows them over the video: SubRip (SRT) and WebVTT."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence

from hcl.classify.spotting.segments import Segment

WORD_JOINER = "\u2060"  # invisible: SRT has no escapes, so it parts what would be read as a tag or as an arrow
LINE_ENDS = ("Cc", "Zl", "Zp")


def as_srt(segments: Sequence[Segment]) -> str:
    """SubRip: numbered cues, a comma before the milliseconds."""
    cues = (
        f"{number}\n{clock(each.start, ',')} --> {clock(each.end, ',')}\n{srt_text(each.label)}\n"
        for number, each in enumerate(segments, start=1)
    )
    return "\n".join(cues)


def as_vtt(segments: Sequence[Segment]) -> str:
    """WebVTT: a header, and a point before the milliseconds.

    W3C, WebVTT: The Web Video Text Tracks Format, 2019, section 4.
    """
    cues = (f"\n{clock(each.start, '.')} --> {clock(each.end, '.')}\n{vtt_text(each.label)}\n" for each in segments)
    return "".join(["WEBVTT\n", *cues])


def clock(seconds: float, point: str) -> str:
    """Write a time as HH:MM:SS and milliseconds; hours have as many digits as they need, two at least."""
    milliseconds = round(max(0.0, seconds) * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def srt_text(label: str) -> str:
    """One line that no player takes for tags, for a position or for the times of a cue."""
    text = one_line(label).replace("-->", f"--{WORD_JOINER}>")
    return "".join(letter + WORD_JOINER if letter in "<{\\" else letter for letter in text)


def vtt_text(label: str) -> str:
    """One line in which <, > and & stand for themselves."""
    return html.escape(one_line(label), quote=False)


def one_line(label: str) -> str:
    """A label without line breaks and control characters, spaces in their place; never empty."""
    letters = (" " if unicodedata.category(letter) in LINE_ENDS else letter for letter in label)
    return " ".join("".join(letters).split()) or "?"
