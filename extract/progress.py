"""Progress bars that suit a terminal as well as a log file."""

import sys
from typing import Any

from tqdm import tqdm

SECONDS_IN_A_LOG = 15.0  # between two lines, where the bar cannot redraw itself


def progress_bar(total: int, unit: str, what: str, *, shown: bool) -> "tqdm[Any]":
    """Make a bar with rate and time left; in a log it is redrawn rarely."""
    every = 0.2 if sys.stderr.isatty() else SECONDS_IN_A_LOG
    return tqdm(total=total, unit=unit, desc=what, disable=not shown, mininterval=every, maxinterval=every)
