"""What a long piece of work tells while it runs: lines by the logger "hcl", bars by tqdm.

Both are shown where the logger lets INFO through, as the commands let it; in a script or notebook:
`logging.basicConfig(); logging.getLogger("hcl").setLevel(logging.INFO)`.
"""

import logging
import sys
from typing import Any

from tqdm import tqdm

SECONDS_IN_A_LOG = 15.0  # between two lines, where the bar cannot redraw itself
logger = logging.getLogger("hcl")


def progress_bar(total: int, unit: str, what: str) -> "tqdm[Any]":
    """Make a bar with rate and time left; in a log it is redrawn rarely, and an empty task has none."""
    every = 0.2 if sys.stderr.isatty() else SECONDS_IN_A_LOG
    hidden = not total or not logger.isEnabledFor(logging.INFO)
    return tqdm(total=total, unit=unit, desc=what, disable=hidden, mininterval=every, maxinterval=every)
